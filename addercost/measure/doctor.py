"""What this machine offers for estimates, kernels and timings, what it lacks, and what would mend that.

Nothing here fails because something is missing or broken: that is a finding. torch is imported only if it is
installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

import addercost
from addercost.hardware.matching import core_name, matching_tables
from addercost.measure.host import CLOCK, cpu_model, governor

CLOCK_SAMPLES, CLOCK_ROUNDS, CLOCK_PAUSE_S = 12, 2000, 0.02
STEADY = 0.02
_REQUIREMENT = re.compile(
    r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?[^;]*"
    r"(?:;\s*extra\s*==\s*['\"](\w+)['\"])?"
)
_IMPORTED = ("torch", "halide", "llvmlite", "triton")
"""Loaded to see whether they work, since kernels and timings need them; others are looked up only."""
_MODULES = {"scikit-learn": "sklearn"}
_LONGEST = 160


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, and a reader of timings should know."""
    OPTIONAL = "not installed"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing of one part of the machine. mend: the command or the step; empty where nothing is to be done.

    needed: whether `--strict` fails for it.
    """

    part: str
    thing: str
    state: State
    found: str = ""
    mend: str = ""
    needed: bool = False

    @property
    def fails(self) -> bool:
        return self.needed and self.state in (State.MISSING, State.BROKEN)


def examine(deep: bool = False) -> tuple[Finding, ...]:
    """Every part of this machine. deep: import every optional package, to find those that are broken."""
    return tuple(
        finding
        for part in (_processor, _clock, _packages_of(deep), _kernels, _gpu, _compilers)
        for finding in _guarded(part)
    )


def _guarded(part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from part()
    except Exception as error:  # of a broken package, whose other parts are still worth looking at
        yield Finding(part.__name__.strip("_"), "the examination itself", State.BROKEN, _words(error))


def _processor() -> Iterator[Finding]:
    from addercost.hardware.loader import host_file

    part = "processor"
    core = core_name()
    yield Finding(part, "model", State.OK, cpu_model() + (f" ({core})" if core else ""))
    tables = matching_tables(core)
    if tables:
        yield Finding(part, "built-in table", State.OK, ", ".join(tables))
    else:
        why = f"none was made for {core}" if core else "the core is not known without llvmlite"
        yield Finding(part, "built-in table", State.NOTE, why, "addercost calibrate")
    if os.path.lexists(host_file()):
        yield Finding(part, "own table (host)", State.OK, "calibrated")
    else:
        mend = "addercost calibrate"
        yield Finding(part, "own table (host)", State.OPTIONAL, "this machine is not calibrated", mend)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pinning = "can be pinned" if hasattr(os, "sched_setaffinity") else "cannot be pinned here"
    yield Finding(part, "cores", State.OK, f"{cores} of {os.cpu_count()} may be used, threads {pinning}")


def _clock() -> Iterator[Finding]:
    part = "clock"
    found = governor()
    slow = found in ("powersave", "ondemand", "conservative", "schedutil")
    mend = "sudo cpupower frequency-set -g performance" if slow else ""
    known = found != "not told" and not slow
    text = found if found != "not told" else "the system does not tell it"
    yield Finding(part, "governor", State.OK if known else State.NOTE, text, mend)
    samples = clock_samples_hz()
    if samples:
        low, high = min(samples), max(samples)
        text = f"{low / 1e9:.2f} to {high / 1e9:.2f} GHz in {CLOCK_SAMPLES * CLOCK_PAUSE_S:.1f} s"
        steady = high <= (1 + STEADY) * low
        mend = "" if steady else "stop other programs; fix the clock if the machine lets you"
        yield Finding(part, "core clock", State.OK if steady else State.NOTE, text, mend)
    else:
        yield Finding(part, "core clock", State.NOTE, "not measured: that takes llvmlite on x86-64")
    if hasattr(os, "getloadavg"):
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        busy = load > 0.5 * cores
        mend = "wait, or stop other programs, before timing" if busy else ""
        yield Finding(part, "load", State.NOTE if busy else State.OK, f"{load:.1f} on {cores} cores", mend)


def clock_samples_hz() -> list[float]:
    """By dependent additions of one cycle each; empty where that cannot be done."""
    from addercost.measure.chains import DEPENDENT, UNROLL, Compiled, loop_ir

    try:
        loop = Compiled(loop_ir("clock", CLOCK, DEPENDENT)).loop("clock")
    except Exception:  # no llvmlite, a broken one, or another instruction set
        return []
    samples = []
    for _ in range(CLOCK_SAMPLES):
        best = float("inf")
        for _ in range(3):
            start = time.thread_time_ns()
            loop(CLOCK_ROUNDS)
            best = min(best, (time.thread_time_ns() - start) * 1e-9)
        samples.append(UNROLL * CLOCK_ROUNDS / best)
        time.sleep(CLOCK_PAUSE_S)
    return samples


def requirements() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """(package, least version) by extra, "" for what is always needed: from the installed package's metadata,
    else from the checkout's pyproject.toml."""
    lines: list[str] = []
    try:
        lines = list(metadata.requires("addercost") or ())
    except metadata.PackageNotFoundError:
        project = Path(addercost.__file__).parent.parent / "pyproject.toml"
        if project.is_file():
            tables = tomllib.loads(project.read_text("utf-8"))["project"]
            lines = list(tables["dependencies"])
            for extra, packages in tables["optional-dependencies"].items():
                lines += [f'{package}; extra == "{extra}"' for package in packages]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and match[1] != "addercost":
            found.setdefault(match[3] or "", []).append((match[1], match[2] or ""))
    return {extra: tuple(packages) for extra, packages in found.items() if extra != "dev"}


