"""How a row is sampled and when it stops, on a device whose clock is a script."""

from __future__ import annotations

import bisect
import itertools
import math
import random
import statistics
from itertools import pairwise

import pytest
from scripted_device import ScriptedDevice, Work, independent

from addercost.measure.devices.device import Condition
from addercost.measure.runner import (
    FIRST_LOOK,
    SAMPLE_S,
    SINGLE_RUNS,
    Effort,
    condition_warnings,
    time_call,
)
from addercost.measure.speed.reference import LONG_S, ReferenceSpeed
from addercost.results.intervals import RatioOutcome, interleaved_ratio, verdict


def test_sides_take_turns() -> None:
    """Single runs of each to see how long they take, a first block that is not kept, then A B B A or B A A B
    by lot."""
    device = ScriptedDevice()
    timed = time_call(device, Work(1e-3, "A"), Work(1e-3, "B"), Effort(least_s=0))
    start = 2 * SINGLE_RUNS + 4
    assert "".join(device.order[:start]) == "A" * SINGLE_RUNS + "B" * SINGLE_RUNS + "ABBA"
    blocks = ["".join(device.order[i : i + 4]) for i in range(start, len(device.order), 4)]
    assert set(blocks) == {"ABBA", "BAAB"}
    assert 3 <= blocks.count("ABBA") <= FIRST_LOOK - 3 and len(blocks) == FIRST_LOOK
    assert any(one == two for one, two in pairwise(blocks)), "turns in a fixed rhythm"
    assert len(timed.samples_s) == len(timed.reference_samples_s) == 2 * FIRST_LOOK
    assert timed.converged


def test_alone_there_is_no_other_side() -> None:
    device = ScriptedDevice()
    timed = time_call(device, Work(1e-3, "A"), None, Effort())
    assert set(device.order) == {"A"}
    assert timed.reference_samples_s == () and timed.converged


@pytest.mark.parametrize(
    ("seconds", "calls"),
    [
        pytest.param(1e-6, round(SAMPLE_S / 1e-6), id="short"),
        pytest.param(SAMPLE_S, 1, id="as long as a sample"),
        pytest.param(0.1, 1, id="long"),
    ],
)
def test_short_calls_are_repeated(seconds: float, calls: int) -> None:
    device, asked = ScriptedDevice(), []
    plain = device.sample

    def sample(call, number, cold):
        asked.append(number)
        return plain(call, number, cold)

    device.sample = sample
    time_call(device, Work(seconds), None, Effort(time_limit_s=1.0))
    assert set(asked[:SINGLE_RUNS]) == {1} and set(asked[SINGLE_RUNS:]) == {calls}


def test_cold_runs_are_single() -> None:
    device, asked = ScriptedDevice(), []
    plain = device.sample

    def sample(call, number, cold):
        asked.append((number, cold))
        return plain(call, number, cold)

    device.sample = sample
    time_call(device, Work(1e-6), None, Effort(cold=True, time_limit_s=0.01))
    assert set(asked) == {(1, True)}


def test_noise_goes_on_until_the_interval_is_narrow() -> None:
    device = ScriptedDevice(independent(random.Random(1)))
    timed = time_call(device, Work(1e-3), Work(1e-3), Effort(time_limit_s=60))
    assert timed.converged
    assert len(timed.samples_s) > 2 * FIRST_LOOK


def test_what_does_not_converge_says_so_at_its_time_limit() -> None:
    device = ScriptedDevice(itertools.cycle([0.0, 0.5, 1.0]))
    timed = time_call(device, Work(1e-3), Work(1e-3), Effort(time_limit_s=0.5))
    assert not timed.converged
    assert 0.5 < device.elapsed < 0.6


def test_a_very_long_call_is_given_up_after_a_few_time_limits() -> None:
    """Calls of 10 s at a limit of 1 s: no six blocks, but one that is kept."""
    device = ScriptedDevice()
    timed = time_call(device, Work(10.0), None, Effort(time_limit_s=1.0))
    assert not timed.converged and len(timed.samples_s) == 2


