"""Counts of a forward at every length of a text, from traces at a few lengths.

A sum over tokens, pairs of tokens or cached tokens is a polynomial in the length. So are the operations,
bytes and kernels of every layer. The exception is a layer whose attention window ends within the range: its
counts are polynomials in pieces. A piece is fitted to as many traced lengths as its polynomial has
coefficients. It is kept if it predicts every number of one further traced length; otherwise the range is cut
in two. The arithmetic is exact. Where cutting does not help, as with layers that join every fourth token, the
range has only the lengths that were traced.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.model import LayerCounts
from addercost.counts.runs import LayerRuns, Run

Layers = tuple[LayerCounts, ...]
_Number = tuple[str, ...]
"""The name of one of a layer's numbers: ("count", "mul", "fp32"), ("read",), …"""

_Values = tuple[tuple[_Number, tuple[int, ...]], ...]
"""Numbers of a layer, each at all traced lengths."""


Kinds = tuple[tuple[LayerCounts, int], ...]
"""Layers that differ only in their names: one of each kind, with the number of layers of that kind."""

_Rows = tuple[tuple[LayerCounts, _Values], ...]
"""Layers without their numbers, each with its numbers apart."""

_MOST_FAULTY = 1
"""The most ranges of equal length that are no pieces and are cut again. A window makes one, since it ends at
one length.
"""


@dataclass(frozen=True, slots=True)
class _Piece:
    """The lengths from `first` to `last`, with the counts at the traced lengths (`known`).

    rows: every layer; () where the traced lengths have different layers. kinds: one row of each kind.
    n_of_kind: how many layers each kind has. has_gaps: the counts between the traced lengths do not follow
    from these.
    """

    first: int
    last: int
    known: Mapping[int, Layers]
    rows: _Rows
    kinds: _Rows
    n_of_kind: tuple[int, ...]
    has_gaps: bool = False

    def layers(self, length: int) -> Layers | None:
        """The counts at this length. None if the traced lengths have different layers, or if a polynomial
        gives no integer.
        """
        return self.known[length] if length in self.known else self._at(length, self.rows)

    def kinds_at(self, length: int) -> Kinds | None:
        found = self._at(length, self.kinds)
        return None if found is None else tuple(zip(found, self.n_of_kind, strict=True))

    def _at(self, length: int, rows: _Rows) -> Layers | None:
        weights, divisor = _lagrange(tuple(self.known), length)
        # The blocks of a model are alike, so only few rows have different numbers.
        combined: dict[_Values, dict[_Number, int] | None] = {}
        found = []
        for model, values in rows:
            if values not in combined:
                combined[values] = _combined(values, weights, divisor)
            numbers = combined[values]
            if numbers is None:
                return None
            found.append(_with_numbers(model, numbers))
        return tuple(found) or None


def _piece(first: int, last: int, known: Mapping[int, Layers]) -> _Piece:
    paths = {tuple(layer.path for layer in layers) for layers in known.values()}
    layers = zip(*known.values(), strict=True) if len(paths) == 1 else ()
    rows = tuple((_numbers_alone(of_layer[0]), _values(of_layer)) for of_layer in layers)
    kinds: dict[tuple[Arithmetic | None, _Values], tuple[LayerCounts, _Values]] = {}
    n_of_kind: Counter[tuple[Arithmetic | None, _Values]] = Counter()
    for row in rows:
        kind = (row[0].arithmetic, row[1])
        kinds.setdefault(kind, row)
        n_of_kind[kind] += 1
    return _Piece(first, last, known, rows, tuple(kinds.values()), tuple(n_of_kind[kind] for kind in kinds))


class CountsByLength:
    """The counts at any length from `first` to `last`.

    count_at: counts a traced forward of that length. degree: of the polynomials. It is 1 for one token after
    many others, and 2 for a text that is read at once.
    """

    def __init__(self, count_at: Callable[[int], Layers], first: int, last: int, degree: int) -> None:
        self.first, self.last = first, last
        self._count_at = cache(count_at)
        self._pieces = tuple(_pieces(self._count_at, first, last, degree))

    def layers(self, length: int) -> Layers:
        found = self._piece(length).layers(length)
        return found if found is not None else self._count_at(length)

    def kinds(self, length: int) -> Kinds:
        """The same layers, with each kind once. This suffices for sums and takes a fraction of the time."""
        found = self._piece(length).kinds_at(length)
        return found if found is not None else tuple((layer, 1) for layer in self._count_at(length))

    def around(self, length: int) -> tuple[int, int]:
        """(length, length) where the counts at this length follow from those at others; else the traced
        lengths before and after it.
        """
        piece = self._piece(length)
        if not piece.has_gaps:
            return length, length
        before = max(known for known in piece.known if known <= length)
        return before, min(known for known in piece.known if known >= length)

    @property
    def sampled(self) -> tuple[int, ...]:
        """The traced lengths of ranges in which the counts at other lengths do not follow from them."""
        return tuple(n for piece in self._pieces if piece.has_gaps for n in sorted(piece.known))

    def _piece(self, length: int) -> _Piece:
        return next(piece for piece in self._pieces if piece.first <= length <= piece.last)


def _pieces(count_at: Callable[[int], Layers], first: int, last: int, degree: int) -> list[_Piece]:
    """Pieces from `first` to `last`, in order."""
    found: list[_Piece] = []
    traced: set[int] = set()
    ranges = [(first, last)]
    while ranges:
        tried = [_fitted(count_at, low, high, degree) for low, high in ranges]
        traced.update(length for pieces in tried for piece in pieces for length in piece.known)
        found += [piece for pieces in tried for piece in pieces if not piece.has_gaps]
        faulty = [pieces[0] for pieces in tried if pieces[0].has_gaps]
        if len(faulty) > _MOST_FAULTY:
            for piece in faulty:
                there = (length for length in sorted(traced) if piece.first <= length <= piece.last)
                found.append(replace(piece, known={length: count_at(length) for length in there}))
            break
        ranges = [half for piece in faulty for half in _halves(piece.first, piece.last)]
    return sorted(found, key=lambda piece: piece.first)


def _halves(first: int, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = (first + last) // 2
    return (first, middle), (middle + 1, last)


def _fitted(count_at: Callable[[int], Layers], first: int, last: int, degree: int) -> list[_Piece]:
    """One piece, or one for each length of a short range."""
    span = last - first
    if span < degree + 2:
        return [_piece(length, length, {length: count_at(length)}) for length in range(first, last + 1)]
    lengths = [first + span * i // degree for i in range(degree + 1)]
    # An odd distance from the first one, so that a layer that runs at every second or fourth token shows.
    check = next(n for n in range(first + (span * 2 // 5 | 1), last, 2) if n not in lengths)
    known = {length: count_at(length) for length in lengths}
    piece = _piece(first, last, known)
    at_check = count_at(check)
    if piece.layers(check) == tuple(map(_numbers_alone, at_check)):
        return [piece]
    return [_Piece(first, last, {**known, check: at_check}, (), (), (), has_gaps=True)]


def _lagrange(lengths: Sequence[int], length: int) -> tuple[list[int], int]:
    """Integer weights w_i and a divisor d with p(length) = Σ w_i · p(length_i) / d, for every polynomial
    whose degree is below the number of lengths.
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
    """The row without its shapes and calls, which are not polynomials in the length."""
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
