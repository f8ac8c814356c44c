"""The state of a training run on disk. It is written whole or not at all, and a run can be resumed
from it.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from addercost.errors import DataError
from addercost.input_files import check_readable
from addercost.reading import Size, read_as
from addercost.results.files import write_file
from addercost.text import error_text
from addercost.train.epochs import EpochRow, Sums
from addercost.train.rates import layer_weights
from addercost.train.settings import TrainSettings, difference, settings_as_data, settings_from_data

SCHEMA = "addercost/checkpoint/1"
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a run is.

    epoch: finished epochs. step: finished steps of the next epoch, with `sums` over them. rows: the log so
    far. There is no state of a random generator, because every random choice follows from the seed and the
    position.
    """

    epoch: int
    step: int
    sums: Sums
    rows: tuple[EpochRow, ...]


@dataclass(frozen=True, slots=True)
class _SavedPosition:
    """The plain values of a position, as in a file."""

    epoch: Size
    step: Size
    rows: tuple[EpochRow, ...]


def save_checkpoint(
    path: Path,
    settings: TrainSettings,
    position: Position,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Replaces the checkpoint at `path`. If the process is killed meanwhile, the old or the new one is there.
    Raises OutputError.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "schema": SCHEMA,
            "settings": settings_as_data(settings),
            "epoch": position.epoch,
            "step": position.step,
            "sums": [position.sums.totals, position.sums.norms, position.sums.zeros],
            "rows": [asdict(row) for row in position.rows],
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
        buffer,
    )
    write_file(path, buffer.getvalue(), force=True)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reads what `save_checkpoint` wrote: only tensors and plain values, so no code in the file runs.

    Raises DataError for a missing or damaged file, and for one of another kind.
    """
    check_readable(path, "name the folder of a training run", largest=sys.maxsize)
    try:
        content: Any = torch.load(path, map_location=device, weights_only=True)
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        pickle.UnpicklingError,
        KeyError,
        TypeError,
    ) as error:
        said = error_text(error)[:120] or type(error).__name__
        raise DataError(f"{path} is damaged or no checkpoint: {said}", "remove it to start over") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA}", "remove it to start over"
        )
    return dict(content)


def restore(
    content: Mapping[str, Any],
    path: Path,
    settings: TrainSettings,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> Position:
    """Loads weights and momentum, and returns the position. Raises DataError if they belong to another model
    or run.
    """
    load_weights(content, path, model)
    try:
        if different := difference(settings_from_data(content["settings"], str(path)), settings):
            raise DataError(f"{path} is of another run: {different}", "remove it to start over")
        optimizer.load_state_dict(content["optimizer"])
        saved = read_as(
            _SavedPosition, {name: content[name] for name in ("epoch", "step", "rows")}, str(path)
        )
        totals, norms, zeros = content["sums"]
        if totals.shape != (3,) or not norms.shape == zeros.shape == (len(layer_weights(model)),):
            raise ValueError("its sums are of other layers")
        return Position(saved.epoch, saved.step, Sums(totals, norms, zeros), saved.rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} does not fit the run: {error_text(error)[:120]}", "remove it to start over"
        ) from None


def load_weights(content: Mapping[str, Any], path: Path, model: nn.Module) -> None:
    """Loads weights and running statistics. Raises DataError if they belong to another model."""
    own, there = model.state_dict(), content.get("model")
    if not isinstance(there, Mapping):
        raise DataError(f"{path} holds no weights", "remove it to start over")
    for name in dict.fromkeys([*own, *there]):
        shapes = [list(part[name].shape) if name in part else "none" for part in (there, own)]
        if shapes[0] != shapes[1]:
            raise DataError(
                f"{path} is of another model: {name} has shape {shapes[0]} there and {shapes[1]} here",
                "train it into another folder",
            )
    model.load_state_dict(there)
