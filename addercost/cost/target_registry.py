"""Targets by name: hardware tables of CPUs and GPUs, and targets that installed packages add.

A package adds a target by an entry point of the group `addercost.targets`. Its name is the target's. Its
value is a `Target`, a hardware table, or a function without arguments that returns one of these:

    [project.entry-points."addercost.targets"]
    acme-npu = "acme.targets:npu"

Nothing of a package is imported until its target is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from addercost.cost.device_target import device_target
from addercost.cost.gpu_target import gpu_target
from addercost.cost.target import Target, target_of
from addercost.cost.target_settings import split_name, with_settings
from addercost.errors import AddercostError, ArgumentError, DataError, unknown_name
from addercost.extensions import entries, package_of
from addercost.hardware.kernel_times import kernel_time_files
from addercost.hardware.loader import HOST, list_hardware, load_cpu, load_device, load_gpu
from addercost.hardware.schema.cpu import Cpu
from addercost.text import error_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "addercost.targets"
_KINDS = ("cpu", "core", "device", "gpu")
"""The kinds of hardware tables from which a target can be made."""


def load_target(name: str, hardware_path: str | Path | None = None, kernels: Path | None = None) -> Target:
    """The target `name`: a CPU's table, the path of one, a device's or a GPU's table, or what an installed
    package adds; with settings after an @ (see `addercost.cost.target_settings`).

    kernels: a file of timed kernels, which is used whatever machine it is of. Without it, the target of this
    machine uses the kernels that were timed here.

    Raises ArgumentError for an unknown name, and for one that stands for two targets; DataError where a table
    is malformed or a package's target cannot be loaded.
    """
    base, settings = split_name(name)
    target = with_settings(_load_target(base, hardware_path), settings, name)
    if kernels is not None:
        return replace(target, kernel_files=(kernels,), borrows_kernels=True)
    if base != HOST:
        return target
    return replace(target, kernel_files=kernel_time_files(), memory_bytes=_memory_of_this_machine())


def _memory_of_this_machine() -> int | None:
    """The bytes of memory of this machine, None where the system does not report them."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _load_target(name: str, hardware_path: str | Path | None) -> Target:
    found = [entry for entry in entries(ENTRY_POINTS) if entry.name == name]
    if not found:
        return _from_table(name, hardware_path)
    if len(found) > 1:
        packages = " and ".join(sorted(map(package_of, found)))
        raise ArgumentError(f"{packages} both add a target {name}", "uninstall one of them")
    (entry,) = found
    if any(file.name == name for file in list_hardware(hardware_path)):
        raise ArgumentError(
            f"{package_of(entry)} adds a target {name}, and there is a hardware table of that name",
            "uninstall the package, or rename one of the two",
        )
    return _loaded(entry)


def _from_table(name: str, hardware_path: str | Path | None) -> Target:
    """The target of the named table: a CPU's, else a device's, else a GPU's."""
    try:
        return target_of(load_cpu(name, hardware_path))
    except ArgumentError:
        files = [file for file in list_hardware(hardware_path) if file.kind in _KINDS]
        kinds = {file.kind for file in files if file.name == name}
        if "device" in kinds:
            device = load_device(name, hardware_path)
            return device_target(device, load_cpu(device.core, hardware_path))
        if "gpu" in kinds:
            return gpu_target(load_gpu(name, hardware_path))
        if kinds or name == HOST or name.endswith(".toml"):
            raise
        raise unknown_name("CPU", name, [*(file.name for file in files), *added_names()]) from None


def added_names() -> Sequence[str]:
    """Names of the targets that installed packages add, whether or not they can be loaded."""
    return sorted({entry.name for entry in entries(ENTRY_POINTS)})


def all_targets(hardware_path: str | Path | None = None) -> tuple[list[Target], list[str]]:
    """Every CPU's table and every target of a package, by name; and a line for each that cannot be used."""
    targets, problems = [], []
    names = [file.name for file in list_hardware(hardware_path, "cpu")]
    for name in [*names, *(added for added in added_names() if added not in names)]:
        try:
            targets.append(load_target(name, hardware_path))
        except AddercostError as error:
            if name in names and name not in added_names():
                raise
            problems.append(str(error))
    return targets, problems


def _loaded(entry: EntryPoint) -> Target:
    """The target that an entry point stands for. Raises DataError for any error of the package."""
    try:
        value = entry.load()
        if callable(value) and not isinstance(value, Target | Cpu):
            value = value()
    except AddercostError as error:
        raise _broken(entry, str(error)) from error
    except (Exception, SystemExit) as error:
        raise _broken(entry, f"{type(error).__name__}: {error_text(error)}") from error
    if not isinstance(value, Target | Cpu):
        raise _broken(entry, f"it is a {type(value).__name__}, not a Target or a Cpu")
    target = target_of(value)
    if target.name != entry.name:
        raise _broken(entry, f"its name is {target.name}")
    return target


def _broken(entry: EntryPoint, why: str) -> DataError:
    return DataError(
        f"the target {entry.name} of {package_of(entry)} cannot be used: {why}",
        f"mend {entry.value}, or uninstall the package",
    )
