"""Measuring this machine into a hardware table: what `addercost calibrate` does.

Every figure is a ratio to a chain of dependent 64-bit additions that runs right beside it. Each of these
takes one cycle, so a clock that changes during the run does not change the figures.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from addercost.errors import ArgumentError, CheckFailedError
from addercost.measure.host.chains import (
    DEPENDENT,
    READ_IR,
    UNROLL,
    Compiled,
    host_features,
    independent_chains,
    loop_ir,
)
from addercost.measure.host.core_clock import ADDITION, X86_64, thread_seconds
from addercost.measure.host.instructions import Probe, x86_probes
from addercost.measure.host.memory_bandwidth import bandwidths
from addercost.measure.host.processor import cache_sizes, cpu_model

SAMPLES = 15
MOST_STRETCHES = 10
PAUSE_S = 0.03
SAMPLE_S = 0.8e-3
WIDEST_SPREAD = 0.05
"""Quartiles further apart than this, relative to the median, are noise: the machine is busy or its clock
unsteady.
"""


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
    """Cycles of one instruction: until its result can be used, and between two of them in steady state."""

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
    CheckFailedError, with advice, where the machine is too noisy for its figures to be trusted.
    """
    probes = host_probes()
    ir = loop_ir("clock", ADDITION, DEPENDENT) + READ_IR
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
    clock_hz = calm_samples(lambda: UNROLL * rounds / thread_seconds(clock, rounds), "the clock")
    progress("memory")
    caches = cache_sizes()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Other programs use the memory too, so the spread of these is reported and is no reason to stop.
    alone, together = map(Sampled, bandwidths(compiled.reader(), caches, threads))
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
    probes = list(x86_probes(features)) if platform.machine() in X86_64 else []
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
        cycle_s = thread_seconds(clock, n_clock) / n_clock
        return thread_seconds(loop, n) / n / cycle_s

    return calm_samples(sample, what)


def calm_samples(sample: Callable[[], float], what: str) -> Sampled:
    """The first stretch of samples whose quartiles are close together; a noisy stretch is dropped as a whole.

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
    while (took := thread_seconds(loop, n)) < SAMPLE_S / 4:
        n *= 2
    return max(1, round(n * SAMPLE_S / took))
