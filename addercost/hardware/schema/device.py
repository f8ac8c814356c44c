"""A table of the kind `device`: a board, phone, computer or server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from addercost.hardware.schema.figures import BytesPerSecond, Citation, ClockHz, DeviceClass
from addercost.reading import Text, Whole


@dataclass(frozen=True)
class Device:
    """A board, phone, computer or server: the table of its cores, a clock, and memory.

    core: the table of its fastest cores. cores: how many of these it has. further_cores: its other cores,
    which estimates leave idle. core_memory_bandwidth_bytes_per_s: bytes that one core reads and writes
    together in a second; `memory_…` is the rate of all cores. l2_bytes: the cache of one core or of a
    cluster. last_level_cache_bytes: the size of one such cache. sram_bytes: the memory of a microcontroller.
    memory_bytes: the memory of other devices, in the largest version that is sold; memory_source: the source
    of that. unconfirmed: figures that were written from memory and not read in a source.
    """

    name: str
    title: Text
    file: str
    soc: Text
    device_class: DeviceClass
    core: Text
    cores: Whole
    source: Text
    sources: Mapping[str, Citation] = field(hash=False)
    further_cores: str = ""
    sustained_clock_hz: ClockHz | None = None
    boost_clock_hz: ClockHz | None = None
    memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    core_memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    l1d_bytes: Whole | None = None
    l2_bytes: Whole | None = None
    last_level_cache_bytes: Whole | None = None
    sram_bytes: Whole | None = None
    memory_bytes: Whole | None = None
    memory_source: Text = ""
    unconfirmed: tuple[Text, ...] = ()
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "device"

    @property
    def figures(self) -> dict[str, float]:
        """The known figures by field."""
        return {name: value for name in DEVICE_FIGURES if (value := getattr(self, name)) is not None}

    @property
    def clock_hz(self) -> float | None:
        return self.sustained_clock_hz or self.boost_clock_hz


DEVICE_FIGURES = {
    "cores": "cores",
    "sustained_clock_hz": "sustained clock",
    "boost_clock_hz": "boost clock",
    "core_memory_bandwidth_bytes_per_s": "memory bandwidth of one core",
    "memory_bandwidth_bytes_per_s": "memory bandwidth of all cores",
    "l1d_bytes": "first-level data cache",
    "l2_bytes": "second-level cache",
    "last_level_cache_bytes": "last-level cache",
    "sram_bytes": "SRAM",
    "memory_bytes": "memory of the largest version",
}
"""The words for each figure of a device, by field."""
