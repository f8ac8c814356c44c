"""What is derived of the predictions of training runs, against values worked out by hand."""

from __future__ import annotations

import pytest

from addercost.errors import DataError
from addercost.results.accuracies import (
    METHODS,
    SIGNIFICANT,
    Accuracies,
    Difference,
    MethodResult,
    SeedRun,
    paired,
    permutation_p,
    standard_error,
)

METHOD = next(iter(METHODS))


def result(labels: str, *predicted: str) -> MethodResult:
    runs = [SeedRun(METHOD, seed, "net", digits) for seed, digits in enumerate(predicted)]
    return MethodResult(METHOD, labels, tuple(runs))


def test_accuracies_are_shares_of_images_by_seed_and_of_seeds_by_image() -> None:
    """Seeds are right in 3 and in 1 of 4 images; images in 2, 1, 1 and 0 of 2 seeds."""
    two = result("0123", "0129", "0999")
    assert two.by_seed == (75, 25)
    assert two.mean == 50
    assert two.spread == pytest.approx(50 / 2**0.5)  # √(25² + 25²) of one degree of freedom
    assert two.by_image == (100, 50, 50, 0)


def test_one_seed_has_no_spread() -> None:
    assert result("01", "00").spread == 0.0


@pytest.mark.parametrize(
    ("values", "error"),
    [
        pytest.param([3.0], 0.0, id="one"),
        # Deviations ±1: √(2 / 1) / √2.
        pytest.param([2.0, 4.0], 1.0, id="two"),
        # Deviations -1, 0, 1: √(2 / 2) / √3.
        pytest.param([1.0, 2.0, 3.0], 3**-0.5, id="three"),
    ],
)
def test_the_standard_error_of_a_mean(values: list[float], error: float) -> None:
    assert standard_error(values) == pytest.approx(error)


@pytest.mark.parametrize(
    ("points", "image_error", "seed_p", "verdict"),
    [
        pytest.param(0.5, 0.1, 0.01, "above", id="half a point above"),
        pytest.param(-0.5, 0.1, 0.01, "below", id="half a point below"),
        pytest.param(2.0, 0.1, SIGNIFICANT, "above", id="as unlikely as it must be"),
        pytest.param(2.0, 0.1, SIGNIFICANT + 0.01, "cannot tell", id="other seeds explain it"),
        pytest.param(2.0, 1.0, 0.01, "cannot tell", id="twice the error"),
        pytest.param(2.0, 0.99, 0.01, "above", id="more than twice the error"),
        pytest.param(0.0, 0.0, 0.01, "cannot tell", id="equal"),
    ],
)
def test_a_difference_needs_other_images_and_seeds_not_to_explain_it(
    points: float, image_error: float, seed_p: float, verdict: str
) -> None:
    assert Difference("a", "b", points, image_error, seed_p).verdict == verdict


def test_methods_are_paired_by_image() -> None:
    """100 - 0, 100 - 100, 0 - 0: a third of 100 points, from deviations 200/3, -100/3, -100/3."""
    found = paired(result("012", "019"), result("012", "919"))
    assert found.points == pytest.approx(100 / 3)
    assert found.image_error == pytest.approx(100 / 3)
    # Two values can be dealt in two ways, which are equally far apart.
    assert found.seed_p == 1


def test_methods_of_other_test_images_do_not_pair_up() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired(result("012", "012"), result("01", "01"))


def test_the_chance_of_a_difference_if_runs_were_dealt_at_random() -> None:
    """Of the 6 ways to choose 2 of 1, 2, 3, 4 only {1, 2} and {3, 4} have means 2 apart."""
    assert permutation_p([1, 2], [3, 4]) == pytest.approx(2 / 6)
    # Of 3 ways, {4} is 2.5 from {1, 2}; {1} is 2 from {2, 4}.
    assert permutation_p([4], [1, 2]) == pytest.approx(1 / 3)
    assert permutation_p([1], [2, 4]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("labels", "predicted"), [("01", "0"), ("01", "012"), ("", "")])
def test_every_test_image_has_a_prediction(labels: str, predicted: str) -> None:
    with pytest.raises(DataError, match=f"seed 3: {len(predicted)} predictions"):
        Accuracies("digits", labels, (SeedRun(METHOD, 3, "net", predicted),))


def test_runs_of_a_method_are_in_the_order_of_their_seeds() -> None:
    runs = tuple(SeedRun(METHOD, seed, "net", "0") for seed in (2, 0, 1))
    found = Accuracies("digits", "0", runs).of(METHOD)
    assert found is not None and [run.seed for run in found.runs] == [0, 1, 2]
    other = next(name for name in METHODS if name != METHOD)
    assert Accuracies("digits", "0", runs).of(other) is None
