"""Facts that the system reports on this machine's processor: its name, its caches, and how its clock is
set.
"""

from __future__ import annotations

import platform
from pathlib import Path

_SUFFIX_BITS = {"K": 10, "M": 20}
UNKNOWN_GOVERNOR = "unknown"
"""The result of `governor` where the system does not say."""


_INSTRUCTION_SETS = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}


def instruction_set() -> str:
    """The name of the instruction set in hardware tables, `x86-64` or `aarch64`; for other machines the
    system's own name.
    """
    return _INSTRUCTION_SETS.get(platform.machine(), platform.machine())


def cache_sizes(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, int]:
    """Bytes of each data cache by level (`L1`, `L2`, `L3`), from Linux; empty on other systems."""
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


def processor_id(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name with family, model and stepping, where the system reports these. The name alone
    may be common to several processors, such as `AMD EPYC` in a virtual machine.
    """
    numbers = _numbers(cpuinfo)
    found = [numbers[name] for name in ("cpu family", "model", "stepping") if name in numbers]
    return " ".join((cpu_model(cpuinfo), *(["-".join(found)] if found else ())))


def governor(folder: Path = Path("/sys/devices/system/cpu/cpu0/cpufreq")) -> str:
    """The rule by which the system sets the clock, such as `performance`."""
    try:
        return (folder / "scaling_governor").read_text().strip()
    except OSError:
        return UNKNOWN_GOVERNOR


def core_kind(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The kind of core, which processors with several names can share: `AuthenticAMD 25-17` (vendor, family,
    model), or on Arm `0x41-0xd0c` (implementer, part). Where the system does not report it, the machine's
    architecture.
    """
    numbers = _numbers(cpuinfo)
    for names, form in (
        (("vendor_id", "cpu family", "model"), "{} {}-{}"),
        (("CPU implementer", "CPU part"), "{}-{}"),
    ):
        if all(name in numbers for name in names):
            return form.format(*(numbers[name] for name in names))
    return platform.machine()


def _numbers(cpuinfo: Path) -> dict[str, str]:
    """The facts that the system reports on the first core, by name."""
    numbers: dict[str, str] = {}
    try:
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            numbers.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    return numbers
