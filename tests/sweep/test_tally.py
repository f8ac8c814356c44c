"""Tallies as a sparse matrix."""

from __future__ import annotations

import numpy as np

from addercost.sweep.tally import Tally, occurrences


def test_occurrences_place_each_count() -> None:
    """Architecture 0 has kind 2 five times and kind 0 once; 1 has none; 2 has kind 1 twice."""
    tallies = [Tally((2, 0), (5, 1)), Tally((), ()), Tally((1,), (2,))]
    assert occurrences(tallies, 3).toarray().tolist() == [[1, 0, 5], [0, 0, 0], [0, 2, 0]]


def test_sums_over_layers_stay_whole_beyond_the_precision_of_floats() -> None:
    """2⁵³ + 1 is no float64."""
    counts = np.array([2**53 + 1], dtype=np.int64)
    assert (occurrences([Tally((0,), (3,))], 1) @ counts).tolist() == [3 * (2**53 + 1)]
