"""Times rows of a benchmark on the CPU, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from addercost.measure.bench import failed_row, timed_row
from addercost.measure.devices.device import TimingDevice, expect_noise
from addercost.measure.journal import Entry
from addercost.measure.plan import RowPlan
from addercost.measure.runner import Effort
from addercost.measure.separate_process import ProcessEndedError
from addercost.measure.speed.separate_timings import SeenS, SeparateTimings
from addercost.results.measurements import MeasuredRow


class SeparateRows:
    """Times rows, each in a new process. It has to be made before anything runs; see `SeparateProcesses`.

    threads: torch computes with so many. With one, this process may have computed with several before.
    accept_noise: as for `session.measure`. plan_of: the plan of a row, which a request cannot carry.
    """

    def __init__(
        self,
        device: TimingDevice,
        threads: int,
        effort: Effort,
        accept_noise: bool,
        plan_of: Callable[[MeasuredRow], RowPlan],
    ) -> None:
        def timed_alone(row: MeasuredRow, seen_s: SeenS) -> tuple[Entry, SeenS]:
            # A copy would wait for the threads of the process that it was copied from.
            torch.set_num_threads(threads)
            expect_noise(device, accept_noise)
            if device.speed is not None:
                device.speed.continue_from(seen_s)
            entry = timed_row(plan_of(row), device, effort)
            return entry, () if device.speed is None else device.speed.seen_s

        self._device, self._timings = device, SeparateTimings(timed_alone)

    def time(self, plan: RowPlan) -> Entry:
        """The measured row, or the reason why there is none."""
        try:
            return self._timings.time(plan.row, self._device.speed)
        except ProcessEndedError as error:
            return failed_row(plan, str(error))

    def close(self) -> None:
        self._timings.close()
