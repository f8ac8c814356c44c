"""The machine's present speed, from a fixed piece of work (the *reference*) that is timed between blocks of
runs.

A shared machine changes its speed for milliseconds to minutes: its clock changes, or another program or guest
of the host takes time or shares the core. All of these lengthen the reference, a small matrix product.
`ReferenceSpeed` times it before and after each block of runs. A block is quiet if neither took more than
`WITHIN` times as long as on the quiet machine. That quiet time is kept in a file (`quiet_times.py`), so that
a busy hour is not mistaken for a quiet one.

    speed = open_reference_speed()
    block = speed.quiet_block(lambda: [time_once() for _ in range(20)])
    block.value, speed.is_quiet(block), speed.factor(block)

`quiet_blocks` does this for many runs, and repeats those that had no quiet moment.
"""

from __future__ import annotations

import heapq
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from addercost.errors import CheckFailedError
from addercost.measure.speed.quiet_times import quiet_times_file

T = TypeVar("T")

WITHIN = 1.12
"""How many times as long as its quiet time the reference may take beside a quiet block. A boosting clock
changes its time by a few percent. When shared machines were slowed down, it took 1.3 to 1.7 times as long.
"""

CONFIRMATIONS = 5
"""How many references must take at most the quiet time. A single short time may be an error of the timer."""

LEAST_GAIN = 0.005
"""A quiet time is replaced only by one that is shorter by this share; a smaller difference is noise."""

FIRST_S = 1.0
"""How long the reference is timed at first where no quiet time is known."""

REUSED_S = 1e-3
"""A reference that ended less than this ago is also used as the one before the next block."""

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
    seconds of a clock that never stops. sleep: waits for some seconds.
    """

    def __init__(
        self,
        reference: Callable[[], float],
        quiet_s: float | None = None,
        found: Callable[[float], None] = lambda quiet_s: None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.now = now
        self._reference, self._found, self._sleep = reference, found, sleep
        self._shortest: list[float] = []
        """The `CONFIRMATIONS` shortest times so far, negated, as a heap: the first is the longest of them."""
        self._seen: list[float] = []
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
    def usual_factor(self) -> float:
        """The median of all references so far / the quiet time; 1 where none was timed."""
        return statistics.median(self._seen) / self._quiet_s if self._seen else 1.0

    def factor(self, block: TimedBlock[T]) -> float:
        """How many times as long as on the quiet machine the two references beside `block` took, in the
        mean.
        """
        return (block.before_s + block.after_s) / 2 / self._quiet_s

    def is_quiet(self, block: TimedBlock[T], within: float = WITHIN) -> bool:
        """Whether the machine was at its best known speed before and after the block, up to a factor of
        `within`.
        """
        return max(block.before_s, block.after_s) <= within * self._quiet_s

    def block(self, run: Callable[[], T]) -> TimedBlock[T]:
        """Runs `run` once between two references. One that has just ended is not timed again."""
        last_s, ended = self._last
        before_s = last_s if self.now() - ended <= REUSED_S else self._timed()
        value = run()
        return TimedBlock(value, before_s, self._timed())

    def quiet_block(
        self, run: Callable[[], T], limit_s: float = 1.0, tries: int = 1000, within: float = WITHIN
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

    def better(self, one: TimedBlock[T], other: TimedBlock[T], within: float = WITHIN) -> TimedBlock[T]:
        """The better of two blocks: a quiet one, else the one with the smaller factor."""
        return min(one, other, key=lambda block: (not self.is_quiet(block, within), self.factor(block)))

    def _timed(self) -> float:
        seconds = self._reference()
        self._last = seconds, self.now()
        self._seen.append(seconds)
        heapq.heappush(self._shortest, -seconds)
        if len(self._shortest) > CONFIRMATIONS:
            heapq.heappop(self._shortest)
        confirmed_s = -self._shortest[0]
        if len(self._shortest) == CONFIRMATIONS and confirmed_s < self._quiet_s * (1 - LEAST_GAIN):
            self._quiet_s = confirmed_s
            self._found(confirmed_s)
        return seconds


def quiet_blocks(
    speed: ReferenceSpeed, runs: Sequence[Callable[[], T]], limit_s: float = math.inf, passes: int = 5
) -> Iterator[tuple[int, TimedBlock[T]]]:
    """(number of the run, its block) once for every run, as soon as the block is quiet.

    A run without a quiet block is tried again after all the others, `passes` times in all. Only the first
    pass may start runs after `limit_s`. A run that never had a quiet block is yielded at the end, with the
    block of its smallest factor.
    """
    end = speed.now() + limit_s
    best: dict[int, TimedBlock[T]] = {}
    for attempt in range(passes):
        for number, run in enumerate(runs):
            if attempt and (number not in best or speed.now() >= end):
                continue
            block = speed.block(run)
            if number in best:
                block = speed.better(best[number], block)
            if speed.is_quiet(block):
                best.pop(number, None)
                yield number, block
            else:
                best[number] = block
    yield from best.items()


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
