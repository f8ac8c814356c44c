"""Takes samples that agree with each other, between references that show the machine at its best known
speed.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from addercost.errors import AddercostError
from addercost.measure.speed.reference import ReferenceSpeed, too_noisy

SAMPLES = 15
GROUP = 3
"""How many samples are taken between two references: these take about a millisecond, as a short quiet moment
does.
"""

LIMIT_S = 300.0
"""How long a calibration may take, unless a limit is given. A quiet machine takes half a minute; a machine
that is slowed down by others waits for quiet moments.
"""
LEAST_S = 1.0
"""How long a sample of a bandwidth may wait at least. Bandwidths come last, and the rest may have used up all
the time.
"""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2e-3, 4e-3

AT_ANY_CLOCK = 1.2
"""How many times as long as its quiet time the reference may take beside a sample. Most figures are ratios to
the clock of the same moment, so a lower clock changes nothing, and seconds should be those of the usual
clock. On an Ice Lake server the clock was below its best most of the time, and the reference took 1.13 times
as long. Where another guest of the host shared the core, it took at least 1.27 times as long.
"""
WIDEST_SPREAD = 0.05
"""Quartiles further apart than this, relative to the median, are noise: the machine is busy or its clock
unsteady.
"""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The samples of one quantity. The median is the figure, and the quartiles are its range."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.samples, n=4)
        return low, high

    @property
    def spread(self) -> float:
        """The distance between the quartiles, relative to the median."""
        low, high = self.quartiles
        return (high - low) / self.median


class Sampler:
    """Takes the samples of one calibration, and counts how many groups of them were quiet."""

    def __init__(
        self,
        speed: ReferenceSpeed,
        wall_speed: ReferenceSpeed | None = None,
        limit_s: float = LIMIT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """speed: the reference by processor time, for samples of one thread. wall_speed: the reference by
        wall-clock time, for samples that other programs lengthen.
        """
        self.speed = speed
        self._wall_speed = wall_speed or speed
        self._sleep = sleep
        self._end = speed.now() + limit_s
        self._quiet = self._groups = 0

    def calm(
        self, sample: Callable[[], float], what: str, samples: int = SAMPLES, widest: float = WIDEST_SPREAD
    ) -> Sampled:
        """The first consecutive samples that agree. Samples of moments that were not quiet are skipped.

        Raises CheckFailedError once the calibration's time is up.
        """
        kept: list[float] = []
        pause_s, spread = FIRST_PAUSE_S, math.inf
        while True:
            block = self.speed.block(lambda: [sample() for _ in range(GROUP)])
            self._groups += 1
            if self.speed.is_quiet(block, AT_ANY_CLOCK):
                self._quiet += 1
                pause_s = FIRST_PAUSE_S
                kept = [*kept, *block.value][-samples:]
                if len(kept) == samples:
                    figure = Sampled(tuple(kept))
                    spread = figure.spread
                    if spread <= widest:
                        return figure
            else:
                # Another program's turn on the core takes some milliseconds.
                self._sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            if self.speed.now() >= self._end:
                raise self._refused(what, spread, self.speed)

    def quiet(self, sample: Callable[[], float], what: str) -> float:
        """One sample of a moment during which no other program took a core. Raises as `calm` does."""
        limit_s = max(self._end - self.speed.now(), LEAST_S)
        block = self._wall_speed.quiet_block(sample, limit_s, sys.maxsize, AT_ANY_CLOCK)
        self._groups += 1
        if not self._wall_speed.is_quiet(block, AT_ANY_CLOCK):
            raise self._refused(what, math.inf, self._wall_speed)
        self._quiet += 1
        return block.value

    def _refused(self, what: str, spread: float, speed: ReferenceSpeed) -> AddercostError:
        seen = f" (quartiles {spread:.0%} apart)" if math.isfinite(spread) else ""
        return too_noisy(
            f"{what}{seen}",
            self._quiet,
            self._groups,
            speed.usual_factor,
            "nothing was written, and a table of before stays as it was (--minutes waits longer)",
        )
