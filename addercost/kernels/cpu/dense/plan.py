"""Which compiled class computes a layer: that of a schedule tuned on this processor, or else that of the
rule.
"""

from __future__ import annotations

from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import Schedules


def choose_class(request: KernelRequest, schedules: Schedules | Schedule | None = None) -> KernelClass:
    """The class for `request`. Its schedule is the given one, the tuned one if there are tuned schedules, or
    the rule's.
    """
    if isinstance(schedules, Schedules):
        schedules = schedules.of(request)
    return kernel_class(request, schedules or default_schedule(request))


def kernel_class(request: KernelRequest, schedule: Schedule) -> KernelClass:
    """The class that computes a request by this schedule, which must be one of the request's `candidates`."""
    extents, site = request.extents, request.arithmetic
    name = (site.by_maxima if schedule.by_maxima else "") or request.site
    if schedule.across and request.direct:
        return KernelClass(
            name,
            schedule.lanes,
            schedule.vectors,
            schedule.pixels,
            channels_last_input=False,
            channels_last_output=False,
            direct=True,
            narrow=False,
            across=True,
            filters_innermost=site.of_words,
            slack=True,
            filter_axes=0,
            whole_filters=extents.filters % schedule.block == 0,
            whole_columns=extents.columns % schedule.vector_run == 0,
        )
    layouts = request.channels_last_input, request.channels_last_output
    if schedule.across:
        return KernelClass(
            name,
            schedule.lanes,
            schedule.vectors,
            schedule.pixels,
            *layouts,
            direct=False,
            narrow=request.narrow,
            across=True,
            kept_scratch=schedule.kept_scratch,
        )
    taps = extents.channels * extents.filter_y * extents.filter_x
    axes = 2
    if request.bordered and extents.filter_x == 1:
        axes = 0 if extents.filter_y == 1 else 1
    return KernelClass(
        name,
        schedule.lanes,
        schedule.vectors,
        schedule.pixels,
        *layouts,
        request.direct,
        request.narrow,
        whole_squares=site.packed == 1 and taps % schedule.lanes == 0 and not request.packed_filters,
        filters_innermost=request.packed_filters,
        slack=request.bordered,
        filter_axes=axes,
        joined=schedule.joined,
        kept_scratch=schedule.kept_scratch,
        whole_filters=request.bordered and extents.filters % schedule.block == 0,
        whole_columns=request.bordered and extents.columns % schedule.pixels == 0,
    )
