"""Intervals, ratios and what is derived of timings, against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from addercost.results import network_ratio as network_ratios
from addercost.results.environment import differences
from addercost.results.intervals import (
    RatioOutcome,
    block_log_ratios,
    dependence,
    half_width,
    interleaved_ratio,
    median_interval,
    verdict,
)
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements
from addercost.results.network_ratio import network_ratio


def test_alternating_values_do_not_depend_on_each_other() -> None:
    """n = 6, signs + - + - + -: K = ⌈√6⌉ = 3, weights 3/4, 2/4, 1/4, sums of products -5, 4, -3 over 6:
    1 + 2·(0.75·(-5) + 0.5·4 + 0.25·(-3))/6 = 1/6, which is raised to 1."""
    assert dependence([1, 0, 1, 0, 1, 0]) == 1


def test_a_step_depends_on_itself() -> None:
    """n = 6, signs - - - + + +: sums of products 3, 0, -3: 1 + 2·(0.75·3 + 0 + 0.25·(-3))/6 = 1.5."""
    assert dependence([1, 2, 3, 10, 11, 12]) == pytest.approx(1.5)


def test_equal_values_have_no_signs() -> None:
    assert dependence([2.0] * 8) == 1


def test_the_interval_of_a_step_is_wider() -> None:
    """n = 100 in rising order: the signs form one step. The same values in turn are as independent ones."""
    rising = [float(i) for i in range(100)]
    in_turn = [rising[i // 2 if i % 2 else 50 + i // 2] for i in range(100)]
    # Ranks ⌊50 - 9.8⌋ = 40 and ⌈51 + 9.8⌉ = 61, of which the second is counted from 1.
    assert median_interval(in_turn) == (40, 60)
    low, high = median_interval(rising) or (0, 0)
    assert low < 40 and high > 60


@pytest.mark.parametrize("n", [0, 5])
def test_too_few_values_have_no_interval(n: int) -> None:
    assert median_interval([1.0] * n) is None


def test_a_block_is_the_shorter_sample_of_each_side() -> None:
    assert block_log_ratios([2, 3, 8, 4], [1, 5, 9, 4]) == [math.log(2), 0]


@pytest.mark.parametrize(("own", "other"), [([1.0, 2.0], [1.0]), ([1.0], [1.0])])
def test_sides_that_do_not_pair_up(own: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="are no blocks of A B B A"):
        block_log_ratios(own, other)


def test_a_ratio_with_and_without_an_interval() -> None:
    """Every block is 3 to 1, so that the median and its interval are 3."""
    ratio, interval = interleaved_ratio([3.0] * 12, [1.0] * 12)
    assert (ratio, *(interval or ())) == pytest.approx((3, 3, 3))
    assert interleaved_ratio([3.0] * 10, [1.0] * 10)[1] is None


@pytest.mark.parametrize(
    ("interval", "margin", "expected"),
    [
        pytest.param((1.05, 1.2), 0.05, RatioOutcome.CANNOT_TELL, id="at-the-margin"),
        pytest.param((1.06, 1.2), 0.05, RatioOutcome.SLOWER, id="slower"),
        pytest.param((0.5, 1 / 1.05), 0.05, RatioOutcome.CANNOT_TELL, id="at-the-inverse-margin"),
        pytest.param((0.5, 0.95), 0.05, RatioOutcome.FASTER, id="faster"),
        pytest.param(None, 0.05, RatioOutcome.CANNOT_TELL, id="nothing"),
    ],
)
def test_outcomes(interval: tuple[float, float] | None, margin: float, expected: RatioOutcome) -> None:
    assert verdict(interval, margin) is expected


def test_half_widths() -> None:
    assert half_width((3, 5), 4) == 0.25
    assert half_width(None, 4) == math.inf


def row(path: str, seconds: float, reference_s: float, **fields: Any) -> MeasuredRow:
    return MeasuredRow(
        path=path,
        arithmetic="adder",
        samples_s=(seconds,) * 12,
        implementation="ours",
        reference="torch conv2d fp32",
        reference_samples_s=(reference_s,) * 12,
        **fields,
    )


def test_what_a_row_derives() -> None:
    made = row("a", 2.0, 1.0, sites=10, bytes_moved=4, limit_sites_per_s=20.0, paths=("a", "b"))
    assert made.median_s == 2
    assert made.interval_s == (2, 2) and made.spread == 0
    assert made.ratio is not None and made.ratio[0] == pytest.approx(2)
    assert made.sites_per_s == 5 and made.share_of_limit == 0.25
    assert made.intensity == 2 * 10 / 4
    assert made.times == 2
    assert made.label == "a adder ours"


def test_what_a_row_cannot_derive() -> None:
    bare = MeasuredRow("", "mac", (1.0,))
    assert (bare.label, bare.times) == ("(model) mac", 1)
    assert (bare.interval_s, bare.spread, bare.ratio) == (None, None, None)
    assert (bare.sites_per_s, bare.share_of_limit, bare.intensity) == (None, None, None)
    assert MeasuredRow("", "mac", (1.0,), sites=4).share_of_limit is None
    assert MeasuredRow("", "mac", (1.0,), limit_sites_per_s=4.0).share_of_limit is None


def test_a_failed_row() -> None:
    failed = FailedRow("", "adder", "", "fp32", "no kernel", paths=("a", "b", "c"))
    assert (failed.label, failed.times) == ("(model) adder fp32", 3)
    assert FailedRow("a", "adder", "ours", "fp32", "no kernel").times == 1


def measured(*rows: MeasuredRow, failed: tuple[FailedRow, ...] = ()) -> Measurements:
    return Measurements("net", {}, rows, failed=failed)


def test_a_network_is_the_sum_of_its_layers() -> None:
    """Layers of 1 and 3 s against 2 and 4 s, the second twice: (2 + 2·4) / (1 + 2·3) = 10/7."""
    ratio = network_ratio(
        measured(
            row("a", 1.0, 2.0, positions=(0,), converged=True),
            row("b", 3.0, 4.0, paths=("b", "c"), positions=(1, 2), converged=False),
            MeasuredRow("z", "mac", (9.0,) * 12, reference="x", reference_samples_s=(1.0,) * 12),
            failed=(
                FailedRow("d", "adder", "ours", "fp32", "no kernel", paths=("d", "e")),
                FailedRow("f", "adder", "ours", "fp32", "no kernel"),
                FailedRow("g", "mac", "ours", "fp32", "no kernel"),
            ),
        ),
        "adder",
        "ours",
        "fp32",
    )
    assert ratio is not None
    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((10 / 7,) * 3)
    assert (ratio.layers, ratio.unconverged, ratio.left_out) == (3, 2, ("d", "e", "f"))
    assert (ratio.own, ratio.reference) == ("ours fp32", "torch conv2d fp32")
    assert ratio.share_of_limit is None
    assert ratio.verdict is RatioOutcome.FASTER


def test_the_first_and_the_last_layer_can_stay_as_they_are() -> None:
    """Positions 0 and 2 count 2 s and 4 s on both sides: (2 + 4 + 4) / (2 + 3 + 4) = 10/9."""
    rows = (row("a", 1.0, 2.0, positions=(0,)), row("b", 3.0, 4.0, paths=("b", "c"), positions=(1, 2)))
    kept = network_ratio(measured(*rows), "adder", "ours", "fp32", keep_first_last=True)
    assert kept is not None and kept.ratio == pytest.approx(10 / 9)


def test_only_the_first_and_the_last_layer_stay_as_they_are() -> None:
    """Positions 0 and 2 take 2 and 16 s on both sides, position 1 takes 3 against 6 s: 24/21."""
    rows = (
        row("a", 1.0, 2.0, positions=(0,)),
        row("b", 3.0, 6.0, positions=(1,)),
        row("c", 5.0, 16.0, positions=(2,)),
    )
    kept = network_ratio(measured(*rows), "adder", "ours", "fp32", keep_first_last=True)
    assert kept is not None and kept.ratio == pytest.approx(24 / 21)
    assert (kept.own_s, kept.reference_s) == pytest.approx((21, 24))


def test_the_time_of_a_block_is_the_mean_of_its_two_samples() -> None:
    """Blocks of 1 and 3, 2 and 4, 5 and 5 s have means of 2, 3 and 5 s, whose median is 3 s."""
    uneven = MeasuredRow(
        "a", "adder", (1.0, 3.0, 2.0, 4.0, 5.0, 5.0), "ours", reference="x", reference_samples_s=(6.0,) * 6
    )
    ratio = network_ratio(measured(uneven), "adder", "ours", "fp32")
    assert ratio is not None and (ratio.own_s, ratio.reference_s) == pytest.approx((3, 6))


def test_the_times_of_a_network_are_those_that_were_measured() -> None:
    """The median of 1 to 9 s, and of ten times as much, and none that was drawn."""
    own = tuple(float(i) for i in range(1, 10) for _ in range(2))
    rising = MeasuredRow(
        "a", "adder", own, "ours", reference="x", reference_samples_s=tuple(10 * i for i in own)
    )
    ratio = network_ratio(measured(rising), "adder", "ours", "fp32")
    assert ratio is not None and (ratio.own_s, ratio.reference_s) == pytest.approx((5, 50))


def test_as_many_neighbours_are_drawn_as_the_cube_root_of_the_blocks() -> None:
    """Of four blocks, 1, 3, 3 and 3 s, two neighbours: the first comes with the second, so that no median is
    below 2 s. Drawn one by one the first would be three of four in 13 of 256 cases, with a median of 1 s."""
    early = MeasuredRow(
        "a", "adder", (1.0,) * 2 + (3.0,) * 6, "ours", reference="x", reference_samples_s=(1.0,) * 8
    )
    ratio = network_ratio(measured(early), "adder", "ours", "fp32")
    assert ratio is not None
    assert (ratio.low, ratio.high) == pytest.approx((1 / 3, 1 / 2))


class Ends:
    """In place of a random generator: draws always the least, or always the most that it may."""

    def __init__(self, most: bool) -> None:
        self.most = most

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int_]:
        return np.full(shape, high - 1 if self.most else low)


@pytest.mark.parametrize(("most", "median_s"), [(False, 1.5), (True, 7.5)], ids=["first", "last"])
def test_neighbours_are_drawn_from_the_first_block_to_the_last(most: bool, median_s: float) -> None:
    """Of eight blocks of 1 to 8 s two neighbours: again and again 1 and 2 s, or 7 and 8 s."""
    own = tuple(float(i) for i in range(1, 9) for _ in range(2))
    rising = MeasuredRow("a", "adder", own, "ours", reference="x", reference_samples_s=own)
    drawn, _ = network_ratios._draws(rising, Ends(most))  # type: ignore[arg-type]
    assert drawn[0] == 4.5 and set(drawn[1:]) == {median_s}


def test_every_block_can_be_drawn() -> None:
    """Of three blocks of 1, 2 and 3 s one is drawn at a time. Each of them is the median of three draws in 7,
    13 and 7 of 27 cases, so that the interval reaches from 1/3 to 1."""
    rising = MeasuredRow(
        "a", "adder", (1.0, 1.0, 2.0, 2.0, 3.0, 3.0), "ours", reference="x", reference_samples_s=(1.0,) * 6
    )
    ratio = network_ratio(measured(rising), "adder", "ours", "fp32")
    assert ratio is not None
    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((1 / 2, 1 / 3, 1))


def test_blocks_that_follow_each_other_are_drawn_together() -> None:
    """Of four blocks of 1, 1, 3 and 3 s two neighbours are drawn twice. In one of nine cases they are the
    last two both times, in two of nine the last two and the middle ones: then the median is 3 s."""
    step = MeasuredRow(
        "a", "adder", (1.0,) * 4 + (3.0,) * 4, "ours", reference="x", reference_samples_s=(1.0,) * 8
    )
    ratio = network_ratio(measured(step), "adder", "ours", "fp32")
    assert ratio is not None
    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((1 / 2, 1 / 3, 1))


def test_the_share_of_the_limit_of_a_network() -> None:
    """10 sites at 20/s and three times 30 at 10/s take at least 0.5 + 9 s; they took 1 + 3·4 s."""
    ratio = network_ratio(
        measured(
            row("a", 1.0, 1.0, sites=10, limit_sites_per_s=20.0),
            row("b", 4.0, 4.0, sites=30, limit_sites_per_s=10.0, paths=("b", "c", "d")),
        ),
        "adder",
        "ours",
        "fp32",
    )
    assert ratio is not None and ratio.share_of_limit == pytest.approx(9.5 / 13)
    assert ratio.verdict is RatioOutcome.CANNOT_TELL


def test_a_network_needs_rows_with_enough_blocks() -> None:
    """Three blocks A B B A are six samples of each side."""
    short = MeasuredRow("a", "adder", (1.0,) * 4, "ours", reference="x", reference_samples_s=(1.0,) * 4)
    enough = MeasuredRow("a", "adder", (1.0,) * 6, "ours", reference="x", reference_samples_s=(1.0,) * 6)
    assert network_ratio(measured(short), "adder", "ours", "fp32") is None
    assert network_ratio(measured(enough), "adder", "ours", "fp32") is not None
    assert network_ratio(measured(enough), "adder", "theirs", "fp32") is None


def test_the_interval_of_a_network_follows_the_noise_of_its_layers() -> None:
    """Six blocks of 1 s, then six of 2 s, against 1 s: medians drawn again reach from 1 to 2 s."""
    noisy = MeasuredRow(
        "a",
        "adder",
        (1.0,) * 12 + (2.0,) * 12,
        "ours",
        reference="x",
        reference_samples_s=(1.0,) * 24,
    )
    ratio = network_ratio(measured(noisy), "adder", "ours", "fp32")
    assert ratio is not None
    assert (ratio.ratio, ratio.low, ratio.high) == pytest.approx((1 / 1.5, 1 / 2, 1))


def test_environments_differ_in_what_makes_timings_incomparable() -> None:
    one = {"cpu": "a", "threads": "1", "date": "x", "commit": "y", "addercost": "1"}
    other = {"cpu": "b", "threads": "1", "date": "z", "torch": "2"}
    assert differences(one, other) == ["cpu: a, b", "torch: not recorded, 2"]
    assert differences(one, {"threads": "1"}) == ["cpu: a, not recorded"]
    assert differences(one, one) == []
