"""Where calls are timed: the one part of a benchmark that differs between a CPU and a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Call = Callable[[], object]
"""The work to time, without arguments; its result is dropped."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of the device at one moment; None and empty where the machine does not tell.

    clock_hz: of the compute units. steal_s: time a hypervisor has taken since boot. waited_s: time this
    thread could have run and another program had the core. throttle_reasons: why the clock is held down, in
    the driver's words.
    """

    clock_hz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    steal_s: float | None = None
    waited_s: float | None = None
    throttle_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel of a device inside a call: its name, seconds a call, and launches a call."""

    name: str
    seconds: float
    launches: float = 1


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules a call from the device's own counter, and the step the counter moves in."""

    joules: float
    resolution_j: float


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What stays the same during a run. kind: "cpu" or "cuda". cache_bytes: the last-level cache.

    environment: the device's own lines of the environment record (driver, clocks, threads, …).
    counts_waiting: whether a sample holds the time that other programs had the processor.
    """

    kind: str
    name: str
    cache_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    counts_waiting: bool = False


class Device(Protocol):
    """A device that runs calls and tells how long they took."""

    @property
    def facts(self) -> DeviceFacts: ...

    def now(self) -> float:
        """Seconds of a clock that never stops, which time limits go by."""

    def prepare(self, call: Call) -> Call:
        """Warms up and returns what is to be sampled: the call, or a recording of it that launches faster."""

    def sample(self, call: Call, calls: int, cold: bool) -> float:
        """Seconds a call: `calls` of them in one timed region, after a flush of the caches where cold."""

    def condition(self) -> Condition: ...

    def limit(self, name: str) -> float | None:
        """The best rate of the device now, by the bare inner loop: sites a second for "mac", "adder",
        "adder_u8", "mac_u8", "xnor" …, bytes a second for "memory"; None where it cannot be measured."""

    def free_bytes(self) -> int | None:
        """Memory that can still be had, or None where it cannot be told."""

    def close(self) -> None:
        """Puts back what was changed for timing."""

    def peak_bytes(self, call: Call) -> int | None:
        """The most memory the call needs above what is held before it, or None where it cannot be told."""

    def kernels(self, call: Call) -> tuple[KernelTime, ...]:
        """The device's kernels in one call; empty where there is no profiler."""

    def energy(self, call: Call, seconds: float) -> Energy | None:
        """Of one call, by repeating it for about `seconds`; None where the device has no counter."""
