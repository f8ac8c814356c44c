"""The machine's present speed, from a fixed piece of work (the *reference*) that is timed between blocks of
runs.

A shared machine changes its speed for milliseconds to minutes: its clock changes, or another program or guest
of the host takes time or shares the core. All of these lengthen the reference (`fixed_work.py`).
`ReferenceSpeed` times it before and after each block of runs. A block is quiet if neither took more than
`WITHIN` times as long as on the quiet machine. That quiet time is kept in a file (`quiet_times.py`), so that
a busy hour is not mistaken for a quiet one.

    speed = open_reference_speed()
    block = speed.quiet_block(lambda: [time_once() for _ in range(20)])
    block.value, speed.is_quiet(block), speed.factor(block)

Some shared machines are hardly ever as fast as in their best moments. A reference that *accepts noise* takes
a block for quiet if it is nearly as fast as this machine often is.
"""

from __future__ import annotations

import bisect
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from addercost.errors import CheckFailedError
from addercost.measure.speed.quiet_times import quiet_times_file

T = TypeVar("T")

WITHIN = 1.12
"""How many times as long as its quiet time the reference may take beside a quiet block. A boosting clock
changes its time by a few percent. When shared machines were slowed down, it took 1.3 to 1.7 times as long.
"""

OFTEN, NEARLY = 0.1, 1.08
"""With accepted noise, a block is quiet if its references took at most `NEARLY` times as long as the fastest
share `OFTEN` of all references. On an Ice Lake guest 40 % of all references took 1.15 to 1.2 times as
long as the shortest ones, and the others 1.3 to 2 times as long, for milliseconds to minutes. Networks that
were timed at the first of these speeds, minutes apart, mostly differed by less than 3 %. Times of other
moments cannot be brought to that speed: they grow with the reference's to the power of 0 to 0.8, depending on
the network.
"""

CONFIRMATIONS = 5
"""How many references must take at most the quiet time. A single short time may be an error of the timer."""

LEAST_GAIN = 0.005
"""A quiet time is replaced only by one that is shorter by this share; a smaller difference is noise."""

FIRST_S = 1.0
"""How long the reference is timed at first where no quiet time is known."""

REUSED_S = 1e-3
"""A reference that ended less than this ago is also used as the one before the next block."""

LONG_S, LEAST_QUIET = 5e-3, 0.4
"""References show nothing of the middle of a block that takes longer than `LONG_S`. So at least the share
`LEAST_QUIET` of such blocks has to be quiet. On the Ice Lake guest, networks of which only a fifth to a third
of the blocks were quiet took 5 to 20 % longer in these than minutes later.
"""

