"""The interface of a timing device: the only part of a benchmark that differs between a CPU and a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from addercost.measure.speed.reference import ReferenceSpeed

Call = Callable[[], object]
"""The work to time: a function without arguments, whose result is dropped."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of the device at one moment. A field is None or empty where the machine does not report it.

    clock_hz: the clock of the compute units. steal_s: seconds that a hypervisor has taken since boot.
    waited_s: seconds during which this thread could have run and another program had the core.
    throttle_reasons: why the clock is below its maximum.
    """

    clock_hz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    steal_s: float | None = None
    waited_s: float | None = None
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelTime:
    """A kernel that a call runs on a device: its name, its seconds in one call, and how often one call
    launches it.
    """

    name: str
    seconds: float
    launches: float = 1


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of one call by the device's own counter. The resolution is the counter's step divided by the
    number of calls.
    """

    joules: float
    resolution_j: float


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Facts about the device that do not change during a run. kind: "cpu" or "cuda". cache_bytes: the size of
    the last-level cache.

    environment: the lines about the device in the environment record (driver, clocks, threads, …).
    counts_waiting: whether a sample includes the time during which other programs had the processor.
    """

    kind: str
    name: str
    cache_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    counts_waiting: bool = False


class TimingDevice(Protocol):
    """A device that runs calls and measures how long they take."""

    @property
    def facts(self) -> DeviceFacts: ...

    @property
    def speed(self) -> ReferenceSpeed | None:
        """The machine's speed, which a reference beside the timed calls shows; None where the device has no
        reference.
        """

    def now(self) -> float:
        """Seconds of a clock that never stops, for time limits."""

    def prepare(self, call: Call) -> Call:
        """Warms up and returns what `sample` takes: the call, or a recording of it that launches faster."""

    def sample(self, call: Call, calls: int, cold: bool) -> float:
        """Seconds of one call, the mean of `calls` calls in one timed region. cold: caches are flushed before
        each call.
        """

    def condition(self) -> Condition: ...

    def limit(self, name: str) -> float | None:
        """The best rate that the device can reach now, measured with an inner loop that does nothing else:
        sites a second for "mac", "adder", "adder_u8", "mac_u8", "xnor" …, bytes a second for "memory". None
        where it cannot be measured.
        """

    def free_bytes(self) -> int | None:
        """Bytes of memory that can still be allocated, or None where the machine does not report them."""

    def close(self) -> None:
        """Restores what was changed for timing."""

    def peak_bytes(self, call: Call) -> int | None:
        """The most bytes of memory that the call needs in addition to those allocated before it; None where
        they cannot be measured.
        """

    def kernels(self, call: Call) -> tuple[KernelTime, ...]:
        """The kernels that one call runs on the device; empty where there is no profiler."""

    def energy(self, call: Call, seconds: float) -> Energy | None:
        """The energy of one call, measured by repeating it for about `seconds`; None where there is no
        counter.
        """


def expect_noise(device: TimingDevice, accept_noise: bool) -> None:
    """Tells the device whether moments count as quiet that are nearly as fast as the machine often is."""
    if device.speed is not None:
        device.speed.accepts_noise = accept_noise
