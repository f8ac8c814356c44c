"""Intervals and verdicts on simulated noise, whose true median is known."""

from __future__ import annotations

import math
import random
from itertools import islice

import pytest
from scripted_device import NOISES, ScriptedDevice, Work, correlated, drifting, two_states

from addercost.measure.runner import Effort, time_call
from addercost.results.intervals import (
    RatioOutcome,
    block_log_ratios,
    dependence,
    half_width,
    interleaved_ratio,
    median_interval,
    verdict,
)

PAIRS = 200


def test_six_values_span_their_range_and_five_say_nothing() -> None:
    """n = 6: ranks ⌊3 - 0.98·√6⌋ = 0 and ⌈4 + 0.98·√6⌉ = 7, capped at 6. Their range covers the median with
    1 - 2·(1/2)^6 = 96.9 %."""
    assert median_interval([4.0, 1.0, 6.0, 2.0, 5.0, 3.0]) == (1.0, 6.0)
    assert median_interval([1.0] * 5) is None


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        pytest.param([1.0] * 40, 1.0, 1.0, id="constant"),
        pytest.param([1.0, 2.0] * 20, 1.0, 1.0, id="alternating, which narrows nothing"),
        pytest.param([float(i) for i in range(100)], 5.0, 30.0, id="a trend"),
        pytest.param([1.0] * 30 + [2.0] * 30, 4.0, 20.0, id="two states in turn"),
    ],
)
def test_dependence(values: list[float], least: float, most: float) -> None:
    assert least <= dependence(values) <= most


def test_independent_values_do_not_widen_the_interval_much() -> None:
    rng = random.Random(3)
    found = [dependence([rng.random() for _ in range(200)]) for _ in range(100)]
    assert sum(found) / len(found) < 1.6


STATIONARY = [make for make in NOISES if make is not drifting]


@pytest.mark.parametrize("make", STATIONARY, ids=lambda make: make.__name__)
def test_the_interval_covers_the_median_of_what_is_stationary(make) -> None:
    """At least 90 of 100 intervals of 95 % have the true median. Where noise lasts for a seventh of the run
    there are few independent stretches, and two in three must; without the correction it is two in five."""
    least = 0.65 if make in (correlated, two_states) else 0.9
    truth = sorted(v for seed in range(20) for v in islice(make(random.Random(seed)), 2000))
    median = truth[len(truth) // 2]
    inside = 0
    for seed in range(PAIRS):
        noise = make(random.Random(1000 + seed))
        interval = median_interval(list(islice(noise, 150)))
        assert interval is not None
        inside += interval[0] <= median <= interval[1]
    assert inside >= least * PAIRS


def test_a_block_takes_the_shorter_sample_of_each_side() -> None:
    assert block_log_ratios([2.0, 4.0], [1.0, 9.0]) == [math.log(2)]
    ratio, interval = interleaved_ratio([2.0, 4.0], [1.0, 9.0])
    assert ratio == pytest.approx(2) and interval is None


@pytest.mark.parametrize("sizes", [(2, 4), (3, 3)], ids=["unequal", "odd"])
def test_sides_that_do_not_pair_up_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no blocks"):
        block_log_ratios([1.0] * sizes[0], [1.0] * sizes[1])


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        pytest.param(None, RatioOutcome.CANNOT_TELL, id="no interval"),
        pytest.param((1.011, 1.02), RatioOutcome.SLOWER, id="beyond the margin"),
        pytest.param((1.009, 1.5), RatioOutcome.CANNOT_TELL, id="reaches into the margin"),
        pytest.param((0.9, 0.99), RatioOutcome.FASTER, id="faster"),
        pytest.param((0.9, 0.995), RatioOutcome.CANNOT_TELL, id="not faster by the margin"),
        pytest.param((0.5, 2.0), RatioOutcome.CANNOT_TELL, id="wide"),
    ],
)
def test_verdict(interval: tuple[float, float] | None, expected: RatioOutcome) -> None:
    assert verdict(interval) is expected


def test_a_faster_side_is_a_slower_other() -> None:
    a, b = [1.0, 1.1] * 20, [1.3, 1.2] * 20
    assert verdict(interleaved_ratio(a, b)[1]) is RatioOutcome.FASTER
    assert verdict(interleaved_ratio(b, a)[1]) is RatioOutcome.SLOWER


def test_half_width() -> None:
    assert half_width((0.9, 1.1), 1.0) == pytest.approx(0.1)
    assert half_width(None, 1.0) == math.inf


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, marks=() if make in (correlated, two_states) else pytest.mark.exhaustive)
        for make in NOISES
    ],
    ids=lambda make: make.__name__,
)
def test_the_decision_rule_under_noise(make) -> None:
    """What `bench --self-check` asks of a machine: equal sides "cannot tell" 99 times in 100, a slowdown of
    3 % found 95 times in 100, through the runner, with its stopping rule."""
    effort = Effort(precision=0.01, time_limit_s=2.0, ratio_only=True)
    equal = found = 0
    for seed in range(PAIRS):
        device = ScriptedDevice(make(random.Random(seed)))
        timed = time_call(device, Work(1e-3), Work(1e-3), effort)
        equal += (
            verdict(interleaved_ratio(timed.samples_s, timed.reference_samples_s)[1])
            is RatioOutcome.CANNOT_TELL
        )
        device = ScriptedDevice(make(random.Random(5000 + seed)))
        timed = time_call(device, Work(1.03e-3), Work(1e-3), effort)
        found += (
            verdict(interleaved_ratio(timed.samples_s, timed.reference_samples_s)[1]) is RatioOutcome.SLOWER
        )
    assert equal >= 0.99 * PAIRS
    assert found >= 0.95 * PAIRS
