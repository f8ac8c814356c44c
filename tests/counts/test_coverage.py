"""Every entry of torch's operator database is counted, but for a few that are named with their reason."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.coverage import NEWER, REMAINDER, Kind, cover, entries, entry_name

ENTRIES = entries()
ALLOWED = 0.03
SAMPLES = 2
"""Of each entry; the exhaustive test and `python -m benchmarks.coverage` take all that the database has."""


@pytest.mark.parametrize("entry", ENTRIES, ids=entry_name)
def test_calls_are_counted(entry: Any) -> None:
    check(entry, SAMPLES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("entry", ENTRIES, ids=entry_name)
def test_every_call_is_counted(entry: Any) -> None:
    check(entry, None)


def check(entry: Any, samples: int | None) -> None:
    coverage = cover(entry, samples)
    if coverage.name in REMAINDER:
        assert coverage.kind is Kind.UNCOUNTED, "it is counted now: take it off the list"
    else:
        assert coverage.kind is not Kind.UNCOUNTED, coverage.uncounted or coverage.problem


def test_the_remainder_is_small() -> None:
    names = {entry_name(entry) for entry in ENTRIES}
    assert {name for name, reason in REMAINDER.items() if reason is not NEWER} <= names
    assert len(ENTRIES) > 600
    assert len(REMAINDER) / len(ENTRIES) < ALLOWED
