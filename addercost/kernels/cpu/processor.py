"""What the kernels need to know about the processor that they run on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import halide as hl

from addercost.hardware.this_machine import core_kind

_TWO_SLOTS = ("AuthenticAMD 25-",)
"""Cores whose 256-bit units take two slots for a 512-bit operation: Zen 4. A broadcast load finishes
meanwhile. Source: measured, `benchmarks/results`."""
_LOAD_CYCLES = 0.68
"""Cycles that one load in the inner loop adds on other cores with 512-bit vectors. It predicts eight of ten
rates of tiles on an Emerald Rapids core within 13 %. An adder layer of 1×1 filters, whose weights stay in the
first-level cache, takes 0.7 to 0.8 times as long as predicted. If two loads a cycle ran free beside the
arithmetic, it would be 0."""


@dataclass(frozen=True, slots=True)
class Core:
    """What decides which tiles are fast. ports: vector operations that can start in a cycle. load_cycles:
    cycles that each load of a step adds to those of its arithmetic."""

    vector_bytes: int
    registers: int
    ports: float
    load_cycles: float


@cache
def host_core() -> Core:
    """The core that kernels are compiled for."""
    target = hl.get_jit_target_from_environment()
    wide, arm = vector_bytes() >= 64, target.arch == hl.TargetArch.ARM
    registers = 32 if wide or (arm and target.bits == 64) else 16
    two_slots = core_kind().startswith(_TWO_SLOTS) or not wide
    return Core(vector_bytes(), registers, 2.0, 0.0 if two_slots else _LOAD_CYCLES)


@cache
def vector_bytes() -> int:
    """Bytes in a vector register of the processor that kernels are compiled for. `HL_JIT_TARGET` may name
    another processor than this one.
    """
    return int(hl.get_jit_target_from_environment().natural_vector_size(hl.UInt(8)))
