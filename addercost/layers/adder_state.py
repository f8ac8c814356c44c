"""Loads weights that the AdderNet authors' code saved into adder layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from addercost.errors import DataError
from addercost.layers.adder import AUTHORS_NAMES

_REFUSED = "was not an allowed global"
"""Part of torch's error message for a file that would run code."""


def load_adder_state(model: nn.Module, file: str | Path) -> None:
    """Loads the state that the AdderNet authors' code saved (`conv1.adder`, `conv1.b`) into `model`.

    The names of torch's layers are accepted too, and so is a state inside a training checkpoint
    (`state_dict`) or that of a DataParallel model (`module.conv1.adder`). Only tensors are read from the
    file, so it runs no code. Raises DataError if the file contains anything else or does not fit the model;
    the model then stays as it was. Source: github.com/huawei-noah/AdderNet, adder.py.
    """
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(
            f"{file} cannot be read: {error.strerror}", "give a file that torch.save wrote"
        ) from None
    except Exception as error:
        # torch passes on whatever its reader raises: six kinds of errors for 1,500 files of random bytes.
        if _REFUSED in str(error):
            raise DataError(
                f"{file} contains more than tensors", "save the model's state_dict(), not the model"
            ) from None
        raise DataError(
            f"{file} is damaged, or no file that torch.save wrote", "save the model's state_dict() again"
        ) from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(f"{file} holds no state of a model", "save the model's state_dict()")
    state = {_renamed(str(name)): value for name, value in found.items()}
    own = model.state_dict()
    # Older versions of torch did not save the number of batches.
    state |= {name: own[name] for name in own if name.endswith("num_batches_tracked") and name not in state}
    wrong = [f"{name} is missing" for name in own if name not in state]
    wrong += [f"{name} is not in the model" for name in state if name not in own]
    wrong += [
        f"{name} has the shape {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(
            f"{file} does not fit {type(model).__name__}: {'; '.join(wrong[:3])}{more}",
            "build the model that was saved, with adder layers where it had them",
        )
    model.load_state_dict(state)


def _renamed(name: str) -> str:
    path, dot, last = name.removeprefix("module.").rpartition(".")
    return path + dot + AUTHORS_NAMES.get(last, last)
