"""Finds and reads hardware tables by name. Loading a table reads a single file.

A table's name is its file's name without `.toml`. A user's folder, given as an argument or in
`ADDERCOST_HARDWARE`, is searched first: its files add to the built-in ones and override those of the same
name. It may be laid out like the built-in folder (`cpus/`, `devices/`, `gpus/`…) or be flat.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from addercost.errors import ArgumentError, DataError, unknown_name
from addercost.hardware.modelled_cores import with_figures
from addercost.hardware.parse import Parsed, parse_hardware
from addercost.hardware.schema.accelerator import Accelerator
from addercost.hardware.schema.cpu import Cpu, ModelledCore
from addercost.hardware.schema.device import Device
from addercost.hardware.schema.energy import EnergyTable
from addercost.hardware.schema.gpu import Gpu
from addercost.hardware.schema.kinds import Hardware
from addercost.reading import misfit, toml_data

ENVIRONMENT_VARIABLE = "ADDERCOST_HARDWARE"
BUILT_IN = Path(__file__).parent
FOLDERS = {
    "cpu": "cpus",
    "core": "cores",
    "device": "devices",
    "gpu": "gpus",
    "energy": "energy",
    "accelerator": "accelerators",
}
LARGEST_FILE_BYTES = 1 << 20
"""The largest built-in file is about 15 kB; a megabyte leaves room for every instruction of an ISA."""

HOST = "host"
"""The name of the table `addercost calibrate` writes about this machine."""

PAPER_CPU = "via-nano-2000"
"""The processor that the AdderNet paper names."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class HardwareFile:
    """A table that can be loaded: `origin` is `built-in`, `user` or `calibrated`."""

    kind: str
    name: str
    path: Path
    origin: str


def load_cpu(name: str, hardware_path: str | Path | None = None) -> Cpu:
    """The CPU table `name`, for example `via-nano-2000`. The name can also be that of a core which is
    modelled as another core, such as `cortex-a76`, or the path of a file ending in `.toml`.

    Raises ArgumentError for an unknown name (the nearest are offered), DataError for a malformed file.
    """
    hardware = _load("cpu", name, hardware_path)
    assert isinstance(hardware, Cpu)
    return hardware


def load_device(name: str, hardware_path: str | Path | None = None) -> Device:
    """The device's table `name`, for example `raspberry-pi-5`. Raises as `load_cpu` does."""
    hardware = _load("device", name, hardware_path)
    assert isinstance(hardware, Device)
    return hardware


def load_gpu(name: str, hardware_path: str | Path | None = None) -> Gpu:
    """The GPU table `name`, for example `a100-sxm-80gb`. Raises as `load_cpu` does."""
    hardware = _load("gpu", name, hardware_path)
    assert isinstance(hardware, Gpu)
    return hardware


def load_energy(name: str, hardware_path: str | Path | None = None) -> EnergyTable:
    """The energy table `name`, for example `45nm`. Raises as `load_cpu` does."""
    hardware = _load("energy", name, hardware_path)
    assert isinstance(hardware, EnergyTable)
    return hardware


def load_accelerator(name: str, hardware_path: str | Path | None = None) -> Accelerator:
    """The accelerator's table `name`, for example `tpu-like`. Raises as `load_cpu` does."""
    hardware = _load("accelerator", name, hardware_path)
    assert isinstance(hardware, Accelerator)
    return hardware


def load_hardware(name: str, hardware_path: str | Path | None = None) -> Hardware:
    """The table `name`, of any kind. Raises as `load_cpu` does."""
    for kind in FOLDERS:
        path = _find(kind, name, hardware_path)
        if path is not None:
            return load_file(path)
    raise _not_found("hardware", name, [f.name for f in list_hardware(hardware_path)])


def load_file(path: str | Path) -> Hardware:
    """Reads and validates one file. Raises DataError, which names the fault."""
    return _loaded(Path(path), ())


def _loaded(path: Path, modelled: tuple[Path, ...]) -> Hardware:
    """The table in a file. modelled: the files of cores that led here, each modelled as the next, in
    order.
    """
    try:
        text = _read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
    parsed = _parsed(text, path)
    if not isinstance(parsed, ModelledCore):
        return parsed
    other = _find("cpu", parsed.modelled_as, None) or _find("core", parsed.modelled_as, None)
    if other is None or other in (*modelled, path):
        expected = "the name of another CPU's table"
        raise misfit(str(path), "modelled_as", parsed.modelled_as, expected)
    table = _loaded(other, (*modelled, path))
    assert isinstance(table, Cpu)
    return with_figures(parsed, table)


@lru_cache(maxsize=512)
def _parsed(text: str, path: Path) -> Parsed:
    """The parsed content of a file. Results are cached by the content, since each chunk of a sweep loads its
    processors again.
    """
    return parse_hardware(toml_data(text, str(path)), path.stem, str(path))


