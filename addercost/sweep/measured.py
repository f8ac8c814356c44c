"""What a sweep measures: how, and what was found of one architecture. Plain data."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from addercost.arithmetic import Arithmetic
from addercost.errors import ArgumentError, unknown_name
from addercost.version import __version__

SCHEMA = "addercost/sweep-measured/1"
DEVICES = ("cpu", "cuda")
RESOURCE = "addercost-device"
"""The Dask resource of which a machine offers one: two measurements at once would measure each other."""


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """How architectures are timed: whole forwards in evaluation mode, as torch runs them.

    sample: so many architectures spread evenly over the space, 0 for all. threads: of a CPU. precision: of
    the median's 95 % interval; a timing that is wider after time_limit_s is marked as not converged.
    """

    device: str = "cpu"
    threads: int = 1
    arithmetics: tuple[str, ...] = ("mac",)
    batches: tuple[int, ...] = (1,)
    precision: float = 0.02
    time_limit_s: float = 2.0
    sample: int = 0
    chunk: int = 20

    @property
    def combinations(self) -> tuple[tuple[str, int], ...]:
        return tuple(itertools.product(self.arithmetics, self.batches))

    def checked(self) -> MeasureSettings:
        """Itself. Raises ArgumentError."""
        if self.device not in DEVICES:
            raise unknown_name("device", self.device, DEVICES)
        for arithmetic in self.arithmetics:
            if arithmetic not in list(Arithmetic):
                raise unknown_name("arithmetic", arithmetic, Arithmetic)
        if not self.arithmetics or not self.batches or min(self.batches) < 1:
            raise ArgumentError("measuring needs arithmetics, and batch sizes of 1 or more")
        if not 0 < self.precision < 1:
            raise ArgumentError(f"a precision of {self.precision:g} is none", "write 2% as 0.02")
        if min(self.threads, self.chunk) < 1 or self.sample < 0 or self.time_limit_s <= 0:
            raise ArgumentError("threads, chunk, sample and time limit must be positive")
        return self

    def indices(self, architectures: int) -> tuple[int, ...]:
        """Which architectures are timed, in order."""
        if not self.sample or self.sample >= architectures:
            return tuple(range(architectures))
        return tuple(i * architectures // self.sample for i in range(self.sample))

    def key(self, sweep_key: str) -> str:
        """A digest of what decides which rows there are; the machine is in the rows."""
        content = json.dumps([SCHEMA, __version__, sweep_key, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ForwardTime:
    """Samples of one forward, seconds each, in order, and the 95 % interval of their median."""

    arithmetic: str
    batch: int
    samples_s: tuple[float, ...]
    median_s: float
    low_s: float | None
    high_s: float | None
    converged: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArchitectureTimes:
    """Everything that was measured of one architecture; `error` says why something is missing."""

    index: int
    name: str
    times: tuple[ForwardTime, ...] = ()
    machine: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def begins(self) -> bool:
        """Only says that the architecture is now being timed."""
        return self.error is None and not self.times
