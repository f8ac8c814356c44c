"""Measures this machine for a hardware table, as `addercost calibrate` does.

Every figure of the core is a ratio to the time of a chain of dependent 64-bit additions, which runs just
before it. Each of these additions takes one cycle, so a clock that changes during the run does not change the
figures. Samples are kept only of moments at which the machine had its best known speed
(`addercost.measure.speed`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

from addercost.errors import ArgumentError
from addercost.hardware.this_machine import cache_sizes, instruction_set, processor_id
from addercost.hardware.vocabulary import Form
from addercost.measure.host.aarch64_instructions import aarch64_probes
from addercost.measure.host.amx_loops import TileLoop
from addercost.measure.host.call_costs import operator_call_sample, wake_up_sample
from addercost.measure.host.chains import (
    DEPENDENT,
    UNROLL,
    Compiled,
    independent_chains,
    loop_ir,
)
from addercost.measure.host.core_clock import ADDITIONS, thread_seconds
from addercost.measure.host.loop_rate import host_loop_ir, host_loops, loop_operands, steps_of
from addercost.measure.host.memory_bandwidth import READ_IR, bandwidths
from addercost.measure.host.mixes import mix_ir, times_of
from addercost.measure.host.ports import Mix, shared_units
from addercost.measure.host.probe import HostLoop, Probe
from addercost.measure.host.sampling import LIMIT_S, Sampled, Sampler
from addercost.measure.host.x86_instructions import x86_probes
from addercost.measure.speed.reference import ReferenceSpeed

SAMPLE_S = 0.2e-3
PIECES = 5
"""Into how many pieces a sample is cut."""
MIX_SAMPLE_S = 0.1e-3
MIX_SAMPLES = 6
WIDEST_MIX_SPREAD = 0.08
"""The widest spread of a mix's samples. A mix need only distinguish one unit from two."""

WIDEST_CALL_SPREAD = 0.3
"""The widest spread of a call's samples. Calls take different paths through the system's allocator and
scheduler.
"""

