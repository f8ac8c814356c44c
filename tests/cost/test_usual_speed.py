"""Times of a machine that changes its speed, against values worked out by hand."""

import pytest

from addercost.cost.calibrated.usual_speed import LONGEST, at_usual_speed


@pytest.mark.parametrize(
    ("seconds", "factor", "usual", "expected"),
    [
        pytest.param((2.0, 3.0, 7.0), 1.2, 1.2, 3.0, id="median at the usual speed"),
        pytest.param((3.0,), 1.3, 1.2, 3.0, id="nearly at the usual speed"),
        pytest.param((3.0,), 1.5, 1.2, 2.4, id="slower than usual"),
        pytest.param((2.0, 4.0), 1.0, 1.2, 3.6, id="the mean, quieter than usual"),
        pytest.param((1.0, 1.0, 4.0), 2.0, 1.0, 0.5, id="an interrupted run is left out"),
        pytest.param((1.0, 1.0, LONGEST), 2.0, 1.0, (2 + LONGEST) / 6, id="a long run counts"),
    ],
)
def test_runs_are_brought_to_the_usual_speed(seconds, factor, usual, expected):
    assert at_usual_speed(seconds, factor, usual) == pytest.approx(expected)
