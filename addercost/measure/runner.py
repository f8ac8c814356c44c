"""One row: a call and its reference sampled in turn, A B B A, until the intervals are narrow enough.

Whether a block is A B B A or B A A B is drawn by lot. The outer side, whose two samples are further apart in
time, has the better chance of a quiet moment, and a fixed rhythm of turns could coincide with the rhythm of
another program. Under random turns the sign of each block is a fair coin where the sides are equal, however
the noise is ordered in time (Fisher, The Design of Experiments, 1935).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from addercost.measure.devices.device import Call, Condition, Device
from addercost.results.intervals import FEWEST, half_width, interleaved_ratio, median_interval

FIRST_LOOK = 12
"""Blocks before the intervals are computed for the first time. They are computed again after every quarter
more, not after every block, since each computation is a chance to stop at a lucky moment."""
FEWEST_BLOCKS = FEWEST
"""Fewer blocks have no interval."""
PATIENCE = 4
"""A row of long calls ends after so many time limits, even with fewer blocks than an interval needs."""
SAMPLE_S = 0.3e-3
"""Short calls are repeated until one sample takes about this long: much longer than reading the clock, much
shorter than another program's turn on the core."""

SINGLE_RUNS = 5
ALIKE = 2.0
"""Two sides whose times are within this factor repeat their calls equally often in a sample."""

MOST_STEAL, MOST_WAITED, MOST_DRIFT = 0.01, 0.05, 0.03


@dataclass(frozen=True, slots=True)
class Effort:
    """When a row is done: the intervals within ±precision, or the time is up.

    cold: caches are flushed before every run. ratio_only: the interval of the median need not be narrow.
    least_s: how long a row goes on at least. A shorter run may fall into a single disturbance, and its
    samples agree all the same. A time limit below `least_s` accepts that.
    """

    precision: float = 0.01
    time_limit_s: float = 3.0
    cold: bool = False
    ratio_only: bool = False
    least_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Timed:
    """samples_s and reference_samples_s: two of each a block, in order; the latter is empty without a
    reference."""

    samples_s: tuple[float, ...]
    reference_samples_s: tuple[float, ...]
    converged: bool
    warnings: tuple[str, ...] = ()


def time_call(device: Device, call: Call, reference: Call | None, effort: Effort) -> Timed:
    """Samples `call`, interleaved with `reference` if there is one. The first block is not kept."""
    sides = [_Side(device, side, effort.cold) for side in (call, reference) if side is not None]
    own, other = sides[0], sides[-1] if reference is not None else None
    if max(side.once_s for side in sides) < ALIKE * min(side.once_s for side in sides):
        # The first call of a sample finds colder caches than the others: both sides must have the same share.
        calls = max(side.calls for side in sides)
        for side in sides:
            side.calls = calls
    before, start = device.condition(), device.now()
    _block(own, other)
    for side in sides:
        side.samples.clear()
    look, blocks, turns = FIRST_LOOK, 0, random.Random(0)
    while True:
        if other is not None and turns.random() < 0.5:
            _block(other, own)
        else:
            _block(own, other)
        blocks, took = blocks + 1, device.now() - start
        up = took > effort.time_limit_s and (blocks >= FEWEST_BLOCKS or took > PATIENCE * effort.time_limit_s)
        if blocks < look and not up:
            continue
        agree = _agree(own.samples, other.samples if other else None, effort)
        converged = agree and took >= min(effort.least_s, effort.time_limit_s)
        if converged or up:
            break
        look = math.ceil(1.25 * blocks)
    after, took = device.condition(), device.now() - start
    if device.facts.counts_waiting and _share(before.waited_s, after.waited_s, took) > MOST_WAITED:
        # The samples may agree although all of them were slowed down by the other programs.
        converged = False
    warnings = tuple(condition_warnings(before, after, took))
    return Timed(tuple(own.samples), tuple(other.samples) if other else (), converged, warnings)


class _Side:
    """One call that is ready to be sampled, and how often a sample repeats it."""

    def __init__(self, device: Device, call: Call, cold: bool) -> None:
        self.device, self.cold = device, cold
        self.call = device.prepare(call)
        self.samples: list[float] = []
        self.once_s = min(device.sample(self.call, 1, cold) for _ in range(SINGLE_RUNS))
        self.calls = 1 if cold else max(1, round(SAMPLE_S / max(self.once_s, 1e-9)))

    def sample(self) -> None:
        self.samples.append(self.device.sample(self.call, self.calls, self.cold))


def _block(outer: _Side, inner: _Side | None) -> None:
    """Samples in the order A B B A; A A where there is no other side."""
    outer.sample()
    if inner is not None:
        inner.sample()
        inner.sample()
    outer.sample()


def _agree(samples: list[float], reference: list[float] | None, effort: Effort) -> bool:
    ordered = sorted(samples)
    middle = ordered[len(ordered) // 2]
    if not effort.ratio_only and half_width(median_interval(samples), middle) > effort.precision:
        return False
    if reference is None:
        return True
    ratio, interval = interleaved_ratio(samples, reference)
    return half_width(interval, ratio) <= effort.precision


def condition_warnings(before: Condition, after: Condition, seconds: float) -> Iterator[str]:
    """What happened to the machine between `before` and `after` that a reader of the figures should know."""
    for share, most, what in (
        (
            _share(before.steal_s, after.steal_s, seconds),
            MOST_STEAL,
            "the hypervisor gave time to others ({})",
        ),
        (_share(before.waited_s, after.waited_s, seconds), MOST_WAITED, "other programs had the core ({})"),
    ):
        if share > most:
            yield what.format(f"{share:.0%} of the time")
    if before.clock_hz and after.clock_hz and abs(after.clock_hz / before.clock_hz - 1) > MOST_DRIFT:
        yield f"the clock moved ({before.clock_hz / 1e9:.2f} to {after.clock_hz / 1e9:.2f} GHz)"
    reasons = dict.fromkeys((*before.throttle_reasons, *after.throttle_reasons))
    if reasons:
        yield f"the clock was held down: {', '.join(reasons)}"


def _share(before: float | None, after: float | None, seconds: float) -> float:
    return 0.0 if before is None or after is None or seconds <= 0 else (after - before) / seconds