def test_only_the_ratio_need_be_narrow_where_that_is_asked() -> None:
    """Both sides are slow together, block by block: the ratio is exact, the median is not."""
    blocks = itertools.cycle([0.0] * 8 + [0.4] * 8)
    device = ScriptedDevice(itertools.chain([0.0] * 8, blocks))
    effort = Effort(time_limit_s=1.0, ratio_only=True)
    assert time_call(device, Work(1e-3), Work(1e-3), effort).converged
    device = ScriptedDevice(itertools.chain([0.0] * 8, blocks))
    assert not time_call(device, Work(1e-3), Work(1e-3), Effort(time_limit_s=1.0)).converged


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param(Condition(), Condition(), [], id="a machine without these counters"),
        pytest.param(Condition(steal_s=1.0), Condition(steal_s=1.05), [], id="little steal"),
        pytest.param(
            Condition(steal_s=1.0),
            Condition(steal_s=2.0),
            ["the hypervisor gave time to others (10%"],
            id="steal",
        ),
        pytest.param(
            Condition(waited_s=0.0),
            Condition(waited_s=3.0),
            ["other programs had the core (30%"],
            id="waited",
        ),
        pytest.param(Condition(clock_hz=3e9), Condition(clock_hz=3.05e9), [], id="a steady clock"),
        pytest.param(
            Condition(clock_hz=4e9),
            Condition(clock_hz=3e9),
            ["the clock moved (4.00 to 3.00 GHz)"],
            id="clock",
        ),
        pytest.param(
            Condition(throttle_reasons=("heat",)),
            Condition(throttle_reasons=("heat", "power")),
            ["the clock was limited: heat, power"],
            id="throttled",
        ),
    ],
)
def test_warnings(before: Condition, after: Condition, words: list[str]) -> None:
    found = list(condition_warnings(before, after, 10.0))
    assert len(found) == len(words)
    assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


def test_conditions_are_those_before_and_after() -> None:
    device = ScriptedDevice(conditions=[Condition(clock_hz=4e9), Condition(clock_hz=3e9)])
    assert time_call(device, Work(1e-3), None, Effort()).warnings == ("the clock moved (4.00 to 3.00 GHz)",)


@pytest.mark.parametrize("counts", [True, False], ids=["wall clock", "processor time"])
def test_wall_clock_beside_other_programs_never_converges(counts: bool) -> None:
    """All samples agree, and a third of the time was theirs."""
    busy = [Condition(waited_s=0.0), Condition(waited_s=1.0)]
    device = ScriptedDevice(conditions=busy, counts_waiting=counts)
    assert time_call(device, Work(0.1), None, Effort()).converged is not counts


def test_a_run_shorter_than_disturbances_is_not_believed() -> None:
    """Blocks of 4 ms that agree to the last digit still go on for 0.2 s."""
    device = ScriptedDevice()
    timed = time_call(device, Work(1e-3), Work(1e-3), Effort(least_s=0.2))
    assert timed.converged and 0.2 <= device.elapsed < 0.3


def test_a_time_limit_below_that_can_be_kept() -> None:
    """`make gpu-check` gives a layer 0.1 s: samples that agree by then are not called unconverged."""
    device = ScriptedDevice()
    timed = time_call(device, Work(1e-4), Work(1e-4), Effort(time_limit_s=0.1, least_s=0.2))
    assert timed.converged and 0.1 <= device.elapsed < 0.15
    noisy = ScriptedDevice(noise=itertools.cycle([0.0, 0.3, -0.3, 0.2]))
    assert not time_call(noisy, Work(1e-4), None, Effort(time_limit_s=0.1)).converged


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        pytest.param(0.19e-3, 0.21e-3, True, id="close: 2 and 1 calls become 2 and 2"),
        pytest.param(0.05e-3, 0.3e-3, False, id="far apart"),
    ],
)
def test_sides_that_are_close_repeat_equally_often(one: float, other: float, alike: bool) -> None:
    """0.3 ms by 0.19 ms is 1.6, by 0.21 ms 1.4: rounding alone would make two equal sides differ."""
    device, asked = ScriptedDevice(), {"A": set(), "B": set()}
    plain = device.sample

    def sample(call, number, cold):
        asked[call.name].add(number)
        return plain(call, number, cold)

    device.sample = sample
    time_call(device, Work(one, "A"), Work(other, "B"), Effort(time_limit_s=1.0))
    assert (asked["A"] == asked["B"] == {1, 2}) is alike


def two_speeds(factor) -> ScriptedDevice:
    """A device that knows its speed. factor: from seconds to how many times as long everything takes then."""
    device = ScriptedDevice()
    device.noise = iter(lambda: math.log(factor(device.elapsed)), None)

    def reference() -> float:
        took = 4e-5 * factor(device.elapsed)
        device.elapsed += 4 * took
        return took

    device.speed = ReferenceSpeed(reference, 4e-5, now=device.now, sleep=lambda seconds: None)
    return device


