"""Counts of a forward at every length of a text, from traces at a few.

A sum over tokens, pairs of tokens or cached tokens is a polynomial in the length. So are the operations,
bytes and kernels of every layer, but for a layer whose window ends within the range: that one is a polynomial
in pieces. A piece is taken from as many traced lengths as its polynomial has coefficients. It is kept if it
gives every number of one more traced length; else the range is cut in two. The arithmetic is exact.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from addercost.arithmetic import OpClass, OpCounts
from addercost.counts.model import LayerCounts
from addercost.counts.runs import LayerRuns, Run

Layers = tuple[LayerCounts, ...]
_Number = tuple[str, ...]
"""Which number of a layer: ("count", "mul", "fp32"), ("read",), …"""

_Values = tuple[tuple[_Number, tuple[int, ...]], ...]
"""Numbers of a layer, each at all of the known lengths."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The lengths from `first` to `last`, and counts at those of them that are `known`.

    rows: every layer without its numbers, and its numbers; () where the layers differ between the known
    lengths.
    """

    first: int
    last: int
    known: Mapping[int, Layers]
    rows: tuple[tuple[LayerCounts, _Values], ...]

    def at(self, length: int) -> Layers | None:
        """The counts at that length; None where the known lengths differ in their layers, or where a
        polynomial gives no whole number."""
        if length in self.known:
            return self.known[length]
        weights, divisor = _lagrange(tuple(self.known), length)
        # The blocks of a model are alike, so that few rows have numbers of their own.
        combined: dict[_Values, dict[_Number, int] | None] = {}
        found = []
        for model, values in self.rows:
            if values not in combined:
                combined[values] = _combined(values, weights, divisor)
            numbers = combined[values]
            if numbers is None:
                return None
            found.append(_with_numbers(model, numbers))
        return tuple(found) or None


def _piece(first: int, last: int, known: Mapping[int, Layers]) -> _Piece:
    paths = {tuple(layer.path for layer in layers) for layers in known.values()}
    rows = zip(*known.values(), strict=True) if len(paths) == 1 else ()
    return _Piece(first, last, known, tuple((_numbers_alone(row[0]), _values(row)) for row in rows))


def counts_by_length(
    count_at: Callable[[int], Layers], first: int, last: int, degree: int
) -> Callable[[int], Layers]:
    """A function that gives the counts at any length from `first` to `last`.

    count_at: counts a traced forward of that length. degree: of the polynomials; 1 for a token after so many
    others, 2 for a text that is read at once.
    """
    pieces = tuple(_pieces(cache(count_at), first, last, degree))

    def at(length: int) -> Layers:
        piece = next(piece for piece in pieces if piece.first <= length <= piece.last)
        found = piece.at(length)
        return found if found is not None else count_at(length)

    return at


def _pieces(count_at: Callable[[int], Layers], first: int, last: int, degree: int) -> Iterator[_Piece]:
    n_points = degree + 2
    if last - first < n_points:
        for length in range(first, last + 1):
            yield _piece(length, length, {length: count_at(length)})
        return
    lengths = [first + (last - first) * i // (n_points - 1) for i in range(n_points)]
    check = lengths.pop(1)
    piece = _piece(first, last, {length: count_at(length) for length in lengths})
    if piece.at(check) == tuple(map(_numbers_alone, count_at(check))):
        yield piece
        return
    middle = (first + last) // 2
    yield from _pieces(count_at, first, middle, degree)
    yield from _pieces(count_at, middle + 1, last, degree)


def _lagrange(lengths: Sequence[int], length: int) -> tuple[list[int], int]:
    """Whole weights w_i and a divisor d, with p(length) = Σ w_i · p(length_i) / d for polynomials of a degree
    below their number.
    """
    weights = []
    for i in lengths:
        weight = Fraction(1)
        for j in lengths:
            if j != i:
                weight *= Fraction(length - j, i - j)
        weights.append(weight)
    divisor = math.lcm(*(weight.denominator for weight in weights))
    return [int(weight * divisor) for weight in weights], divisor


def _numbers_alone(layer: LayerCounts) -> LayerCounts:
    """The row without its shapes and calls, which are no polynomials in the length."""
    return replace(layer, output_shape=(), call_shapes=(), calls=None)


def _values(rows: Sequence[LayerCounts]) -> _Values:
    by_row = [_numbers(row) for row in rows]
    keys = dict.fromkeys(key for numbers in by_row for key in numbers)
    return tuple((key, tuple(numbers.get(key, 0) for numbers in by_row)) for key in keys)


def _combined(values: _Values, weights: Sequence[int], divisor: int) -> dict[_Number, int] | None:
    found: dict[_Number, int] = {}
    for key, known in values:
        value, rest = divmod(sum(map(operator.mul, weights, known)), divisor)
        if rest or value < 0:
            return None
        found[key] = value
    return found


def _numbers(layer: LayerCounts) -> dict[_Number, int]:
    numbers: dict[_Number, int] = {
        ("count", op_class.value, number_format): n for op_class, number_format, n in layer.counts
    }
    numbers |= {("op", name): n for name, n in layer.ops.items()}
    numbers |= {
        ("sites",): layer.mac_sites,
        ("read",): layer.bytes_read,
        ("written",): layer.bytes_written,
    }
    if layer.runs is not None:
        for mode, run in zip(("eager", "fused"), layer.runs, strict=True):
            numbers |= {(mode, "calls"): run.calls, (mode, "bytes"): run.n_bytes}
    return numbers


def _with_numbers(layer: LayerCounts, numbers: Mapping[_Number, int]) -> LayerCounts:
    counts = {(OpClass(key[1]), key[2]): n for key, n in numbers.items() if key[0] == "count"}
    runs = layer.runs
    if runs is not None:
        runs = LayerRuns(
            *(Run(numbers[mode, "calls"], numbers[mode, "bytes"]) for mode in ("eager", "fused"))
        )
    return replace(
        layer,
        ops={key[1]: n for key, n in numbers.items() if key[0] == "op" and n},
        counts=OpCounts.from_mapping(counts),
        mac_sites=numbers[("sites",)],
        bytes_read=numbers[("read",)],
        bytes_written=numbers[("written",)],
        runs=runs,
    )
