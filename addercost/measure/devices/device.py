"""Where calls are timed: the one part of a benchmark that differs between a CPU and a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from addercost.measure.speed.reference import ReferenceSpeed

Call = Callable[[], object]
"""The work to time, without arguments; its result is dropped."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of the device at one moment; None or empty where the machine does not say.

    clock_hz: of the compute units. steal_s: time a hypervisor has taken since boot. waited_s: time during
    which this thread could have run and another program had the core. throttle_reasons: what keeps the clock
    below its maximum.
    """

    clock_hz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    steal_s: float | None = None
    waited_s: float | None = None
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel that a call runs on a device: its name, its seconds a call, and its launches a call."""

    name: str
    seconds: float
    launches: float = 1


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of one call by the device's own counter, and the counter's step, divided by the calls."""

    joules: float
    resolution_j: float


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What stays the same during a run. kind: "cpu" or "cuda". cache_bytes: the last-level cache.

    environment: the device's own lines of the environment record (driver, clocks, threads, …).
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
        """The machine's speed beside what is timed; None where the device has no reference."""

    def now(self) -> float:
        """Seconds of a clock that never stops, for time limits."""

    def prepare(self, call: Call) -> Call:
        """Warms up and returns what is to be sampled: the call, or a recording of it that launches faster."""

    def sample(self, call: Call, calls: int, cold: bool) -> float:
        """Seconds a call, of `calls` in one timed region; cold: caches are flushed before each."""

    def condition(self) -> Condition: ...

    def limit(self, name: str) -> float | None:
        """The best rate the device can reach now, from an inner loop without anything around it: sites a
        second for "mac", "adder", "adder_u8", "mac_u8", "xnor" …, bytes a second for "memory". None where it
        cannot be measured."""

    def free_bytes(self) -> int | None:
        """Memory that can still be allocated, or None where the machine does not say."""

    def close(self) -> None:
        """Restores what was changed for timing."""

    def peak_bytes(self, call: Call) -> int | None:
        """The most memory the call needs above what was allocated; None where it cannot be measured."""

    def kernels(self, call: Call) -> tuple[KernelTime, ...]:
        """The device's kernels in one call; empty where there is no profiler."""

    def energy(self, call: Call, seconds: float) -> Energy | None:
        """The energy of one call, from repeating it for about `seconds`; None where there is no counter."""
