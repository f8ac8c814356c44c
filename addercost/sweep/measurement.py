"""The settings of measurements and their results for one architecture, as plain data."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from addercost.arithmetic import arithmetic_named
from addercost.counts.arithmetics import layered
from addercost.errors import ArgumentError, unknown_name
from addercost.version import __version__

SCHEMA = "addercost/sweep-measured/1"
DEVICES = ("cpu", "cuda")
RESOURCE = "addercost-device"
"""The Dask resource that a worker must offer to take part. A machine has one unit of it, since two
measurements at once would slow each other down.
"""


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """Settings of measurements. Whole forwards are timed in evaluation mode, as torch runs them.

    threads: the number of a CPU's threads. precision: a timing is finished when half the width of the
    median's 95 % interval is at most this share of the median. A timing whose interval is wider after
    `time_limit_s` is marked as not converged. sample: the number of architectures, spread evenly over the
    space, 0 for all. chunk: architectures in a shard.
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
        """The settings themselves. Raises ArgumentError for a name that does not exist or a number out of
        range.
        """
        if self.device not in DEVICES:
            raise unknown_name("device", self.device, DEVICES)
        for arithmetic in self.arithmetics:
            layered(arithmetic_named(arithmetic))
        if not self.arithmetics or not self.batches or min(self.batches) < 1:
            raise ArgumentError("measuring needs arithmetics, and batch sizes of 1 or more")
        if not 0 < self.precision < 1:
            raise ArgumentError(f"a precision of {self.precision:g} is none", "write 2% as 0.02")
        if min(self.threads, self.chunk) < 1 or self.sample < 0 or self.time_limit_s <= 0:
            raise ArgumentError("threads, chunk, sample and time limit must be positive")
        return self

    def indices(self, architectures: int) -> tuple[int, ...]:
        """The indices of the architectures to time among so many, in order."""
        if not self.sample or self.sample >= architectures:
            return tuple(range(architectures))
        return tuple(i * architectures // self.sample for i in range(self.sample))

    def key(self, sweep_key: str) -> str:
        """A digest of the settings that decide which rows there are. The machine is no part of it, since each
        row names its machine.
        """
        content = json.dumps([SCHEMA, __version__, sweep_key, asdict(self)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ForwardTime:
    """Seconds of one forward: samples in order, their median, and the ends of its 95 % interval, None where
    there are too few samples for one.
    """

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
    """All timings of one architecture. error: the reason why a timing is missing, or None."""

    index: int
    name: str
    times: tuple[ForwardTime, ...] = ()
    machine: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
