"""Every entry of torch's operator database is counted, but for a few that are named with their reason."""

from __future__ import annotations

import pytest

from benchmarks.coverage import NEWER, REMAINDER, Kind, cover, entries, entry_name

ALLOWED = 0.03
SHARES = 20
"""A case takes every twentieth entry, so that only the process that runs the tests imports the database."""


EXHAUSTIVE = pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("first", "samples"),
    [
        *(pytest.param(n, 1, id=f"{n}-one") for n in range(0, SHARES, 2)),
        *(pytest.param(n, None, id=f"{n}-all", marks=EXHAUSTIVE) for n in range(SHARES)),
    ],
)
def test_calls_are_counted(first: int, samples: int | None) -> None:
    """One sample of every second entry, or all that the database has of every one, as
    `python -m benchmarks.coverage` takes.
    """
    faults = {}
    for entry in entries()[first::SHARES]:
        coverage = cover(entry, samples)
        uncounted = coverage.kind is Kind.UNCOUNTED
        if uncounted and coverage.name not in REMAINDER:
            faults[coverage.name] = coverage.uncounted or coverage.problem
        elif not uncounted and coverage.name in REMAINDER:
            faults[coverage.name] = "it is counted now: take it off the list"
    assert faults == {}


def test_the_remainder_is_small() -> None:
    names = [entry_name(entry) for entry in entries()]
    assert {name for name, reason in REMAINDER.items() if reason is not NEWER} <= {*names}
    assert len(names) > 600
    assert len(REMAINDER) / len(names) < ALLOWED
