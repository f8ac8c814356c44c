"""A device whose clock is a script: nothing in these tests depends on the machine they run on."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from addercost.measure.devices.device import Call, Condition, DeviceFacts, Energy, KernelTime
from addercost.measure.speed.reference import ReferenceSpeed


@dataclass
class Work:
    """A call that takes `seconds` and counts how often it ran."""

    seconds: float
    name: str = "work"
    runs: int = 0

    def __call__(self) -> None:
        self.runs += 1


@dataclass
class ScriptedDevice:
    """Every sample takes the work's seconds times e^noise. order: the names of what was sampled."""

    noise: Iterator[float] = field(default_factory=lambda: iter(lambda: 0.0, None))
    conditions: list[Condition] = field(default_factory=list)
    free: int | None = 1 << 33
    kind: str = "cpu"
    elapsed: float = 0.0
    order: list[str] = field(default_factory=list)
    default_s: float = 1e-3
    counts_waiting: bool = False
    speed: ReferenceSpeed | None = None

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts(self.kind, "Scripted", 1 << 20, {"threads": "1"}, self.counts_waiting)

    def now(self) -> float:
        return self.elapsed

    def prepare(self, call: Call) -> Call:
        return call

    def sample(self, call: Call, calls: int, cold: bool) -> float:
        self.order.append(getattr(call, "name", "?"))
        seconds = getattr(call, "seconds", self.default_s) * math.exp(next(self.noise))
        self.elapsed += seconds * calls
        return seconds

    def condition(self) -> Condition:
        return self.conditions.pop(0) if self.conditions else Condition()

    def limit(self, name: str) -> float | None:
        return {"mac": 2e9, "adder": 1e9, "memory": 1e10}.get(name)

    def free_bytes(self) -> int | None:
        return self.free

    def close(self) -> None:
        pass

    def peak_bytes(self, call: Call) -> int | None:
        return 4096

    def kernels(self, call: Call) -> tuple[KernelTime, ...]:
        return (KernelTime("a_kernel", 1e-6, 2),)

    def energy(self, call: Call, seconds: float) -> Energy | None:
        return None


def quiet(rng: random.Random) -> Iterator[float]:
    while True:
        yield rng.gauss(0, 0.003)


def independent(rng: random.Random) -> Iterator[float]:
    while True:
        yield rng.gauss(0, 0.02)


def outliers(rng: random.Random) -> Iterator[float]:
    """One sample in ten is interrupted."""
    while True:
        yield abs(rng.gauss(0, 0.02)) + (rng.expovariate(1 / 0.3) if rng.random() < 0.1 else 0)


def correlated(rng: random.Random) -> Iterator[float]:
    state = 0.0
    while True:
        state = 0.9 * state + rng.gauss(0, 0.02)
        yield state


def drifting(rng: random.Random) -> Iterator[float]:
    """A clock that falls by half a percent every block."""
    t = 0
    while True:
        yield 0.00125 * t + rng.gauss(0, 0.01)
        t += 1


def two_states(rng: random.Random) -> Iterator[float]:
    """A neighbour that comes and goes takes 15 %."""
    busy = False
    while True:
        if rng.random() < 0.05:
            busy = not busy
        yield 0.15 * busy + rng.gauss(0, 0.005)


def half_busy(rng: random.Random) -> Iterator[float]:
    """Four samples in ten take twice as long, as beside a program of the same size."""
    while True:
        yield rng.gauss(0, 0.01) + (0.7 if rng.random() < 0.2 else 0)


NOISES = (quiet, independent, outliers, correlated, drifting, two_states, half_busy)
