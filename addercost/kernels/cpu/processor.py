"""What the kernels need to know about the processor that they run on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import halide as hl

from addercost.hardware.this_machine import core_kind
from addercost.kernels.cpu.ir.native import host_features

_VARIABLE = "HL_JIT_TARGET"
_TWO_SLOTS = ("AuthenticAMD 25-",)
"""Cores whose 256-bit units take two slots for a 512-bit operation: Zen 4. A broadcast load finishes
meanwhile. Source: measured, `benchmarks/results`."""
_LOAD_CYCLES = 0.68
"""Cycles that one load in the inner loop adds on other cores with 512-bit vectors. It predicts eight of ten
rates of tiles on an Emerald Rapids core within 13 %. An adder layer of 1×1 filters, whose weights stay in the
first-level cache, takes 0.7 to 0.8 times as long as predicted. If two loads a cycle ran free beside the
arithmetic, it would be 0."""

_MAXIMA = "GenuineIntel"
"""Cores on which, with 512-bit vectors, subtractions, masks, maxima and additions start on the same two
pipes. Maxima are faster there: see `benchmarks/results`. On other cores `addercost tune` finds out. By their
pipes AMD's should gain as well, which was not measured."""

_COUNTS_BITS = frozenset({"avx512vpopcntdq", "avx512bitalg", "avx512vbmi2", "avx512vnni"})


@dataclass(frozen=True, slots=True)
class Core:
    """What decides which tiles are fast. ports: vector operations that can start in a cycle. load_cycles:
    cycles that each load of a step adds to those of its arithmetic. prefers_maxima: whether the rule computes
    large adder layers by maxima (`dense/maxima.py`)."""

    vector_bytes: int
    registers: int
    ports: float
    load_cycles: float
    prefers_maxima: bool = False


@cache
def host_core() -> Core:
    """The core that kernels are compiled for."""
    wide = vector_bytes() >= 64
    registers = 32 if wide or (is_arm() and jit_target().bits == 64) else 16
    two_slots = core_kind().startswith(_TWO_SLOTS) or not wide
    return Core(
        vector_bytes(),
        registers,
        2.0,
        0.0 if two_slots else _LOAD_CYCLES,
        prefers_maxima=core_kind().startswith(_MAXIMA) and wide,
    )


@cache
def jit_target() -> Any:
    """Halide's name of the processor that kernels are compiled for. `HL_JIT_TARGET` may name another one than
    this."""
    target = hl.get_jit_target_from_environment()
    if target.arch == hl.TargetArch.ARM and "dotprod" in host_features() and not os.environ.get(_VARIABLE):
        # Halide 21 does not look for this instruction.
        target = target.with_feature(hl.TargetFeature.ARMDotProd)
    return target


@cache
def target_of_signs() -> Any:
    """The same for a kernel of signs, which counts bits.

    Ice Lake, Tiger Lake and Rocket Lake count the bits of each lane in one instruction. Halide 21 has names
    with this instruction for two later cores only. For a kernel of signs the name of Sapphire Rapids is as
    good: what else that name allows is for fp16, bf16, bytes and matrix tiles, and such a kernel has integers
    of 32 bits and fp32 only.
    """
    target = jit_target()
    named = (hl.TargetFeature.AVX512_Zen4, hl.TargetFeature.AVX512_SapphireRapids)
    if (
        host_features() >= _COUNTS_BITS
        and target.has_feature(hl.TargetFeature.AVX512_Cannonlake)
        and not os.environ.get(_VARIABLE)
        and not any(map(target.has_feature, named))
    ):
        target = target.with_feature(hl.TargetFeature.AVX512_SapphireRapids)
    return target


def is_arm() -> bool:
    """Whether kernels are compiled for Arm."""
    return bool(jit_target().arch == hl.TargetArch.ARM)


@cache
def vector_bytes() -> int:
    """Bytes in a vector register of the processor that kernels are compiled for."""
    return int(jit_target().natural_vector_size(hl.UInt(8)))
