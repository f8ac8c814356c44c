"""Shortcuts that cost accuracy, off unless a user allows them."""

from __future__ import annotations

allow_half_runs = False
"""Lets the GPU's fp16 adder sum runs of 16 differences (eight in each half of a word) in fp16 before they are
added up in fp32: 1.4 instructions a site in place of 2.3, by the disassembly. Each difference is rounded once
and each run's sum seven times, so that an output is off by at most 8·2⁻¹¹ of itself (0.4 %) before its own
rounding, and overflows where a run exceeds 65504. bf16, with 3 bits less, is never summed so.
"""