STEADY, STEADY_SHARE = 64, 0.75
"""A slow phase is over when so large a share of so many consecutive references is quiet."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2e-3, 4e-3
"""The first and longest pause between tries. Pauses double, since another program may keep the core for some
milliseconds.
"""


@dataclass(frozen=True, slots=True)
class TimedBlock(Generic[T]):
    """The value that a block of runs returned, and the seconds of the references just before and just after
    it.
    """

    value: T
    before_s: float
    after_s: float


class ReferenceSpeed:
    """Finds the machine's speed beside blocks of runs.

    reference: does the fixed work and returns its seconds. quiet_s: its seconds on the quiet machine. Where
    these are None, the reference is timed for `FIRST_S`. found: called with every shorter quiet time. now:
    seconds of a clock that never stops. sleep: waits for some seconds. accepts_noise: a block may be slower
    than `WITHIN` where this machine seldom is as fast.
    """

    def __init__(
        self,
        reference: Callable[[], float],
        quiet_s: float | None = None,
        found: Callable[[float], None] = lambda quiet_s: None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        accepts_noise: bool = False,
    ) -> None:
        self.now, self.accepts_noise = now, accepts_noise
        self._reference, self._found, self._sleep = reference, found, sleep
        self._seen: list[float] = []
        """All references so far, the shortest first."""
        self._last = (math.nan, -math.inf)
        self._quiet_s = math.inf if quiet_s is None else quiet_s
        if quiet_s is None:
            end = now() + FIRST_S
            while now() < end or math.isinf(self._quiet_s):
                self._timed()

    @property
    def quiet_s(self) -> float:
        """Seconds of the reference on the quiet machine."""
        return self._quiet_s

    @property
    def seen_s(self) -> tuple[float, ...]:
        """Seconds of all references so far, the shortest first."""
        return tuple(self._seen)

    def continue_from(self, seen_s: Sequence[float]) -> None:
        """Takes over the references that another process has seen, in place of its own."""
        self._seen = sorted(seen_s)
        self._confirm()

    @property
    def usual_factor(self) -> float:
        """The median of all references so far / the quiet time; 1 where none was timed."""
        return statistics.median(self._seen) / self._quiet_s if self._seen else 1.0

    @property
    def within(self) -> float:
        """How many times as long as its quiet time the reference may take beside a quiet block."""
        if not (self.accepts_noise and self._seen):
            return WITHIN
        often_s = self._seen[int(OFTEN * len(self._seen))]
        return max(WITHIN, NEARLY * often_s / self._quiet_s)

    def factor(self, block: TimedBlock[T]) -> float:
        """How many times as long as on the quiet machine the two references beside `block` took, in the
        mean.
        """
        return (block.before_s + block.after_s) / 2 / self._quiet_s

    def typical_factor(self, blocks: Sequence[TimedBlock[T]], are_quiet: bool) -> float:
        """The median factor of quiet blocks. The mean of blocks of all moments, whose times are sums over
        moments of several speeds.
        """
        return (statistics.median if are_quiet else statistics.mean)([*map(self.factor, blocks)])

    def is_quiet(self, block: TimedBlock[T], within: float | None = None) -> bool:
        """Whether the machine was at its best known speed before and after the block, up to a factor of
        `within`, which is `self.within` unless it is given.
        """
        return max(block.before_s, block.after_s) <= (within or self.within) * self._quiet_s

    def quiet(self, blocks: Sequence[TimedBlock[T]]) -> list[TimedBlock[T]]:
        """The quiet ones of some blocks."""
        within = self.within
        return [block for block in blocks if self.is_quiet(block, within)]

    def wait(self, limit_s: float) -> None:
        """Waits until a slow phase is over, `limit_s` seconds at most. It does not sleep: after a pause, half
        of the references took 1.5 times as long on an Ice Lake guest.
        """
        end, quiet = self.now() + limit_s, deque([False] * STEADY, maxlen=STEADY)
        while sum(quiet) < STEADY_SHARE * STEADY and self.now() < end:
            quiet.append(self._timed() <= self.within * self._quiet_s)

    def block(self, run: Callable[[], T]) -> TimedBlock[T]:
        """Runs `run` once between two references. One that has just ended is not timed again."""
        last_s, ended = self._last
        before_s = last_s if self.now() - ended <= REUSED_S else self._timed()
        value = run()
        return TimedBlock(value, before_s, self._timed())

    def quiet_block(
        self, run: Callable[[], T], limit_s: float = 1.0, tries: int = 1000, within: float | None = None
    ) -> TimedBlock[T]:
        """The first block of at most `tries`, which start within `limit_s`, that is quiet up to a factor of
        `within`. If none is, the one with the smallest factor, which the caller scales by `factor` or
        refuses.
        """
        end, pause_s = self.now() + limit_s, FIRST_PAUSE_S
        best = self.block(run)
        for _ in range(tries - 1):
            if self.is_quiet(best, within) or self.now() >= end:
                break
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            best = self.better(best, self.block(run), within)
        return best

    def better(self, one: TimedBlock[T], other: TimedBlock[T], within: float | None = None) -> TimedBlock[T]:
        """The better of two blocks: a quiet one, else the one with the smaller factor."""
        return min(one, other, key=lambda block: (not self.is_quiet(block, within), self.factor(block)))

    def _timed(self) -> float:
        seconds = self._reference()
        self._last = seconds, self.now()
        bisect.insort(self._seen, seconds)
        self._confirm()
        return seconds

    def _confirm(self) -> None:
        """Takes a shorter quiet time that several references have confirmed."""
        confirmed_s = self._seen[CONFIRMATIONS - 1] if len(self._seen) >= CONFIRMATIONS else math.inf
        if confirmed_s < self._quiet_s * (1 - LEAST_GAIN):
            self._quiet_s = confirmed_s
            self._found(confirmed_s)


def enough_quiet(quiet: int, blocks: int, seconds: float, least: int = 1) -> bool:
    """Whether the quiet ones of some blocks of the same work, each of `seconds`, show how long it takes on
    the quiet machine. least: the fewest that are wanted, unless all are quiet.
    """
    share = LEAST_QUIET if seconds > LONG_S else 0.0
    return quiet >= max(min(least, blocks), share * blocks)


def too_noisy(
    what: str, quiet: int, blocks: int, factor: float, kept: str, what_is_timed: str = "blocks"
) -> CheckFailedError:
    """The error that refuses a measurement. It says what was observed, what was kept and how to continue.

    quiet: how many of the `blocks` were quiet. what_is_timed: the plural that names the blocks. factor:
    `ReferenceSpeed.usual_factor`. kept: a clause that says what was kept.
    """
    return CheckFailedError(
        f"{what} is too noisy: {quiet} of {blocks} {what_is_timed} were quiet, and a fixed reference took "
        f"{factor:.2f} times as long as on the quiet machine; {kept}",
        "stop other programs, plug in the charger or fix the clock, and give the same command again; if this "
        f"machine is slower for good, remove {quiet_times_file()}",
    )
