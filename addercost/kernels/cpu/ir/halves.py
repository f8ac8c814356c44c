"""Numbers in fp32, fp16 and bf16 that loops load as fp32 and round once when they store them."""

from __future__ import annotations

from typing import Any

import llvmlite.ir as ir
import torch

from addercost.kernels.cpu.ir.build import FLOAT, I16, I32
from addercost.kernels.cpu.ir.native import host_features
from addercost.kernels.cpu.ir.vectors import constant, masked_load, vector
from addercost.kernels.cpu.processor import is_arm

_HALF = ir.HalfType()
_HALVES = (torch.float16, torch.bfloat16)
STORED = {torch.float32: FLOAT, torch.float16: I16, torch.bfloat16: I16}
"""The type in which loops load and store the numbers of a format: bits where LLVM has to convert them."""


def converts(dtype: torch.dtype) -> bool:
    """Whether one instruction converts this format to fp32. Every processor shifts bf16."""
    return dtype in STORED and (dtype != torch.float16 or is_arm() or "f16c" in host_features())


def load(code: Any, dtype: torch.dtype, lanes: int, place: Any, mask: Any = None) -> Any:
    """A vector of fp32 from numbers of this format at address `place`. Lanes that the mask does not select
    are 0."""
    kind = vector(STORED[dtype], lanes)
    align = align_of(dtype)
    if mask is None:
        return as_fp32(code, dtype, code.load(place, align=align, typ=kind))
    return as_fp32(code, dtype, masked_load(code, kind, place, mask, align=align))


def as_fp32(code: Any, dtype: torch.dtype, stored: Any) -> Any:
    """A vector of fp32 from stored numbers of half precision; numbers of another type as they are."""
    lanes = stored.type.count
    if dtype == torch.float16:
        return code.fpext(code.bitcast(stored, vector(_HALF, lanes)), vector(FLOAT, lanes))
    if dtype == torch.bfloat16:
        words = vector(I32, lanes)
        return code.bitcast(code.shl(code.zext(stored, words), constant(words, 16)), vector(FLOAT, lanes))
    return stored


def store(code: Any, dtype: torch.dtype, value: Any, place: Any) -> None:
    """Stores a number or a vector, in half precision as `as_stored` makes it."""
    code.store(as_stored(code, dtype, value), place, align=align_of(dtype))


def align_of(dtype: torch.dtype) -> int:
    """Bytes that the address of a number of this type is a multiple of."""
    return 2 if dtype in _HALVES else 4


def as_stored(code: Any, dtype: torch.dtype, value: Any) -> Any:
    """A number or a vector as it is stored. In fp16 and bf16, fp32 is rounded to the nearest, ties to even.
    Any NaN becomes the same one in bf16, since rounding could make a zero of it.
    """
    if dtype not in _HALVES:
        return value
    floats = value.type

    def like(element: Any) -> Any:
        return vector(element, floats.count) if isinstance(floats, ir.VectorType) else element

    if dtype == torch.float16:
        return code.bitcast(code.fptrunc(value, like(_HALF)), like(I16))
    words = like(I32)
    one, half, last, nan = (constant(words, number) for number in (1, 16, 0x7FFF, 0x7FC0))
    bits = code.bitcast(value, words)
    odd = code.and_(code.lshr(bits, half), one)
    rounded = code.lshr(code.add(code.add(bits, last), odd), half)
    return code.trunc(code.select(code.fcmp_unordered("uno", value, value), nan, rounded), like(I16))
