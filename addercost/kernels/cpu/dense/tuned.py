"""Schedules that were found by measuring. Some are shipped; others are in the user's cache folder:

    <cache>/addercost/schedules/authenticamd-25-17-512/adder.json

There is one folder for each kind of core and vector width, with one file for each family of kernels.
`addercost tune` writes the files. A running process notices a new file within a second. A file that is
damaged, or was made by other versions, causes one warning, and the rule's schedules are used instead. If
`ADDERCOST_NO_TUNE` is set, no tuned schedules are used at all.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from addercost.errors import AddercostError, DataError
from addercost.hardware.loader import host_file
from addercost.hardware.this_machine import core_kind
from addercost.input_files import read_text
from addercost.kernels.cpu.dense.candidates import allows
from addercost.kernels.cpu.dense.families import FAMILY_OF_SITE
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES
from addercost.kernels.cpu.processor import host_core, vector_bytes
from addercost.reading import Positive, Text, Whole, json_data, read_as
from addercost.results.document import checked_fields
from addercost.results.files import write_file
from addercost.results.plain import to_plain
from addercost.version import __version__

VARIABLE = "ADDERCOST_NO_TUNE"
SCHEMA = "addercost/schedules/1"
SHIPPED = Path(__file__).with_name("schedules")
_CHECKED_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and versions that tuned schedules are valid for. core: the kind of core. vector_bits: bits
    of a vector register.
    """

    core: Text
    vector_bits: Whole
    halide: Text
    addercost: Text


@dataclass(frozen=True, slots=True)
class TunedLayer:
    """The result of tuning one layer.

    schedule: the fastest one; None where none is faster than the rule's. ratio: its time divided by the time
    of the rule's schedule. interval: the 95 % interval of the ratio."""

    request: KernelRequest
    schedule: Schedule | None
    ratio: Positive = 1.0
    interval: tuple[Positive, ...] = ()


@dataclass(frozen=True, slots=True)
class TunedFamily:
    """The tuned layers of one family of kernels. Raises DataError for an arithmetic that does not exist."""

    machine: Machine
    family: Text
    layers: tuple[TunedLayer, ...]

    def __post_init__(self) -> None:
        for layer in self.layers:
            if layer.request.site not in SITES:
                raise DataError(f"the kernels have no arithmetic {layer.request.site!r}")


class Schedules:
    """The tuned schedules in use. Two objects are never equal, so plans made with an older one are not used
    again."""

    def __init__(self, layers: Iterable[TunedLayer] = ()) -> None:
        self._layers = {layer.request: layer.schedule for layer in layers}

    def of(self, request: KernelRequest) -> Schedule | None:
        """The schedule of a layer, or None where the rule's should be used. On several threads it is that of
        one thread where the layer was not tuned on several.
        """
        key = family_request(request)
        if request.threads > 1 and key not in self._layers:
            key = family_request(_on_one_thread(request))
        found = self._layers.get(key)
        # A file must not make a kernel do what its algorithm does not allow.
        return found if found is not None and allows(request, host_core(), found) else None


def _on_one_thread(request: KernelRequest) -> KernelRequest:
    """What one thread asks for the same layer. It joins all rows that it reads in place."""
    extents = request.extents
    if request.direct and not request.bordered:
        extents = replace(extents.joined(), scratch_columns=extents.rows * extents.columns)
    return replace(request, threads=1, extents=extents)


def family_request(request: KernelRequest) -> KernelRequest:
    """The request with the name of its family in place of its arithmetic, because the kernels of a family
    share their schedules.
    """
    return replace(request, site=FAMILY_OF_SITE.get(request.site, request.site))


def this_machine() -> Machine:
    """The machine that kernels are compiled for, and the versions that compile them."""
    return Machine(core_kind(), 8 * vector_bytes(), version("halide"), __version__)


def schedules_folder(root: Path | None = None) -> Path:
    """The folder of this machine's files, in the user's cache folder or under `root`."""
    root = root or host_file().with_name("schedules")
    return root / f"{core_kind()} {8 * vector_bytes()}".lower().replace(" ", "-")


def tuned_schedules() -> Schedules | None:
    """The tuned schedules, at most a second old; None where there are none."""
    now = time.monotonic()
    if now > _state.checked_s + _CHECKED_EVERY_S:
        _state.checked_s = now
        _state.refresh()
    return _state.schedules


class _State:
    """The schedules in use, and what shows whether the files have changed since they were read."""

    def __init__(self) -> None:
        self.checked_s = -_CHECKED_EVERY_S - 1
        self.schedules: Schedules | None = None
        self._seen: object = None

    def refresh(self) -> None:
        # Files are replaced by renaming, which updates the modification time of their folder.
        seen = bool(os.environ.get(VARIABLE)), _changed(schedules_folder())
        if seen != self._seen:
            self._seen = seen
            layers = [] if seen[0] else [*shipped_layers(), *_layers_of_user()]
            self.schedules = Schedules(layers) if layers else None


_state = _State()


def _changed(folder: Path) -> int | None:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


@cache
def shipped_layers() -> tuple[TunedLayer, ...]:
    """The layers that were tuned on this kind of core for this release. They are used with any version of
    Halide.
    """
    return tuple(
        layer
        for path in sorted(schedules_folder(SHIPPED).glob("*.json"))
        for layer in read_family(path, None).layers
    )


def _layers_of_user() -> Iterable[TunedLayer]:
    for path in sorted(schedules_folder().glob("*.json")):
        try:
            yield from read_family(path, this_machine()).layers
        except AddercostError as error:
            warnings.warn(
                f"{error.message}; its schedules are ignored: `addercost tune` makes them again",
                RuntimeWarning,
                stacklevel=2,
            )


def read_family(path: Path, machine: Machine | None) -> TunedFamily:
    """The contents of a file. Raises DataError for a damaged file, or for one that was made on another
    machine than `machine`.
    """
    fields = checked_fields(json_data(read_text(path), str(path)), SCHEMA, str(path))
    family = read_as(TunedFamily, fields, str(path))
    if machine is not None and family.machine != machine:
        made, now = (
            f"{m.core}, {m.vector_bits} bits, Halide {m.halide}, addercost {m.addercost}"
            for m in (family.machine, machine)
        )
        raise DataError(f"{path} was made for {made}, and this is {now}")
    return family


def write_family(path: Path, family: TunedFamily) -> None:
    """Writes the whole file or nothing. Raises OutputError."""
    layers = ",\n".join(json.dumps(_without_defaults(layer)) for layer in family.layers)
    heading = {"schema": SCHEMA, "machine": to_plain(family.machine), "family": family.family}
    write_file(path, json.dumps(heading)[:-1] + f',\n"layers": [\n{layers}\n]}}\n', force=True)


def _without_defaults(layer: TunedLayer) -> Mapping[str, Any]:
    """The layer as plain data without its false values, since most fields of a request are false."""
    plain = to_plain(layer)
    for part in ("request", "schedule"):
        if plain[part] is not None:
            plain[part] = {name: value for name, value in plain[part].items() if value is not False}
    required = ("channels_last_input", "channels_last_output", "direct")
    plain["request"] |= {name: getattr(layer.request, name) for name in required}
    return dict(plain)
