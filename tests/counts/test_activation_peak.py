"""The most that intermediate results take at once, against a sum over every call."""

from __future__ import annotations

import random

import pytest

from addercost.counts.peak_memory import activation_peak_bytes
from addercost.trace.record import OpCall, Storage, Trace

CALLS = 12


def trace_of(storages: tuple[Storage, ...] | None) -> Trace:
    calls = tuple(OpCall("aten.relu.default", "", {}, (), i) for i in range(CALLS))
    return Trace("model", calls, {}, {}, storages=storages)


@pytest.mark.parametrize("seed", range(20))
def test_peak_is_the_largest_sum_over_calls(seed: int) -> None:
    """Storages of 1, 10, 100 … bytes, so that each sum shows which were in use."""
    draw = random.Random(seed)
    passing = []
    for i in range(8):
        made = draw.randrange(CALLS)
        passing.append(Storage(10**i, made=made, freed=draw.choice([None, draw.randrange(made, CALLS)])))
    others = [Storage(7, "parameter"), Storage(8, "input"), Storage(9, "buffer")]
    cache = [Storage(5, made=2), Storage(5, made=3)]
    expected = max(
        sum(s.n_bytes for s in passing if s.made <= call and (s.freed is None or call <= s.freed))
        for call in range(CALLS)
    )
    everything = [*passing, *others, *cache]
    draw.shuffle(everything)
    assert activation_peak_bytes(trace_of(tuple(everything)), (5, 5)) == expected


def test_a_cache_is_as_many_storages_as_are_kept() -> None:
    """Of two storages of 5 bytes that outlive the forward one is the cache; one that is freed never is."""
    storages = (Storage(5, made=0), Storage(5, made=0), Storage(5, made=0, freed=CALLS - 1))
    assert activation_peak_bytes(trace_of(storages), (5,)) == 10
    assert activation_peak_bytes(trace_of(storages), ()) == 15
    assert activation_peak_bytes(trace_of(None), ()) is None


def test_without_calls_nothing_is_in_use() -> None:
    assert activation_peak_bytes(Trace("model", (), {}, {}, storages=()), ()) == 0
