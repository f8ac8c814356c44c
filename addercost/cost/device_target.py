"""A device as a `Target`: a core of the table that the device names, at the device's clock and with its
memory.
"""

from __future__ import annotations

from dataclasses import replace

from addercost.cost.target import Target, target_of
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.schema.device import DEVICE_FIGURES, Device


def device_target(device: Device, core: Cpu) -> Target:
    """The target of a device whose fastest cores `core` describes."""
    of_core = target_of(core)
    bandwidth = device.core_memory_bandwidth_bytes_per_s or device.memory_bandwidth_bytes_per_s
    kind = "sustained" if device.sustained_clock_hz else "boost"
    remembered = [DEVICE_FIGURES[name] for name in device.unconfirmed]
    return replace(
        of_core,
        name=device.name,
        title=f"{device.title}: {device.soc}",
        clock_hz=device.clock_hz,
        clock=f"the {kind} clock of {device.title}" if device.clock_hz else "",
        memory_bandwidth_bytes_per_s=bandwidth,
        shares_memory_bandwidth=bool(bandwidth) and device.core_memory_bandwidth_bytes_per_s is None,
        file="",
        sources=(*(source.title for source in device.sources.values()), *of_core.sources),
        caveats=(*device.caveats, *of_core.caveats),
        cores=device.cores,
        part_bandwidth_bytes_per_s=device.memory_bandwidth_bytes_per_s,
        memory_bytes=device.memory_bytes or device.sram_bytes,
        device_class=device.device_class,
        efficiencies=(),
        operator_call_s=None,
        processor=device.title,
        made_of=(
            f"a core of {device.title} is {core.name}",
            *of_core.made_of,
            *([f"unconfirmed of {device.title}: {', '.join(remembered)}"] if remembered else []),
        ),
    )
