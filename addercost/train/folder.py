"""The folder of a run: its settings, its checkpoint, its log as CSV and JSON, and its record for plots."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from addercost.errors import ArgumentError, DataError
from addercost.input_files import read_text
from addercost.reading import json_data, read_as
from addercost.results.document import checked_fields
from addercost.results.files import make_folder, write_file
from addercost.results.training import RECORD, TrainingRun, training_to_json
from addercost.text import spreadsheet_cell
from addercost.train.checkpoint import CHECKPOINT
from addercost.train.epochs import EpochRow
from addercost.train.processes import Processes
from addercost.train.settings import TrainSettings, difference, settings_as_data, settings_from_data
from addercost.version import __version__

SCHEMA = "addercost/run/1"
RUN, LOG_CSV, LOG_JSON, PREDICTIONS = "run.json", "log.csv", "log.json", "predictions.csv"


def environment(together: Processes) -> dict[str, str | int]:
    """What may change the last bits of a result but is not a setting."""
    device = together.device
    return {
        "addercost": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "processes": together.count,
    }


def check_run(folder: Path, settings: TrainSettings, resume: bool) -> None:
    """Checks that a run with these settings may use the folder.

    Raises ArgumentError if it contains a run, unless `resume` is set and that run has the same settings.
    Raises DataError if it contains a checkpoint without settings.
    """
    if not (folder / RUN).exists():
        if (folder / CHECKPOINT).exists():
            raise DataError(f"{folder} holds a checkpoint but no {RUN}", "name another folder")
        return
    if not resume:
        raise ArgumentError(
            f"{folder} holds a training run", "give --resume to go on with it, or name another folder with -o"
        )
    found, _ = read_run(folder)
    if different := difference(found, settings):
        raise ArgumentError(f"{folder} holds another run: {different}", "name another folder with -o")


def open_run(folder: Path, settings: TrainSettings, here: Mapping[str, str | int]) -> list[str]:
    """Creates the folder, or continues the run in it. Returns remarks for the user, one line each.

    Raises OutputError if it cannot be written.
    """
    make_folder(folder)
    path = folder / RUN
    if not path.exists():
        content = {"schema": SCHEMA, "settings": settings_as_data(settings), "environment": here}
        write_file(path, json.dumps(content, indent=1) + "\n")
        return []
    _, there = read_run(folder)
    return [
        f"{name} was {there.get(name)} when the run began and is {value}: the last bits may differ"
        for name, value in here.items()
        if there.get(name) != value
    ]


def read_run(folder: Path) -> tuple[TrainSettings, Mapping[str, Any]]:
    """Settings and environment of the run in `folder`. Raises DataError if there is no run."""
    path = folder / RUN
    source = str(path)
    if not path.exists():
        raise DataError(f"{folder} holds no training run", "make one with addercost train")
    run = read_as(_Run, checked_fields(json_data(read_text(path), source), SCHEMA, source), source)
    return settings_from_data(run.settings, source), run.environment


@dataclass(frozen=True, slots=True)
class _Run:
    """The content of the file that identifies a folder's run."""

    settings: Mapping[str, Any]
    environment: Mapping[str, str | int] = field(default_factory=dict)


def write_log(folder: Path, rows: Sequence[EpochRow]) -> None:
    """Writes both logs completely, so that they always have exactly the rows of the checkpoint."""
    plain = [_finite(asdict(row)) for row in rows]
    write_file(folder / LOG_JSON, json.dumps(plain, indent=1) + "\n", force=True)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [item.name for item in fields(EpochRow) if item.name not in ("gradient_norms", "zero_gradients")]
    layers = list(rows[-1].gradient_norms) if rows else []
    writer.writerow([*names, *(spreadsheet_cell(f"gradient_norm of {layer}") for layer in layers)])
    for row in plain:
        norms = row["gradient_norms"]
        writer.writerow([*(row[name] for name in names), *(norms[layer] for layer in layers)])
    write_file(folder / LOG_CSV, buffer.getvalue(), force=True)


def write_record(folder: Path, record: TrainingRun) -> None:
    """Writes the record from which `addercost plot` draws."""
    write_file(folder / RECORD, training_to_json(record), force=True)


def write_predictions(folder: Path, labels: Sequence[int], predicted: Sequence[int]) -> None:
    """Writes one line for each test image, in the order of the data: its class, and the predicted one."""
    lines = [f"{i},{label},{said}" for i, (label, said) in enumerate(zip(labels, predicted, strict=True))]
    write_file(folder / PREDICTIONS, "\n".join(["image,class,predicted", *lines]) + "\n", force=True)


def _finite(value: Any) -> Any:
    """The value with null in place of NaN and infinity, which do not exist in JSON."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
