"""Counts at every length from a few, on counts that are made up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from addercost.arithmetic import OpCounts
from addercost.counts.lengths import CountsByLength, Layers
from addercost.counts.model import LayerCounts
from addercost.counts.runs import LayerRuns, Run

Coefficients = tuple[int, int, int]


def layer(adds: int, read: int) -> LayerCounts:
    runs = LayerRuns(Run(2, read), Run(1, read))
    return LayerCounts(
        "block", "Block", "mm", {"mm": 1}, (), 0, OpCounts.of("fp32", add=adds), adds, None, read, 3, runs
    )


def polynomial(coefficients: Coefficients, length: int) -> int:
    constant, linear, square = coefficients
    return constant + linear * length + square * length * (length + 1) // 2


@given(
    st.tuples(*[st.integers(0, 10**12)] * 3),
    st.tuples(*[st.integers(0, 10**6)] * 3),
    st.integers(1, 50),
    st.integers(0, 200),
)
def test_polynomials_of_degree_two_are_exact(
    adds: Coefficients, read: Coefficients, first: int, span: int
) -> None:
    asked: list[int] = []

    def at(length: int) -> Layers:
        asked.append(length)
        return (layer(polynomial(adds, length), polynomial(read, length)),)

    found = CountsByLength(at, first, first + span, 2)
    assert len(set(asked)) <= 4
    for length in {first, first + span // 3, first + span // 2, first + span}:
        assert found.layers(length) == at(length)


@given(st.integers(2, 120), st.integers(1, 9), st.integers(0, 100))
def test_a_window_makes_two_pieces(window: int, slope: int, constant: int) -> None:
    """min(length, window): each cut finds a side that is one piece, so few lengths are asked for."""
    asked: list[int] = []

    def at(length: int) -> Layers:
        asked.append(length)
        n = constant + slope * min(length, window)
        return (layer(n, n),)

    found = CountsByLength(at, 1, 128, 1)
    assert len(set(asked)) <= 3 * 8 + 3
    assert [found.layers(length) for length in range(1, 129)] == [at(length) for length in range(1, 129)]


def test_operations_that_a_length_lacks_are_none_there() -> None:
    """Counts have no entry for 0: the additions at length 1 are on the line of the others."""
    asked: list[int] = []

    def at(length: int) -> Layers:
        asked.append(length)
        return (layer(length - 1, length),)

    found = CountsByLength(at, 1, 40, 1)
    assert len(set(asked)) <= 3
    assert all(found.layers(length) == at(length) for length in range(1, 41))


def test_a_layer_that_runs_from_a_length_on_is_not_interpolated() -> None:
    def at(length: int) -> Layers:
        return (layer(length, 1),) * (1 + (length > 13))

    found = CountsByLength(at, 1, 20, 1)
    assert all(found.layers(length) == at(length) for length in range(1, 21))


def test_a_degree_that_is_too_low_is_noticed() -> None:
    def at(length: int) -> Layers:
        return (layer(length**3, length),)

    found = CountsByLength(at, 1, 40, 1)
    assert all(found.layers(length) == at(length) for length in range(1, 41))


def every_fourth(length: int) -> Layers:
    """A layer that joins four tokens runs at every fourth one."""
    return (layer(length // 4, length), *[layer(8, 8)] * (length % 4 == 3))


def test_where_every_fourth_length_differs_few_are_traced() -> None:
    asked: list[int] = []

    def at(length: int) -> Layers:
        asked.append(length)
        return every_fourth(length)

    found = CountsByLength(at, 512, 1024, 1)
    assert len(set(asked)) <= 8
    assert set(found.sampled) == set(asked)
    for length in (512, 600, 777, 1024):
        before, after = found.around(length)
        assert before <= length <= after
        assert {before, after} <= set(asked)
        assert not any(before < known < after for known in asked)
    assert found.layers(600) == every_fourth(600)


def test_a_layer_at_every_fourth_length_shows_in_a_short_range() -> None:
    """A parabola of the lengths 0, 3 and 6 from the first one is checked at 5: 3 is known, and 4 is even."""

    def at(length: int) -> Layers:
        return (layer(8, 8 + (length % 4 == 1)),)

    found = CountsByLength(at, 512, 518, 2)
    assert [found.layers(length) for length in range(512, 519)] == [at(length) for length in range(512, 519)]


def test_a_length_on_a_piece_needs_no_neighbours() -> None:
    found = CountsByLength(lambda length: (layer(length, length),), 1, 40, 1)
    assert not found.sampled
    assert found.around(17) == (17, 17)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 30))
def test_kinds_are_the_layers_each_once(slopes: list[int], length: int) -> None:
    """Equal layers, wherever they stand, are one kind, with their number."""

    def at(length: int) -> Layers:
        return tuple(layer(slope * length, 1) for slope in slopes)

    kinds = CountsByLength(at, 1, 30, 1).kinds(length)
    assert Counter({one.mac_sites: number for one, number in kinds}) == Counter(
        slope * length for slope in slopes
    )
