"""Findings about the processor, its clock, and the compilers beside it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from addercost.hardware.matching import core_name, matching_tables
from addercost.hardware.this_machine import UNKNOWN_GOVERNOR, cpu_model, governor
from addercost.measure.doctor.finding import FindingState, MachineFinding
from addercost.measure.host.core_clock import clock_hz

CLOCK_SAMPLES, CLOCK_ROUNDS, CLOCK_PAUSE_S = 12, 2000, 0.02
STEADY = 0.02
"""The clock is steady if its samples differ by no more than this share."""


def processor() -> Iterator[MachineFinding]:
    """Findings about the processor, its hardware table, and how many of its cores may be used."""
    from addercost.hardware.loader import host_file

    part = "processor"
    core = core_name()
    yield MachineFinding(part, "model", FindingState.OK, cpu_model() + (f" ({core})" if core else ""))
    tables = matching_tables(core)
    if tables:
        yield MachineFinding(part, "built-in table", FindingState.OK, ", ".join(tables))
    else:
        why = f"none was made for {core}" if core else "the core is not known without llvmlite"
        yield MachineFinding(part, "built-in table", FindingState.NOTE, why, "addercost calibrate")
    if os.path.lexists(host_file()):
        yield MachineFinding(part, "own table (host)", FindingState.OK, "calibrated")
    else:
        why, mend = "this machine is not calibrated", "addercost calibrate"
        yield MachineFinding(part, "own table (host)", FindingState.OPTIONAL, why, mend)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pinning = "can be pinned" if hasattr(os, "sched_setaffinity") else "cannot be pinned here"
    text = f"{cores} of {os.cpu_count()} may be used, threads {pinning}"
    yield MachineFinding(part, "cores", FindingState.OK, text)


def clock() -> Iterator[MachineFinding]:
    """Findings that say whether the clock is steady, and whether the machine is idle enough for timings."""
    part = "clock"
    found = governor()
    slow = found in ("powersave", "ondemand", "conservative", "schedutil")
    mend = "sudo cpupower frequency-set -g performance" if slow else ""
    known = found != UNKNOWN_GOVERNOR
    state = FindingState.OK if known and not slow else FindingState.NOTE
    yield MachineFinding(part, "governor", state, found if known else "the system does not report it", mend)
    samples = clock_samples_hz()
    if samples:
        low, high = min(samples), max(samples)
        text = f"{low / 1e9:.2f} to {high / 1e9:.2f} GHz in {CLOCK_SAMPLES * CLOCK_PAUSE_S:.1f} s"
        steady = high <= (1 + STEADY) * low
        mend = "" if steady else "stop other programs; fix the clock if the machine lets you"
        yield MachineFinding(part, "core clock", FindingState.OK if steady else FindingState.NOTE, text, mend)
    else:
        text = "not measured: that takes llvmlite on x86-64"
        yield MachineFinding(part, "core clock", FindingState.NOTE, text)
    if hasattr(os, "getloadavg"):
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        busy = load > 0.5 * cores
        mend = "wait, or stop other programs, before timing" if busy else ""
        state = FindingState.NOTE if busy else FindingState.OK
        yield MachineFinding(part, "load", state, f"{load:.1f} on {cores} cores", mend)


def clock_samples_hz() -> list[float]:
    """The core's clock in Hz, sampled every `CLOCK_PAUSE_S`; empty where it cannot be measured."""
    samples = []
    for _ in range(CLOCK_SAMPLES):
        try:
            sample = clock_hz(CLOCK_ROUNDS)
        except Exception:  # a broken llvmlite raises any exception
            return []
        if sample is None:
            return []
        samples.append(sample)
        time.sleep(CLOCK_PAUSE_S)
    return samples


def compilers() -> Iterator[MachineFinding]:
    """Findings about the compilers that torch.compile and Triton start."""
    for thing, variable, names, used in (
        ("C++ compiler", "CXX", ("g++", "clang++"), "torch.compile on the CPU"),
        ("C compiler", "CC", ("gcc", "clang", "cc"), "Triton's launchers on a GPU"),
    ):
        given = os.environ.get(variable)
        path = shutil.which(given) if given else next(filter(None, map(shutil.which, names)), None)
        if path:
            yield MachineFinding("compilers", thing, FindingState.OK, f"{Path(path).name}, for {used}")
        else:
            why = f"{variable}={given} is not found" if given else f"{used} needs one"
            yield MachineFinding("compilers", thing, FindingState.OPTIONAL, why, "apt-get install g++")