def _packages_of(deep: bool) -> Callable[[], Iterator[Finding]]:
    def packages() -> Iterator[Finding]:
        yield Finding("Python", "version", State.OK, sys.version.partition(" ")[0])
        for extra, wanted in sorted(requirements().items()):
            for name, least in wanted:
                mend = f"pip install 'addercost[{extra}]'" if extra else f"pip install '{name}>={least}'"
                part = f"extra {extra}" if extra else "always needed"
                yield package(part, name, least, mend, needed=not extra, load=deep or name in _IMPORTED)

    return packages


def package(part: str, name: str, least: str, mend: str, needed: bool, load: bool) -> Finding:
    """Whether a package is there, new enough and, where `load`, can be imported."""
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        there = module in sys.modules or importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        there = False
    if not there:
        return Finding(part, name, State.MISSING if needed else State.OPTIONAL, "", mend, needed)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = "of unknown version"
    if least and _numbers(version) and _numbers(version) < _numbers(least):
        return Finding(part, name, State.BROKEN, f"{version}, older than {least}", mend, needed)
    if name == "torchvision" and _torch() is not None:
        from addercost.sources.torchvision_models import is_built_for_cuda_only

        if is_built_for_cuda_only():
            found = (
                f"{version}, built for CUDA beside a torch without: models work, its operators (nms) do not"
            )
            mend = "install the torchvision build made for this torch (pytorch.org, Get started)"
            return Finding(part, name, State.NOTE, found, mend)
    if load:
        try:
            importlib.import_module(module)
        except BaseException as error:  # a broken package may raise anything, SystemExit too
            if isinstance(error, KeyboardInterrupt):
                raise
            mend = f"pip install --force-reinstall '{name}{'>=' + least if least else ''}'"
            return Finding(part, name, State.BROKEN, f"{version}: {_words(error)}", mend, True)
    return Finding(part, name, State.OK, version, "", needed)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _torch() -> Any:
    """torch where it can be imported, else None: the packages' part says why."""
    try:
        return importlib.import_module("torch")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def _kernels() -> Iterator[Finding]:
    part, torch = "kernels", _torch()
    if torch is None:
        yield Finding(part, "layers", State.MISSING, "torch is missing or broken", "", True)
        return
    capability = torch.backends.cpu.get_cpu_capability()
    yield Finding(part, "torch on the CPU", State.OK, f"{capability}, {torch.get_num_threads()} threads")
    from addercost.kernels import dispatch

    names = {"halide": "CPU"} | ({"triton": "GPU"} if torch.cuda.is_available() else {})
    for name, device in names.items():
        module = dispatch._load(name)
        if isinstance(module, str):
            found = f"{module}; the slow reference runs instead"
            yield Finding(part, f"{name} on the {device}", State.MISSING, found, dispatch._advice(name), True)
        else:
            yield Finding(part, f"{name} on the {device}", State.OK, "its kernels load", "", True)


