"""Times things in processes of their own, which tell each other how fast the machine is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from addercost.measure.separate_process import SeparateProcesses
from addercost.measure.speed.reference import ReferenceSpeed

Request = TypeVar("Request")
Timing = TypeVar("Timing")
SeenS = tuple[float, ...]
"""Seconds of the references that were timed so far."""


class SeparateTimings(Generic[Request, Timing]):
    """Times each request in a new process. It has to be made before anything runs; see `SeparateProcesses`.

    time_it: (a request, the references of earlier processes) → (its timing, all references with its own).
    """

    def __init__(self, time_it: Callable[[Request, SeenS], tuple[Timing, SeenS]]) -> None:
        def work(given: tuple[Request, SeenS]) -> tuple[Timing, SeenS]:
            return time_it(*given)

        self._processes = SeparateProcesses(work)

    def time(self, request: Request, speed: ReferenceSpeed | None) -> Timing:
        """The timing of a request. speed: gives the process its references, and takes those of the process.

        Raises ProcessEndedError, and what `time_it` raises.
        """
        timing, seen_s = self._processes((request, () if speed is None else speed.seen_s))
        if speed is not None:
            speed.continue_from(seen_s)
        return timing

    def close(self) -> None:
        self._processes.close()
