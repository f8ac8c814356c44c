"""Units that two instructions share, from how long mixes of them take: the true units are found again."""

import math
import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addercost.measure.host.mixes import times_of
from addercost.measure.host.ports import Mix, shared_units, units

Unit = tuple[float, frozenset[int]]
"""Cycles of work of one instruction, and the units that can do it."""


def stream_cycles(instructions: list[Unit], times: list[float]) -> float:
    """Brute force: of every set of units, the work that only they can do, over their number (max-flow
    min-cut). The longest is how long the best spread takes."""
    all_units = sorted(frozenset().union(*(found for _, found in instructions)))
    longest = 0.0
    for size in range(1, len(all_units) + 1):
        for chosen in map(frozenset, combinations(all_units, size)):
            work = sum(n * w for (w, found), n in zip(instructions, times, strict=True) if found <= chosen)
            longest = max(longest, work / size)
    return longest


def measured(machine: list[Unit], noise: random.Random | None = None):
    """Reciprocal throughputs and mixes as a machine with these units would show them."""
    wobble = (lambda: 1 + noise.uniform(-0.01, 0.01)) if noise else (lambda: 1.0)
    throughputs = [w / len(found) * wobble() for w, found in machine]
    mixes = {}
    for i, j in combinations(range(len(machine)), 2):
        times = times_of(throughputs[i], throughputs[j])
        mixes[i, j] = Mix(*times, stream_cycles([machine[i], machine[j]], list(times)) * wobble())
    return throughputs, mixes


def work(units_text: str, cycles: float = 1.0) -> Unit:
    return cycles, frozenset(map(int, units_text))


ZEN4 = [work("0"), work("0"), work("1"), work("1"), work("01"), work("01"), work("2", 6)]
INTEL = [work("01"), work("01"), work("012"), work("0"), work("2"), work("02"), work("3", 10)]
HALVES = [work("01", 2), work("23", 2), work("12", 2), work("0123", 2), work("0123", 2)]
IN_ORDER = [work("0"), work("0"), work("0")]
SEPARATE = [work("0"), work("1"), work("23"), work("4567")]


@pytest.mark.parametrize("noisy", [False, True], ids=["exact", "one-percent"])
@pytest.mark.parametrize(
    "machine",
    [ZEN4, INTEL, HALVES, IN_ORDER, SEPARATE],
    ids=["two-units", "three-ports", "halves-of-a-unit", "one-unit", "separate"],
)
def test_streams_of_all_instructions_take_what_they_take_on_the_machine(machine, noisy):
    found = shared_units(*measured(machine, random.Random(3) if noisy else None))
    rng = random.Random(5)
    for _ in range(50):
        times = [rng.choice([0, 1, 2, 5, 20]) / w for w, _ in machine]
        true = stream_cycles(machine, times)
        assert stream_cycles(found, times) == pytest.approx(true, rel=0.03 if noisy else 1e-9)


machines = st.lists(st.sets(st.integers(0, 4), min_size=1, max_size=4).map(frozenset), min_size=2, max_size=6)


@given(machines)
def test_pairs_of_any_machine_take_what_was_measured_and_no_stream_is_bound_by_more_than_its_parts(sets):
    machine = [(1.0, found) for found in sets]
    throughputs, mixes = measured(machine)
    found = shared_units(throughputs, mixes)
    for (i, j), mix in mixes.items():
        times = [float(mix.first_count), float(mix.second_count)]
        # Three sets with given intersections may not exist in the plane of whole units, so a pair may
        # share less than it does; it never takes longer than measured.
        assert stream_cycles([found[i], found[j]], times) <= mix.cycles * (1 + 1e-9)


@pytest.mark.parametrize(
    ("doubt", "shares"), [(0.3, False), (0.75, True)], ids=["less-than-half-a-unit", "most-of-a-unit"]
)
def test_a_pair_in_doubt_shares_nothing(doubt, shares):
    """Two single units, of which a share is common: T₁ + T₂ = 2 T take 2 T / (2 - share)."""
    found = shared_units([1.0, 1.0], {(0, 1): Mix(10, 10, 20 / (2 - doubt))})
    assert bool(found[0][1] & found[1][1]) is shares


@pytest.mark.parametrize(("cycles", "expected"), [(0.25, 4), (0.5, 2), (1, 1), (6, 1), (0.01, 8)], ids=str)
def test_how_many_units_a_rate_takes(cycles, expected):
    assert units([cycles], 1) == [expected]


@given(st.floats(0.2, 20), st.floats(0.2, 20))
def test_a_mix_has_equal_shares_of_time(first, second):
    one, other = times_of(first, second)
    assert one >= 1 and other >= 1
    if max(first / second, second / first) < 10:
        assert math.isclose(one * first, other * second, rel_tol=0.35)