def _gpu() -> Iterator[Finding]:
    part, torch = "GPU", _torch()
    hardware = Path("/proc/driver/nvidia/version").exists() or Path("/dev/kfd").exists()
    if torch is None:
        return
    from addercost.measure.cuda import first_operation, why_no_gpu

    cuda = torch.cuda
    if not cuda.is_available():
        why = why_no_gpu(cuda)
        if not hardware:
            yield Finding(part, "device", State.NOTE, f"none found: {why}")
        else:
            mend = "update the driver, or install the torch build made for it (pytorch.org, Get started)"
            yield Finding(part, "device", State.BROKEN, f"there is a driver, but {why}", mend, True)
        return
    for index in range(cuda.device_count()):
        properties = cuda.get_device_properties(index)
        name = cuda.get_device_name(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        what = f"compute capability {properties.major}.{properties.minor}, {memory}"
        try:
            first_operation(cuda, torch.device("cuda", index))
        except RuntimeError as error:
            mend = "install a torch build for this GPU (pytorch.org, Get started)"
            yield Finding(part, name, State.BROKEN, f"{what}: {_words(error)}", mend, True)
            continue
        yield Finding(part, name, State.OK, what)
        table = gpu_table(name)
        yield Finding(part, "built-in table", State.OK if table else State.NOTE, table or "none of this name")
        yield from _counters(part, properties)


def _counters(part: str, properties: Any) -> Iterator[Finding]:
    from addercost.measure.nvml import Nvml

    try:
        nvml = Nvml(str(properties.uuid))
    except (OSError, AttributeError) as error:
        found = f"none ({_words(error)}): no clocks, no energy beside timings"
        yield Finding(part, "counters", State.NOTE, found)
        return
    yield Finding(part, "driver", State.OK, nvml.driver() or "of unknown version")
    clock, most = nvml.clock_hz(), nvml.most_clock_hz()
    if clock and most:
        yield Finding(part, "clock", State.OK, f"{clock / 1e6:.0f} of {most / 1e6:.0f} MHz now")
    reasons = nvml.throttle_reasons()
    if reasons:
        yield Finding(part, "held down by", State.NOTE, ", ".join(reasons))
    energy = "counted in steps of 1 mJ" if nvml.energy_j() is not None else "no counter on this GPU"
    yield Finding(part, "energy", State.OK if nvml.energy_j() is not None else State.NOTE, energy)


def gpu_table(name: str) -> str:
    """The built-in table of the GPU of this name, by the words of its own name; "" where there is none."""
    from addercost.hardware.loader import list_hardware

    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    best, score = "", 0
    for file in list_hardware(kind="gpu"):
        parts = file.name.split("-")
        shared = len(words & set(parts))
        model = next((p for p in parts if any(c.isdigit() for c in p)), parts[0])
        if model in words and shared > score:
            best, score = file.name, shared
    return best


def _compilers() -> Iterator[Finding]:
    for thing, variable, names, used, needed in (
        ("C++ compiler", "CXX", ("g++", "clang++"), "torch.compile on the CPU", False),
        ("C compiler", "CC", ("gcc", "clang", "cc"), "Triton's launchers on a GPU", False),
    ):
        given = os.environ.get(variable)
        path = shutil.which(given) if given else next(filter(None, map(shutil.which, names)), None)
        if path:
            yield Finding("compilers", thing, State.OK, f"{Path(path).name}, for {used}")
        else:
            why = f"{variable}={given} is not found" if given else f"{used} needs one"
            yield Finding("compilers", thing, State.OPTIONAL, why, "apt-get install g++", needed)


def _words(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0][:_LONGEST]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