PORT_LETTERS = {"vector": "V", "float": "F", "general": "G"}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Cycles of one instruction: the latency until its result can be used, and the reciprocal throughput in
    steady state.

    ports: the ports in the notation of hardware tables, "" where the instruction was not mixed with others.
    """

    probe: Probe
    latency_cycles: Sampled
    reciprocal_throughput_cycles: Sampled
    ports: str = ""


@dataclass(frozen=True, slots=True)
class LoopResult:
    """Cycles of one step of an inner loop. A step combines `loop.sites` pairs of input and weight."""

    loop: HostLoop | TileLoop
    cycles: Sampled


@dataclass(frozen=True, slots=True)
class LevelBandwidth:
    """Bytes a second that one core reads from one level (`L1`, …, `memory`), and that all cores read
    together.
    """

    level: str
    alone_bytes_per_s: Sampled
    together_bytes_per_s: Sampled


@dataclass(frozen=True, slots=True)
class Calibration:
    """The measurement with every sample. `calibration_toml` makes a hardware table of it.

    factor: how many times as long a fixed piece of work took as at the machine's best known speed, in the
    median.
    """

    core: str
    model: str
    isa: str
    clock_hz: Sampled
    results: tuple[ProbeResult, ...]
    loops: tuple[LoopResult, ...]
    bandwidths: tuple[LevelBandwidth, ...]
    operator_call_s: Sampled
    thread_wake_up_s: Sampled | None
    threads: int
    cache_bytes: dict[str, int]
    factor: float


def calibrate(
    progress: Callable[[str], None] = lambda text: None,
    speed: ReferenceSpeed | None = None,
    wall_speed: ReferenceSpeed | None = None,
    limit_s: float = LIMIT_S,
) -> Calibration:
    """Measures this machine, which takes less than a minute if it is quiet.

    speed, wall_speed: references for the machine's speed by processor time and by wall-clock time; this
    machine's by default. limit_s: how long to wait for quiet moments in all. Raises ArgumentError without
    llvmlite and on another instruction set. Raises CheckFailedError, with the observed noise, where the
    machine is too noisy for trustworthy figures.
    """
    core, features = _host()
    probes = host_probes(features)
    loops = host_loops(features)
    with _one_torch_thread():
        sampler = Sampler(
            speed or _machine_speed(time.thread_time_ns),
            wall_speed or _machine_speed(time.perf_counter_ns),
            limit_s,
        )
        progress("compiling")
        bench = _Bench(sampler, probes, loops)
        results = bench.instructions(progress)
        measured_loops = tuple(bench.loop(i, loop, progress) for i, loop in enumerate(loops))
        progress("memory")
        caches = cache_sizes()
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # Other guests of the host use its memory as well, so a wide spread of these is no reason to stop.
        levels = tuple(
            LevelBandwidth(level, Sampled(found.alone), Sampled(found.together))
            for level, found in bandwidths(
                bench.compiled.reader(), caches, threads, guard=sampler.quiet
            ).items()
        )
        progress("calls")
        call_s = sampler.calm(operator_call_sample(), "the cost of a call", widest=WIDEST_CALL_SPREAD)
        wake_s = None
        if threads > 1:
            wake_s = Sampled(tuple(wake_up_sample(threads)() for _ in range(MIX_SAMPLES)))
        return Calibration(
            core, processor_id(), instruction_set(), bench.clock_hz(), results, measured_loops, levels,
            call_s, wake_s, threads, caches, sampler.speed.usual_factor,
        )  # fmt: skip


def host_probes(features: Set[str]) -> list[Probe]:
    """The instructions that can be measured on this machine. Raises ArgumentError where there are none."""
    isa = instruction_set()
    probes: list[Probe] = []
    if isa == "x86-64":
        probes = list(x86_probes(features))
    elif isa == "aarch64":
        probes = list(aarch64_probes(features))
    if not probes:
        raise ArgumentError(
            f"calibrate knows no instructions of this machine ({isa})",
            "it measures x86-64 with AVX2, and aarch64; name a table with --cpu instead",
        )
    return probes


class _Bench:
    """Compiled loops. It measures the cycles of their instructions against additions that run just before."""

    def __init__(self, sampler: Sampler, probes: list[Probe], loops: list[HostLoop | TileLoop]) -> None:
        self._sampler, self._probes = sampler, probes
        ir = loop_ir("clock", ADDITIONS[instruction_set()], DEPENDENT) + READ_IR
        for i, probe in enumerate(probes):
            ir += loop_ir(f"dependent{i}", probe, DEPENDENT)
            ir += loop_ir(f"independent{i}", probe, independent_chains(probe))
        for i, loop in enumerate(loops):
            ir += host_loop_ir(f"inner{i}", loop)
        self.compiled = Compiled(ir)
        self._clock = self.compiled.loop("clock")
        self._clock_rounds = _rounds(self._clock, SAMPLE_S / PIECES)

    def clock_hz(self) -> Sampled:
        rounds = self._clock_rounds

        def sample() -> float:
            clock_s, call_s = _fastest((self._clock, rounds), (self._clock, 1))
            return UNROLL * (rounds - 1) / (clock_s - call_s)

        return self._sampler.calm(sample, "the clock")

    def instructions(self, progress: Callable[[str], None]) -> tuple[ProbeResult, ...]:
        """Measures every instruction alone, and then in mixes with each other instruction on registers of its
        kind.
        """
        latencies: list[Sampled] = []
        throughputs: list[Sampled] = []
        for i, probe in enumerate(self._probes):
            progress(probe.text)
            for figures, kind, what in (
                (latencies, "dependent", "latency"), (throughputs, "independent", "throughput")
            ):  # fmt: skip
                loop = self.compiled.loop(f"{kind}{i}")
                figures.append(self._cycles(loop, UNROLL, f"the {what} of {probe.text}"))
        progress("mixes of two instructions")
        ports = self._ports([figure.median for figure in throughputs])
        return tuple(map(ProbeResult, self._probes, latencies, throughputs, ports))

    def loop(self, number: int, loop: HostLoop | TileLoop, progress: Callable[[str], None]) -> LoopResult:
        progress(f"{loop.name}, {loop.bits} bits")
        run = self.compiled.inner_loop(f"inner{number}")
        with loop_operands(loop) as (inputs, weights):
            cycles = self._cycles(
                lambda n: run(inputs, weights, n),
                steps_of(loop),
                f"the inner loop {loop.name} of {loop.bits} bits",
            )
        return LoopResult(loop, cycles)

    def _cycles(
        self, loop: Callable[[int], None], per_round: int, what: str, sample_s: float = SAMPLE_S, **how: float
    ) -> Sampled:
        """Cycles for each of `per_round` equal parts of a round of `loop`, measured against additions that
        run just before.

        Both run in turn in short pieces, and the shortest of each counts: another guest of the host may share
        the core for less time than a sample takes, and then uses units of either. The time of a single round
        is taken off, since it is mostly that of the call.
        """
        n = _rounds(loop, sample_s / PIECES)
        n_clock = max(2, round(self._clock_rounds * sample_s / SAMPLE_S))

        def sample() -> float:
            clock_s, loop_s, clock_call_s, call_s = _fastest(
                (self._clock, n_clock), (loop, n), (self._clock, 1), (loop, 1)
            )
            cycle_s = (clock_s - clock_call_s) / (n_clock - 1) / UNROLL
            return (loop_s - call_s) / (n - 1) / per_round / cycle_s

        return self._sampler.calm(sample, what, **how)  # type: ignore[arg-type]

    def _ports(self, throughputs: list[float]) -> list[str]:
        ports = [""] * len(self._probes)
        kinds: dict[str, list[int]] = {}
        for i, probe in enumerate(self._probes):
            kind = "vector" if probe.form is not Form.SCALAR else "general" if probe.general else "float"
            kinds.setdefault(kind, []).append(i)
        for kind, members in kinds.items():
            cycles = [throughputs[i] for i in members]
            mixes = self._mixes(members, cycles)
            for i, (work, found) in zip(members, shared_units(cycles, mixes), strict=True):
                ports[i] = ports_text(work, found, PORT_LETTERS[kind])
        return ports

    def _mixes(self, members: list[int], cycles: list[float]) -> dict[tuple[int, int], Mix]:
        pairs = list(combinations(range(len(members)), 2))
        times = {(a, b): times_of(cycles[a], cycles[b]) for a, b in pairs}
        probes = [self._probes[i] for i in members]
        compiled = Compiled(
            "".join(mix_ir(f"mix{a}_{b}", (probes[a], probes[b]), times[a, b]) for a, b in pairs)
        )
        found = {}
        for a, b in pairs:
            took = self._cycles(
                compiled.loop(f"mix{a}_{b}"), 1, f"{probes[a].text} mixed with {probes[b].text}",
                MIX_SAMPLE_S, samples=MIX_SAMPLES, widest=WIDEST_MIX_SPREAD,
            )  # fmt: skip
            found[a, b] = Mix(*times[a, b], took.median)
        return found


def ports_text(work: float, found: frozenset[int], letter: str) -> str:
    """Ports in the notation of a hardware table: cycles of work, and the units of which any can do it."""
    names = "|".join(f"{letter}{unit}" for unit in sorted(found))
    return names if abs(work - 1) < 5e-4 else f"{work:.3f}*{names}"


def _fastest(*runs: tuple[Callable[[int], None], int]) -> list[float]:
    """The shortest seconds of each loop with its number of rounds, of `PIECES` runs in turn."""
    times = [[thread_seconds(loop, rounds) for loop, rounds in runs] for _ in range(PIECES)]
    return list(map(min, zip(*times, strict=True)))


def _rounds(loop: Callable[[int], None], sample_s: float) -> int:
    """The number of rounds that take about `sample_s` seconds, at least 2.

    The shortest of a few runs counts. By a run that was interrupted there would be so few rounds that the
    clock cannot distinguish them from a call.
    """
    n = 16
    while (took := _fastest((loop, n))[0]) < sample_s / 4:
        n *= 2
    return max(2, round(n * sample_s / took))


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Limits torch to one thread inside the block, for the reference and the calls, and restores the number
    afterwards.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _machine_speed(clock_ns: Callable[[], int]) -> ReferenceSpeed:
    from addercost.measure.speed.fixed_work import open_reference_speed

    return open_reference_speed(clock_ns)


def _host() -> tuple[str, frozenset[str]]:
    """LLVM's names of this machine's core and of the features that it has."""
    try:
        from addercost.kernels.cpu.ir.native import host_core, host_features
    except ImportError:
        raise ArgumentError(
            "calibrate needs llvmlite, which is not installed", "pip install 'addercost[cpu]'"
        ) from None
    return host_core(), host_features()
