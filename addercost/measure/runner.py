"""Times one row: samples a call (A) and its reference (B) in turn, A B B A, until the intervals are narrow
enough.

Whether a block is A B B A or B A A B is drawn at random, for two reasons. The two samples of the outer side
are further apart in time, which gives that side a better chance of a quiet moment. A fixed order could also
coincide with the rhythm of another program. With a random order, each side of two equal ones is the faster in
a block with probability ½, however the noise depends on time (Fisher, The Design of Experiments, 1935).

Where the device has a speed reference, this fixed piece of work is timed between the blocks. Blocks at the
machine's best known speed are kept. Others are dropped for that reason and never for their values.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from addercost.measure.devices.device import Call, Condition, TimingDevice
from addercost.measure.speed.reference import ReferenceSpeed, TimedBlock, enough_quiet
from addercost.results.intervals import FEWEST, half_width, interleaved_ratio, median_interval

FIRST_LOOK = 12
"""Blocks before the intervals are computed for the first time. They are computed again after every quarter
more, not after every block, since each computation is a chance to stop at a lucky moment."""
FEWEST_BLOCKS = FEWEST
"""The fewest blocks that give an interval."""
PATIENCE = 4
"""A row of long calls ends after so many time limits, even with fewer blocks than an interval needs."""
SAMPLE_S = 0.3e-3
"""Short calls are repeated until one sample takes about this long: much longer than reading the clock, much
shorter than another program's turn on the core."""

SINGLE_RUNS = 5
ALIKE = 2.0
"""Two sides whose times differ by at most this factor repeat their calls equally often in a sample."""

MOST_STEAL, MOST_WAITED, MOST_DRIFT = 0.01, 0.05, 0.03


@dataclass(frozen=True, slots=True)
class Effort:
    """When a row is finished: when its intervals are within ±precision, or its time is up.

    cold: caches are flushed before every run. ratio_only: only the interval of the ratio must be narrow, not
    that of the median. least_s: the shortest time for a row. All samples of a shorter row may fall into one
    disturbance, and would agree nevertheless. A time limit below `least_s` accepts that risk.
    """

    precision: float = 0.01
    time_limit_s: float = 3.0
    cold: bool = False
    ratio_only: bool = False
    least_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Timed:
    """The samples of a row. samples_s, reference_samples_s: two for each block, in order of time; the latter
    is empty without a reference. speed_factor: how many times as long the machine's fixed piece of work took
    beside these samples as at the machine's best known speed, in the median, or in the mean where too few
    moments were quiet; None where the device has none.
    """

    samples_s: tuple[float, ...]
    reference_samples_s: tuple[float, ...]
    converged: bool
    warnings: tuple[str, ...] = ()
    speed_factor: float | None = None


Samples = tuple[list[float], list[float]]
"""The samples of one block: (of the call, of the reference)."""


def time_call(device: TimingDevice, call: Call, reference: Call | None, effort: Effort) -> Timed:
    """Samples `call`, interleaved with `reference` if there is one. The first block is not kept."""
    sides = [_Side(device, side, effort.cold) for side in (call, reference) if side is not None]
    own, other = sides[0], sides[-1] if reference is not None else None
    if max(side.once_s for side in sides) < ALIKE * min(side.once_s for side in sides):
        # The first call of a sample finds colder caches than the others, so both sides must repeat equally
        # often.
        calls = max(side.calls for side in sides)
        for side in sides:
            side.calls = calls
    blocks = _Blocks(device.speed)
    before, start = device.condition(), device.now()
    _block(own, other)
    look, turns = FIRST_LOOK, random.Random(0)
    while True:
        swapped = other is not None and turns.random() < 0.5
        blocks.add(partial(_block, own, other, swapped))
        took = device.now() - start
        up = took > effort.time_limit_s and (
            len(blocks.all) >= FEWEST_BLOCKS or took > PATIENCE * effort.time_limit_s
        )
        quiet = blocks.quiet()
        if len(quiet) < look and not up:
            continue
        # Too few quiet blocks give no interval, so all blocks are used.
        enough = enough_quiet(len(quiet), len(blocks.all), own.once_s, FEWEST_BLOCKS)
        kept = quiet if enough else blocks.all
        samples, reference_samples = _joined(kept)
        agree = _agree(samples, reference_samples or None, effort)
        converged = enough and agree and took >= min(effort.least_s, effort.time_limit_s)
        if converged or up:
            break
        look = math.ceil(1.25 * len(quiet))
    after, took = device.condition(), device.now() - start
    if device.facts.counts_waiting and _share(before.waited_s, after.waited_s, took) > MOST_WAITED:
        # The samples may agree although other programs slowed down all of them.
        converged = False
    warnings = [*condition_warnings(before, after, took)]
    if not enough:
        seen = f"{len(quiet)} of {len(blocks.all)} blocks were quiet"
        warnings.append(f"the machine was slow most of the time ({seen})")
    return Timed(
        tuple(samples),
        tuple(reference_samples),
        converged,
        tuple(warnings),
        blocks.factor(kept, enough),
    )


class _Blocks:
    """The blocks of one row, and the machine's speed beside each."""

    def __init__(self, speed: ReferenceSpeed | None) -> None:
        self._speed = speed
        self.all: list[TimedBlock[Samples]] = []

    def add(self, run: Callable[[], Samples]) -> None:
        self.all.append(TimedBlock(run(), 0.0, 0.0) if self._speed is None else self._speed.block(run))

    def quiet(self) -> list[TimedBlock[Samples]]:
        """The blocks at the machine's best known speed; all blocks where the speed is not known."""
        return self.all if self._speed is None else self._speed.quiet(self.all)

    def factor(self, kept: list[TimedBlock[Samples]], are_quiet: bool) -> float | None:
        """The typical factor of some blocks; None where the speed is not known."""
        return None if self._speed is None else self._speed.typical_factor(kept, are_quiet)


def _joined(blocks: list[TimedBlock[Samples]]) -> Samples:
    own = [sample for block in blocks for sample in block.value[0]]
    return own, [sample for block in blocks for sample in block.value[1]]


class _Side:
    """One call that is ready to be sampled, and how often a sample repeats it."""

    def __init__(self, device: TimingDevice, call: Call, cold: bool) -> None:
        self.device, self.cold = device, cold
        self.call = device.prepare(call)
        self.once_s = min(device.sample(self.call, 1, cold) for _ in range(SINGLE_RUNS))
        self.calls = 1 if cold else max(1, round(SAMPLE_S / max(self.once_s, 1e-9)))

    def sample(self) -> float:
        return self.device.sample(self.call, self.calls, self.cold)


def _block(own: _Side, other: _Side | None, swapped: bool = False) -> Samples:
    """The samples of a block: in the order A B B A, or B A A B where swapped, or A A without a reference."""
    if other is None:
        return [own.sample(), own.sample()], []
    outer, inner = (other, own) if swapped else (own, other)
    first = outer.sample()
    inside = [inner.sample(), inner.sample()]
    outside = [first, outer.sample()]
    return (inside, outside) if swapped else (outside, inside)


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
    """Warnings for the reader of the figures about what happened to the machine between `before` and
    `after`.
    """
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
        yield f"the clock was limited: {', '.join(reasons)}"


def _share(before: float | None, after: float | None, seconds: float) -> float:
    return 0.0 if before is None or after is None or seconds <= 0 else (after - before) / seconds
