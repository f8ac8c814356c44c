"""Runs a benchmark: times row after row of its plan, and writes each to the journal as soon as it is
measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from addercost.errors import AddercostError
from addercost.measure.devices.device import TimingDevice
from addercost.measure.journal import Entry, Journal
from addercost.measure.limit_faults import with_faults
from addercost.measure.plan import RowPlan
from addercost.measure.runner import Effort, time_call
from addercost.results.measurements import FailedRow, MeasuredKernel, MeasuredRow

ENERGY_S = 0.5

Said = Callable[[int, RowPlan, Entry | None], None]
"""A callback that gets the number of the row, its plan and its result. It is called before the row starts,
with None for the result, and after the row.
"""

TimeRow = Callable[[RowPlan], Entry]
"""A function that times a row: `timed_row` on a device."""


def run(
    plans: Iterable[RowPlan],
    time_row: TimeRow,
    journal: Journal,
    said: Said = lambda number, plan, entry: None,
) -> None:
    """Times every row that is not in the journal yet. A row that fails is recorded with the reason, and the
    next row follows.
    """
    for number, plan in enumerate(plans, 1):
        if plan.key in journal.entries:
            continue
        said(number, plan, None)
        entry = time_row(plan)
        journal.add(plan.key, entry)
        said(number, plan, entry)


def timed_row(plan: RowPlan, device: TimingDevice, effort: Effort) -> Entry:
    """The measured row, or the reason why there is none."""
    try:
        with torch.no_grad():
            return _measured(plan, device, effort)
    except AddercostError as error:
        return failed_row(plan, str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return failed_row(plan, f"out of memory: {_first_line(error)}; {_fitting(plan, device)}")
    except Exception as error:  # of torch or its compilers; other rows can still be timed
        return failed_row(plan, f"{type(error).__name__}: {_first_line(error)}")


def _measured(plan: RowPlan, device: TimingDevice, effort: Effort) -> MeasuredRow:
    call, reference = plan.make(device.free_bytes())
    effort = replace(effort, time_limit_s=effort.time_limit_s * plan.patience)
    timed = time_call(device, call, reference, effort)
    energy = device.energy(call, ENERGY_S)
    row = replace(
        plan.row,
        samples_s=timed.samples_s,
        reference_samples_s=timed.reference_samples_s,
        converged=timed.converged,
        warnings=timed.warnings,
        speed_factor=timed.speed_factor,
        limit_sites_per_s=device.limit(plan.row.limit) if plan.row.limit else None,
        kernels=tuple(MeasuredKernel(k.name, k.seconds, k.launches) for k in device.kernels(call)),
        peak_bytes=device.peak_bytes(call),
        energy_j=energy.joules if energy is not None else None,
        energy_resolution_j=energy.resolution_j if energy is not None else None,
    )
    return with_faults(row)


def failed_row(plan: RowPlan, reason: str) -> FailedRow:
    """What stands in place of a row that could not be timed."""
    row = plan.row
    return FailedRow(row.path, row.arithmetic, row.implementation, row.dtype, reason, row.case, row.paths)


def _fitting(plan: RowPlan, device: TimingDevice) -> str:
    free, need = device.free_bytes(), plan.row.bytes_moved
    if not free or not need:
        return "try a smaller batch"
    return f"its tensors take {need / 2**30:.2f} GiB and {free / 2**30:.2f} GiB are free, try a smaller batch"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
