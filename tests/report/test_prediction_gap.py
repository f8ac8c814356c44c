"""Which side of a contest is further from its prediction, and what most of the difference is."""

from __future__ import annotations

import pytest

from addercost.analysis.prediction_gap import PredictionGap, Side
from addercost.report.tables.verdict_sentences import same_winner
from addercost.results.network_ratio import NetworkRatio


@pytest.mark.parametrize(
    ("side", "words"),
    [
        pytest.param(Side("x", 1.02, 1.0), "as predicted", id="within 3 %"),
        pytest.param(Side("x", 0.9, 1.0), "a unit or by a loop that the table lacks", id="beyond the limit"),
        pytest.param(Side("x", 2.0, 1.0), "mostly its kernels", id="nothing else is known"),
        pytest.param(Side("x", 2.0, 1.0, memory_s=0.6, calls_s=0.1), "mostly memory", id="0.6 of 1.0"),
        pytest.param(Side("x", 2.0, 1.0, memory_s=0.1, calls_s=0.6), "mostly calls", id="calls"),
        pytest.param(Side("x", 2.0, 1.0, memory_s=0.3, calls_s=0.3), "mostly its kernels", id="rest"),
    ],
)
def test_the_largest_part_of_the_difference(side: Side, words: str) -> None:
    assert words in side.reason


def test_the_side_further_from_its_prediction_is_to_blame() -> None:
    """Half of what is predicted is as far as twice."""
    near, far = Side("near", 1.5, 1.0), Side("far", 0.5, 1.0)
    assert PredictionGap(near, far, True).to_blame is far
    assert PredictionGap(Side("slow", 3.0, 1.0), far, True).to_blame.name == "slow"


@pytest.mark.parametrize(
    ("predicted", "measured", "expected"),
    [
        pytest.param(1.5, (1.2, 1.1, 1.3), True, id="the other wins in both"),
        pytest.param(0.5, (0.8, 0.7, 0.9), True, id="convolutions win in both"),
        pytest.param(1.5, (0.8, 0.7, 0.9), False, id="opposite"),
        pytest.param(1.0, (0.8, 0.7, 0.9), None, id="a tie is predicted"),
        pytest.param(1.5, (1.0, 0.9, 1.1), None, id="cannot tell"),
        pytest.param(None, (0.8, 0.7, 0.9), None, id="no prediction"),
    ],
)
def test_same_winner(
    predicted: float | None, measured: tuple[float, float, float], expected: bool | None
) -> None:
    ratio, low, high = measured
    assert same_winner(predicted, NetworkRatio(ratio, low, high, "own", "reference", 1)) is expected
