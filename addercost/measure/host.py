"""Measuring this machine into a hardware table: what `addercost calibrate` does.

Every figure is a ratio to a chain of dependent 64-bit additions run right beside it, which take one cycle
each, so a clock that moves during the run does not move the figures.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from addercost.errors import ArgumentError, CheckFailedError
from addercost.hardware.vocabulary import Form
from addercost.measure.chains import (
    DEPENDENT,
    READ_IR,
    UNROLL,
    Compiled,
    host_features,
    independent_chains,
    loop_ir,
)
from addercost.measure.host_instructions import Probe, x86_probes

SAMPLES = 15
MOST_STRETCHES = 10
PAUSE_S = 0.03
SAMPLE_S = 0.8e-3
WIDEST_SPREAD = 0.05
"""Quartiles further apart than this, relative to the median, are noise: the machine is busy or its clock
unsteady.
"""
PASSES = 7
_SUFFIX_BITS = {"K": 10, "M": 20}

CLOCK = Probe("int64_add", Form.SCALAR, 64, 1, "addq {y}, {d}", "i64", accumulates=True)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Samples of one quantity. `median` is the figure, the quartiles its spread."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.samples, n=4)
        return low, high

    @property
    def spread(self) -> float:
        """Distance between the quartiles, relative to the median."""
        low, high = self.quartiles
        return (high - low) / self.median


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Cycles of one instruction: until its result can be used, and apart in steady state."""

    probe: Probe
    latency_cycles: Sampled
    reciprocal_throughput_cycles: Sampled


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured, with every sample. `calibration_toml` makes a table of it."""

    core: str
    model: str
    isa: str
    clock_hz: Sampled
    results: tuple[ProbeResult, ...]
    core_bandwidth_bytes_per_s: Sampled
    bandwidth_bytes_per_s: Sampled
    threads: int
    cache_bytes: dict[str, int]


def calibrate(progress: Callable[[str], None] = lambda text: None) -> Calibration:
    """Measures this machine; takes well under 30 s.

    Raises ArgumentError where there is nothing to measure with (no llvmlite, another instruction set), and
    CheckFailedError, with advice, where the machine is too noisy to be believed.
    """
    probes = host_probes()
    ir = loop_ir("clock", CLOCK, DEPENDENT) + READ_IR
    for i, probe in enumerate(probes):
        ir += loop_ir(f"dependent{i}", probe, DEPENDENT)
        ir += loop_ir(f"independent{i}", probe, independent_chains(probe))
    progress("compiling")
    compiled = Compiled(ir)
    clock = compiled.loop("clock")
    results = []
    for i, probe in enumerate(probes):
        progress(probe.text)
        results.append(
            ProbeResult(
                probe,
                sampled_ratio(compiled.loop(f"dependent{i}"), clock, f"the latency of {probe.text}"),
                sampled_ratio(compiled.loop(f"independent{i}"), clock, f"the throughput of {probe.text}"),
            )
        )
    rounds = _rounds(clock)
    clock_hz = believed(lambda: UNROLL * rounds / _seconds(clock, rounds), "the clock")
    progress("memory")
    caches = cache_sizes()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    alone, together = _bandwidths(compiled.reader(), caches, threads)
    core, _ = host_features()
    return Calibration(
        core, cpu_model(), "x86-64", clock_hz, tuple(results), alone, together, threads, caches
    )


def host_probes() -> list[Probe]:
    """The instructions this machine can be measured by. Raises ArgumentError where there are none."""
    try:
        _, features = host_features()
    except ImportError:
        raise ArgumentError(
            "calibrate needs llvmlite, which is not installed", "pip install 'addercost[cpu]'"
        ) from None
    probes = list(x86_probes(features)) if platform.machine() in ("x86_64", "AMD64") else []
    if not probes:
        raise ArgumentError(
            f"calibrate knows no instructions of this machine ({platform.machine()})",
            "it measures x86-64 with AVX2; name a table with --cpu instead",
        )
    return probes


def sampled_ratio(loop: Callable[[int], None], clock: Callable[[int], None], what: str) -> Sampled:
    """Cycles for each instruction of `loop`, against dependent additions run just before."""
    n, n_clock = _rounds(loop), _rounds(clock)

    def sample() -> float:
        cycle_s = _seconds(clock, n_clock) / n_clock
        return _seconds(loop, n) / n / cycle_s

    return believed(sample, what)


def believed(sample: Callable[[], float], what: str) -> Sampled:
    """The first stretch of samples whose quartiles are close together; a noisy stretch is thrown away whole.

    Raises CheckFailedError where none of `MOST_STRETCHES` is calm.
    """
    for stretch in range(MOST_STRETCHES):
        # Another program's burst lasts longer than one stretch of samples.
        time.sleep(PAUSE_S * stretch)
        figure = Sampled(tuple(sample() for _ in range(SAMPLES)))
        if figure.spread <= WIDEST_SPREAD:
            return figure
    raise CheckFailedError(
        f"{what} is too noisy: quartiles {100 * figure.spread:.0f} % apart, {MOST_STRETCHES} times over",
        "stop other programs, plug in the charger or fix the clock, and run calibrate again",
    )


def _rounds(loop: Callable[[int], None]) -> int:
    """How many rounds take about `SAMPLE_S`."""
    n = 16
    while (took := _seconds(loop, n)) < SAMPLE_S / 4:
        n *= 2
    return max(1, round(n * SAMPLE_S / took))


def _seconds(loop: Callable[[int], None], n: int) -> float:
    """Processor time of this thread: time another program had the core does not count."""
    start = time.thread_time_ns()
    loop(n)
    return (time.thread_time_ns() - start) * 1e-9


def _bandwidths(
    reader: Callable[[int, int], int], caches: dict[str, int], threads: int
) -> tuple[Sampled, Sampled]:
    """Bytes per second read in order by one thread, and by all of them from slices of their own."""
    last = max(caches.values(), default=32 << 20)
    size = min(max(4 * last, 64 << 20), 512 << 20)
    size -= size % (256 * threads)
    with _touched_buffer(size) as address, ThreadPoolExecutor(threads) as pool:
        part = size // threads

        def alone() -> float:
            start = time.perf_counter_ns()
            reader(address, size)
            return size / ((time.perf_counter_ns() - start) * 1e-9)

        def together() -> float:
            start = time.perf_counter_ns()
            list(pool.map(lambda t: reader(address + t * part, part), range(threads)))
            return size / ((time.perf_counter_ns() - start) * 1e-9)

        alone(), together()
        # Memory is shared with whatever else runs, so its spread is reported and not held against it.
        return Sampled(tuple(alone() for _ in range(PASSES))), Sampled(
            tuple(together() for _ in range(PASSES))
        )


def memory_bandwidth(threads: int) -> float | None:
    """Bytes per second that `threads` cores read in order, the best of a few passes; None where it cannot be
    measured."""
    try:
        compiled = Compiled(READ_IR)
    except (ImportError, RuntimeError):
        return None
    alone, together = _bandwidths(compiled.reader(), cache_sizes(), threads)
    return max((together if threads > 1 else alone).samples)


@contextmanager
def _touched_buffer(size: int) -> Iterator[int]:
    """The address of `size` bytes, every page present, aligned to a page."""
    import ctypes
    import mmap

    with mmap.mmap(-1, size) as buffer:
        view = (ctypes.c_char * size).from_buffer(buffer)
        try:
            ctypes.memset(view, 1, size)
            yield ctypes.addressof(view)
        finally:
            # The mapping cannot be closed while a view of it lives.
            del view


def cache_sizes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, int]:
    """Bytes of each data cache by level (`L1`, `L2`, `L3`), as Linux tells them; empty elsewhere."""
    sizes = {}
    for index in sorted(folder.glob("index*")):
        try:
            kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size[-1:] in _SUFFIX_BITS:
            sizes[f"L{level}"] = int(size[:-1]) << _SUFFIX_BITS[size[-1]]
    return sizes


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name."""
    try:
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def governor(folder: Path = Path("/sys/devices/system/cpu/cpu0/cpufreq")) -> str:
    """How the system sets the clock."""
    try:
        return (folder / "scaling_governor").read_text().strip()
    except OSError:
        return "not told"
