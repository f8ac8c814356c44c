"""Runs a tuning, layer after layer. Each result is written to disk before the next layer starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from addercost.errors import DataError
from addercost.kernels.cpu.dense.tuned import (
    Machine,
    TunedFamily,
    TunedLayer,
    family_request,
    read_family,
    shipped_layers,
    this_machine,
    write_family,
)
from addercost.measure.devices.device import TimingDevice
from addercost.measure.tuning.layers import TunableLayer
from addercost.measure.tuning.search import best_schedule
from addercost.results.ownership import own_folder

Said = Callable[[int, TunableLayer, TunedLayer], None]
"""A callback that gets the number of a layer, the layer, and the schedule that was found."""


def tune(
    layers: Sequence[Callable[[], TunableLayer]],
    device: TimingDevice,
    folder: Path,
    minutes: float,
    again: bool = False,
    said: Said = lambda number, layer, found: None,
    search: Callable[[TunableLayer, TimingDevice], TunedLayer] = best_schedule,
) -> int:
    """Tunes layers until the minutes are over: those without a schedule in the files of `folder` or among the
    shipped ones, or every layer where `again`. Returns how many layers are left.

    Raises OutputError where another call writes to the folder, or the folder cannot be written.
    """
    end, machine = time.monotonic() + 60 * minutes, this_machine()
    shipped = {layer.request for layer in shipped_layers()}
    with own_folder(folder):
        known = {}
        for number, make in enumerate(layers, 1):
            layer = make()
            if layer.family not in known:
                known[layer.family] = _known(folder, layer.family, machine)
            found, request = known[layer.family], family_request(layer.request)
            if (request in found or request in shipped) and not again:
                continue
            if time.monotonic() > end:
                return len(layers) - number + 1
            found[request] = search(layer, device)
            family = TunedFamily(machine, layer.family, tuple(found.values()))
            write_family(_file(folder, layer.family), family)
            said(number, layer, found[request])
    return 0


def _known(folder: Path, family: str, machine: Machine) -> dict[object, TunedLayer]:
    """The tuned layers of a family on this machine; none where the file is missing or belongs to another
    machine.
    """
    path = _file(folder, family)
    try:
        return {layer.request: layer for layer in read_family(path, machine).layers} if path.exists() else {}
    except DataError:
        return {}


def _file(folder: Path, family: str) -> Path:
    return folder / f"{family}.json"