def list_hardware(hardware_path: str | Path | None = None, kind: str | None = None) -> list[HardwareFile]:
    """Every table that can be loaded, by kind and then name, without reading the built-in ones."""
    found: dict[tuple[str, str], HardwareFile] = {}
    folder = user_folder(hardware_path)
    if _exists(host_file()):
        found["cpu", HOST] = HardwareFile("cpu", HOST, host_file(), "calibrated")
    for a_kind, subfolder in FOLDERS.items():
        for path in _toml_files(BUILT_IN / subfolder):
            found[a_kind, path.stem] = HardwareFile(a_kind, path.stem, path, "built-in")
        for path in _toml_files(folder / subfolder) if folder else ():
            found[a_kind, path.stem] = HardwareFile(a_kind, path.stem, path, "user")
    # Outside of a kind's folder, only the content of a file shows its kind.
    for path in _toml_files(folder) if folder else ():
        a_kind = load_file(path).kind
        found[a_kind, path.stem] = HardwareFile(a_kind, path.stem, path, "user")
    order = list(FOLDERS)
    files = sorted(found.values(), key=lambda f: (order.index(f.kind), f.name))
    return [f for f in files if kind in (None, f.kind)]


def has_table(kind: str, name: str, hardware_path: str | Path | None = None) -> bool:
    """Whether there is a table of that kind and name. No other table is read for it."""
    return _find(kind, name, hardware_path) is not None


def host_file() -> Path:
    """Where the calibrated table of this machine is kept: the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "addercost" / f"{HOST}.toml"


def user_folder(hardware_path: str | Path | None) -> Path | None:
    """The user's folder of tables: the argument, else the environment variable, else None. Raises
    ArgumentError for a path that is no folder.
    """
    named = hardware_path or os.environ.get(ENVIRONMENT_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser()
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except OSError as error:
        raise ArgumentError(
            f"cannot use the hardware folder {folder}: {error.strerror}",
            f"check --hardware-path and {ENVIRONMENT_VARIABLE}",
        ) from None
    if not is_folder:
        raise ArgumentError(
            f"the hardware folder {folder} is not a folder", "name the folder that holds the .toml files"
        )
    return folder


def _load(kind: str, name: str, hardware_path: str | Path | None) -> Hardware:
    # A core that is modelled as another core can be used in place of a CPU.
    kinds = ("cpu", "core") if kind == "cpu" else (kind,)
    path: Path | None = Path(name) if name.endswith(".toml") else None
    for each in kinds:
        path = path or _find(each, name, hardware_path)
    if path is None:
        what = kind if kind in ("device", "accelerator") else kind.upper()
        what = "energy table" if kind == "energy" else what
        raise _not_found(what, name, [f.name for each in kinds for f in list_hardware(hardware_path, each)])
    hardware = load_file(path)
    if hardware.kind not in kinds:
        raise ArgumentError(
            f"{path} describes a {hardware.kind}, not a {kind}", "see `addercost hardware list`"
        )
    return hardware


def _not_found(what: str, name: str, known: list[str]) -> ArgumentError:
    if name == HOST:
        return ArgumentError("this machine has not been measured yet", "run `addercost calibrate` first")
    return unknown_name(what, name, known)


def _find(kind: str, name: str, hardware_path: str | Path | None) -> Path | None:
    # The pattern also prevents names that lead out of the folder.
    if not _NAME.fullmatch(name):
        return None
    folder = user_folder(hardware_path)
    if folder is not None:
        nested = folder / FOLDERS[kind] / f"{name}.toml"
        if _exists(nested):
            return nested
        flat = folder / f"{name}.toml"
        if _exists(flat) and load_file(flat).kind == kind:
            return flat
    path = host_file() if (kind, name) == ("cpu", HOST) else BUILT_IN / FOLDERS[kind] / f"{name}.toml"
    return path if _exists(path) else None


def _exists(path: Path) -> bool:
    """Whether the path exists. A broken or circular link counts as existing, since reading it gives the
    reason.
    """
    return os.path.lexists(path)


def _toml_files(folder: Path) -> list[Path]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed: {error.strerror}", "check its permissions") from None
    return sorted(Path(e.path) for e in entries if e.name.endswith(".toml") and not e.name.startswith("."))


def _read(path: Path) -> bytes:
    """The file's bytes. Raises DataError for anything but a regular file, since a pipe would block, and for a
    file that is too large for a table.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: not a regular file: expected a TOML hardware table")
        if status.st_size > LARGEST_FILE_BYTES:
            raise DataError(f"{path}: {status.st_size:,} bytes: expected at most {LARGEST_FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