def slow_at_times(t: float) -> float:
    """1.65 times as long in 60 of every 100 ms."""
    return 1.65 if t % 0.1 < 0.06 else 1.0


def test_blocks_at_the_best_known_speed_are_kept_and_the_factor_is_theirs() -> None:
    device = two_speeds(slow_at_times)
    timed = time_call(device, Work(1e-3, "A"), Work(2e-3, "B"), Effort(time_limit_s=10))
    assert timed.converged
    # A block takes 6 ms, so few begin and end quiet with a slow moment inside; those are too short to matter.
    assert statistics.median(timed.samples_s) == pytest.approx(1e-3)
    assert statistics.median(timed.reference_samples_s) == pytest.approx(2e-3)
    assert timed.speed_factor == pytest.approx(1)
    assert len(timed.samples_s) < 0.6 * device.order.count("A"), "the slow ones were dropped"


def test_a_machine_that_is_never_quiet_gives_all_samples_with_its_factor_and_does_not_converge() -> None:
    device = two_speeds(lambda t: 1.65)
    timed = time_call(device, Work(1e-3), Work(1e-3), Effort(time_limit_s=0.5))
    assert not timed.converged
    assert timed.samples_s == pytest.approx((1.65e-3,) * len(timed.samples_s)), "as they were, not scaled"
    assert timed.speed_factor == pytest.approx(1.65)
    (warning,) = timed.warnings
    assert warning.startswith("the machine was slow most of the time (0 of ")


def test_with_accepted_noise_blocks_at_the_speed_that_is_often_had_are_kept() -> None:
    """Work takes 1.2 times as long as on the quiet machine in 40 of every 100 ms, else 1.65 times."""
    device = two_speeds(lambda t: 1.65 if slow_at_times(t) > 1 else 1.2)
    device.speed.accepts_noise = True
    timed = time_call(device, Work(1e-3, "A"), None, Effort())
    assert timed.samples_s == pytest.approx((1.2e-3,) * len(timed.samples_s))
    assert timed.speed_factor == pytest.approx(1.2)
    assert timed.converged and not timed.warnings


@pytest.mark.parametrize(
    ("quiet_share", "call_s", "is_enough"),
    [
        pytest.param(0.7, 2 * LONG_S, True, id="long, mostly quiet"),
        pytest.param(0.2, 2 * LONG_S, False, id="long, mostly slow"),
        pytest.param(0.2, LONG_S / 10, True, id="short, mostly slow"),
    ],
)
def test_a_long_call_needs_a_machine_that_is_quiet_at_least_two_fifths_of_the_time(
    quiet_share: float, call_s: float, is_enough: bool
) -> None:
    device = two_speeds(lambda t: 1.0 if t % 1 < quiet_share else 1.65)
    timed = time_call(device, Work(call_s), None, Effort(precision=1e-9, time_limit_s=4.0))
    assert (timed.speed_factor == pytest.approx(1.0)) == is_enough
    assert bool(timed.warnings) != is_enough


def test_a_device_that_does_not_know_its_speed_has_no_factor() -> None:
    assert time_call(ScriptedDevice(), Work(1e-3), None, Effort()).speed_factor is None


@pytest.mark.parametrize("slowdown", [1.0, 1.03], ids=["equal", "three-percent"])
def test_which_blocks_are_kept_does_not_depend_on_which_side_is_slower(slowdown: float) -> None:
    """Speeds change in the middle of blocks too: equal sides stay equal, and 3 % is found."""
    rng = random.Random(11)
    edges = sorted(rng.uniform(0, 200) for _ in range(3000))

    def factor(t: float) -> float:
        return 1.5 if bisect.bisect(edges, t) % 2 else 1.0

    outcomes = []
    for seed in range(20):
        device = two_speeds(factor)
        device.elapsed = float(seed)
        timed = time_call(device, Work(slowdown * 1e-3), Work(1e-3), Effort(ratio_only=True))
        outcomes.append(verdict(interleaved_ratio(timed.samples_s, timed.reference_samples_s)[1]))
    assert set(outcomes) == {RatioOutcome.CANNOT_TELL if slowdown == 1 else RatioOutcome.SLOWER}
