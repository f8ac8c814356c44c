"""How fast this machine is right now: a fixed piece of work, timed between the blocks of whatever is timed.

A shared machine changes its speed for milliseconds to minutes: its clock moves, another program or another
guest of the host takes time or shares the core. `ReferenceSpeed` times a small matrix product, which all of
these lengthen, before and after each block of runs. A block is quiet if neither took more than `WITHIN` times
as long as on the quiet machine. That quiet time is kept with the machine (`quiet_times.py`), so a busy hour
does not pass for a quiet one.

    speed = open_reference_speed()
    block = speed.quiet_block(lambda: [time_once() for _ in range(20)])
    block.value, speed.is_quiet(block), speed.factor(block)

`quiet_blocks` does this for many pieces of work, and comes back to those that had no quiet moment.
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
"""How many times the quiet time the reference may take beside a quiet block. A clock that boosts changes it
by a few percent. At the second speeds that were seen on shared machines it takes 1.3 to 1.7 times as long."""

CONFIRMATIONS = 5
"""The quiet time is one that so many references did not exceed: a glitch of a timer is single."""

LEAST_GAIN = 0.005
"""A quiet time is replaced by one that is shorter by this share. Less is noise."""

FIRST_S = 1.0
"""How long the reference is timed where no quiet time is known yet."""

REUSED_S = 1e-3
"""A reference that ended less than this ago counts as the one before the next block."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2e-3, 4e-3
"""Pauses between tries double: another program's turn on the core takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class TimedBlock(Generic[T]):
    """What a block of runs returned, and the seconds of the references right before and right after it."""

    value: T
    before_s: float
    after_s: float


class ReferenceSpeed:
    """The machine's speed beside blocks of runs.

    reference: does the fixed work and returns its seconds. quiet_s: its seconds on the quiet machine; None
    where they are not known, and then it is timed for `FIRST_S`. found: called with every shorter quiet time.
    now: seconds of a clock that never stops. sleep: waits for some seconds.
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
        """The `CONFIRMATIONS` shortest so far, negative, as a heap: the longest of them is the first."""
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
        """The median of all references so far, over the quiet time; 1 where none was timed."""
        return statistics.median(self._seen) / self._quiet_s if self._seen else 1.0

    def factor(self, block: TimedBlock[T]) -> float:
        """How many times as long as on the quiet machine the references beside `block` took, in the mean."""
        return (block.before_s + block.after_s) / 2 / self._quiet_s

    def is_quiet(self, block: TimedBlock[T]) -> bool:
        """Whether the machine was at its best known speed before and after the block."""
        return max(block.before_s, block.after_s) <= WITHIN * self._quiet_s

    def block(self, run: Callable[[], T]) -> TimedBlock[T]:
        """Runs `run` once between two references. One that has just ended is not timed again."""
        last_s, ended = self._last
        before_s = last_s if self.now() - ended <= REUSED_S else self._timed()
        value = run()
        return TimedBlock(value, before_s, self._timed())

    def quiet_block(self, run: Callable[[], T], limit_s: float = 1.0, tries: int = 1000) -> TimedBlock[T]:
        """The first quiet block of at most `tries` that start within `limit_s`. If none is quiet, the one
        with the smallest factor, which the caller scales by `factor` or refuses.
        """
        end, pause_s = self.now() + limit_s, FIRST_PAUSE_S
        best = self.block(run)
        for _ in range(tries - 1):
            if self.is_quiet(best) or self.now() >= end:
                break
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            best = self.better(best, self.block(run))
        return best

    def better(self, one: TimedBlock[T], other: TimedBlock[T]) -> TimedBlock[T]:
        """A quiet block rather than another, then the one with the smaller factor."""
        return min(one, other, key=lambda block: (not self.is_quiet(block), self.factor(block)))

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
    """(number of the run, its block) of every run, each once, as soon as the block is quiet.

    A run without a quiet block is tried again after all the others, `passes` times in all, none started after
    `limit_s`; the first pass is always made. What is left then comes with its smallest factor.
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
    """The error that refuses a measurement: what was seen, what was kept, how to go on.

    quiet: how many of the `blocks` were quiet; what_is_timed: what each of them is called. factor:
    `ReferenceSpeed.usual_factor`. kept: a clause.
    """
    return CheckFailedError(
        f"{what} is too noisy: {quiet} of {blocks} {what_is_timed} were quiet, and a fixed reference took "
        f"{factor:.2f} times as long as on the quiet machine; {kept}",
        "stop other programs, plug in the charger or fix the clock, and give the same command again; if this "
        f"machine is slower for good, remove {quiet_times_file()}",
    )
