"""Shortcuts that cost accuracy, off unless a user allows them."""

from __future__ import annotations

allow_half_runs = False
"""Lets the GPU's fp16 adder sum runs of 16 differences (eight in each half of a word) in fp16 before it adds
them up in fp32. A site then takes 1.4 instructions instead of 2.3, counted in the disassembly. Each
difference is rounded once, and each run's sum seven times. An output is therefore off by at most 8·2⁻¹¹ of
itself (0.4 %) before its own rounding, and it overflows where a run exceeds 65504. bf16, which has 3 bits
less, is never summed this way.
"""
