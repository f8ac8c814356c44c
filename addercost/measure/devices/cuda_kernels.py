"""The kernels that a call runs on a GPU, from torch's profiler."""

from __future__ import annotations

from typing import Any

from addercost.measure.devices.device import KernelTime


def kernel_times(events: Any, calls: int) -> tuple[KernelTime, ...]:
    """The kernels of a profile of `calls` calls, one entry for each name, the longest first.

    events: the events of `torch.profiler.profile`, with durations in microseconds.
    """
    seconds: dict[str, float] = {}
    launches: dict[str, int] = {}
    for event in events:
        if "CUDA" not in str(event.device_type) or event.name.startswith(("cuda", "hip", "Activity Buffer")):
            continue
        if getattr(event, "is_user_annotation", False):  # spans kernels, as an optimizer step
            continue
        seconds[event.name] = seconds.get(event.name, 0.0) + event.time_range.elapsed_us() * 1e-6
        launches[event.name] = launches.get(event.name, 0) + 1
    ranked = sorted(seconds, key=lambda name: -seconds[name])
    return tuple(KernelTime(name, seconds[name] / calls, launches[name] / calls) for name in ranked)
