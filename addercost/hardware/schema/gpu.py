"""A table of the kind `gpu`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from addercost.hardware.schema.efficiency import Efficiency
from addercost.hardware.schema.figures import BytesPerSecond, Citation, ClockHz
from addercost.reading import Positive, Text, Whole


@dataclass(frozen=True, slots=True)
class GpuRate:
    """Results of one operation per clock per streaming multiprocessor."""

    op: Text
    results_per_clock_per_sm: Positive
    source: Text


@dataclass(frozen=True, slots=True)
class GpuLatency:
    """Cycles until the result of one operation can be used."""

    op: Text
    latency_cycles: Positive
    source: Text


@dataclass(frozen=True, slots=True)
class GpuSequence:
    """The machine instructions of a kernel's inner step after compilation, and how many elements they
    process.
    """

    kernel: Text
    text: Text
    instructions: Whole
    elements: Whole
    source: Text


@dataclass(frozen=True, slots=True)
class GpuPeak:
    """A vendor's peak rate: operations per second, a multiply-add counted as two, dense."""

    op: Text
    ops_per_s: Positive
    source: Text


@dataclass(frozen=True)
class Gpu:
    """A GPU product: peaks, rates per clock, latencies and compiled inner loops, as far as they are known.

    l2_bandwidth_bytes_per_s: the measured rate at which all multiprocessors together read from the
    second-level cache.
    """

    name: str
    title: Text
    vendor: Text
    architecture: Text
    file: str
    sources: Mapping[str, Citation] = field(hash=False)
    source: Text
    compute_capability: Text = ""
    streaming_multiprocessors: Whole | None = None
    shading_units: Whole | None = None
    base_clock_hz: ClockHz | None = None
    boost_clock_hz: ClockHz | None = None
    l2_bytes: Whole | None = None
    memory_bandwidth_bytes_per_s: BytesPerSecond | None = None
    memory_bandwidth_source: Text = ""
    memory_bytes: Whole | None = None
    memory_source: Text = ""
    l2_bandwidth_bytes_per_s: BytesPerSecond | None = None
    l2_bandwidth_source: Text = ""
    peaks: tuple[GpuPeak, ...] = ()
    rates: tuple[GpuRate, ...] = ()
    latencies: tuple[GpuLatency, ...] = ()
    sequences: tuple[GpuSequence, ...] = ()
    efficiencies: tuple[Efficiency, ...] = ()
    caveats: tuple[Text, ...] = ()

    @property
    def kind(self) -> str:
        return "gpu"
