"""Counts of a forward at every length of a text, from traces at a few.

A sum over tokens, pairs of tokens or cached tokens is a polynomial in the length. So are the operations,
bytes and kernels of every layer, but for a layer whose window ends within the range: that one is a polynomial
in pieces. A piece is taken from as many traced lengths as its polynomial has coefficients. It is kept if it
gives every number of one more traced length; else the range is cut in two. The arithmetic is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from addercost.arithmetic import OpClass, OpCounts
from addercost.counts.model import LayerCounts
from addercost.counts.runs import Run, Runs

Layers = tuple[LayerCounts, ...]
_Number = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """The lengths from `first` to `last`, and counts at some of them. A piece of one length has just that."""

    first: int
    last: int
    known: Mapping[int, Layers]

    def at(self, length: int) -> Layers | None:
        """None where the known lengths differ in more than numbers, or a number comes out broken."""
        if length in self.known:
            return self.known[length]
        if len({len(layers) for layers in self.known.values()}) > 1:
            return None
        weights = _lagrange(tuple(self.known), length)
        found = []
        for rows in zip(*self.known.values(), strict=True):
            row = _combined(rows, weights)
            if row is None:
                return None
            found.append(row)
        return tuple(found)


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
            yield _Piece(length, length, {length: count_at(length)})
        return
    lengths = [first + (last - first) * i // (n_points - 1) for i in range(n_points)]
    check = lengths.pop(1)
    piece = _Piece(first, last, {length: count_at(length) for length in lengths})
    if piece.at(check) == tuple(map(_numbers_alone, count_at(check))):
        yield piece
        return
    middle = (first + last) // 2
    yield from _pieces(count_at, first, middle, degree)
    yield from _pieces(count_at, middle + 1, last, degree)


def _lagrange(lengths: Sequence[int], length: int) -> list[Fraction]:
    """Weights w_i with p(length) = Σ w_i · p(length_i) for polynomials of a degree below their number."""
    weights = []
    for i in lengths:
        weight = Fraction(1)
        for j in lengths:
            if j != i:
                weight *= Fraction(length - j, i - j)
        weights.append(weight)
    return weights


def _numbers_alone(layer: LayerCounts) -> LayerCounts:
    """Without what is not compared or differs from length to length in another way."""
    return replace(layer, output_shape=(), call_shapes=(), calls=None)


def _combined(rows: Sequence[LayerCounts], weights: Sequence[Fraction]) -> LayerCounts | None:
    model = _numbers_alone(rows[0])
    if any(row.path != model.path for row in rows):
        return None
    by_row = [_numbers(row) for row in rows]
    found: dict[_Number, int] = {}
    for key in dict.fromkeys(key for numbers in by_row for key in numbers):
        value = sum(weight * numbers.get(key, 0) for weight, numbers in zip(weights, by_row, strict=True))
        if value.denominator != 1 or value < 0:
            return None
        found[key] = int(value)
    return _with_numbers(model, found)


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
        runs = Runs(*(Run(numbers[mode, "calls"], numbers[mode, "bytes"]) for mode in ("eager", "fused")))
    return replace(
        layer,
        ops={key[1]: n for key, n in numbers.items() if key[0] == "op" and n},
        counts=OpCounts.from_mapping(counts),
        mac_sites=numbers[("sites",)],
        bytes_read=numbers[("read",)],
        bytes_written=numbers[("written",)],
        runs=runs,
    )
