"""Vectors in LLVM IR: constants, masks, and loads and stores of the lanes that a mask selects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.ir as ir

from addercost.kernels.cpu.ir.build import FLOAT, I1, I32, I64, POINTER, VOID, call

vector = ir.VectorType
"""The type vector(element, lanes)."""


def constant(kind: Any, value: float | Sequence[int]) -> Any:
    """A constant vector: the same number in every lane, or one number for each lane."""
    return _constant(kind, tuple(value) if isinstance(value, Sequence) else value)


def zeros(kind: Any) -> Any:
    return _constant(kind, 0.0 if kind.element == FLOAT else 0)


@cache
def _constant(kind: Any, value: float | tuple[int, ...]) -> Any:
    # The result is cached, because llvmlite takes longer to print a vector of floats than most instructions.
    return ir.Constant(kind, list(value) if isinstance(value, tuple) else value)


def bits(kind: Any) -> Any:
    """The type of a mask with this many lanes."""
    return vector(I1, kind.count)


def splat(code: Any, value: Any, lanes: int) -> Any:
    """A vector with this value in every lane."""
    kind = vector(value.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = code.insert_element(undefined, value, I64(0))
    return code.shuffle_vector(first, undefined, ir.Constant(vector(I32, lanes), 0))


def picked(code: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
    """The chosen lanes of two vectors. The lanes of the second are numbered after those of the first."""
    return code.shuffle_vector(a, b, constant(vector(I32, len(lanes)), lanes))


def picked_of(code: Any, a: Any, lanes: Sequence[int]) -> Any:
    """The chosen lanes of one vector."""
    return picked(code, a, ir.Constant(a.type, ir.Undefined), lanes)


def lanes_below(code: Any, limit: Any, lanes: int) -> Any:
    """A mask of the lanes whose number is below `count`, a 64-bit integer."""
    limits = splat(code, code.trunc(limit, I32), lanes)
    return code.icmp_signed("<", constant(vector(I32, lanes), range(lanes)), limits)


def any_set(code: Any, mask: Any) -> Any:
    """Whether any bit of the mask is set."""
    word = code.bitcast(mask, ir.IntType(mask.type.count))
    return code.icmp_unsigned("!=", word, word.type(0))


def fma(code: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once."""
    return call(code, f"llvm.fma.{_suffix(a.type)}", a.type, a, b, c)


def absolute(code: Any, a: Any) -> Any:
    """The absolute values of a vector of floats."""
    return call(code, f"llvm.fabs.{_suffix(a.type)}", a.type, a)


def lane_sum(code: Any, a: Any) -> Any:
    """The sum of all lanes. Each step adds the two halves of the vector."""
    add = code.fadd if a.type.element == FLOAT else code.add
    while a.type.count > 1:
        half = a.type.count // 2
        a = add(picked_of(code, a, range(half)), picked_of(code, a, range(half, 2 * half)))
    return code.extract_element(a, I64(0))


def addresses(code: Any, element: Any, start: Any, offsets: Any) -> Any:
    """The addresses `start` + offset for each of a vector of offsets, counted in elements of this type."""
    places = code.gep(start, [offsets], source_etype=element)
    # The builder takes the result's type from `start`.
    places.type = vector(POINTER, offsets.type.count)
    return places


def masked_load(code: Any, kind: Any, place: Any, mask: Any, align: int, others: Any = None) -> Any:
    """The vector at address `place`. Lanes that the mask does not select have the value of `others`, by
    default zero.
    """
    others = zeros(kind) if others is None else others
    return call(code, f"llvm.masked.load.{_suffix(kind)}.p0", kind, place, I32(align), mask, others)


def masked_store(code: Any, value: Any, place: Any, mask: Any, align: int) -> None:
    call(code, f"llvm.masked.store.{_suffix(value.type)}.p0", VOID, value, place, I32(align), mask)


def masked_gather(code: Any, kind: Any, places: Any, mask: Any, align: int, others: Any) -> Any:
    """One element from each of a vector of addresses; unselected lanes as in `masked_load`."""
    name = f"llvm.masked.gather.{_suffix(kind)}.v{kind.count}p0"
    return call(code, name, kind, places, I32(align), mask, others)


def masked_scatter(code: Any, value: Any, places: Any, mask: Any, align: int) -> None:
    """Stores one element to each selected address."""
    name = f"llvm.masked.scatter.{_suffix(value.type)}.v{value.type.count}p0"
    call(code, name, VOID, value, places, I32(align), mask)


def _suffix(kind: Any) -> str:
    """The part of an LLVM intrinsic's name that gives a vector's type, such as `v16f32`."""
    return f"v{kind.count}{'f32' if kind.element == FLOAT else kind.element}"
