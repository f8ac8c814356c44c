"""Reads what follows `hf:` in a SPEC: a model type of transformers, or the config.json of a checkpoint. It
needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from addercost.errors import DataError, ModelError
from addercost.input_files import read_bytes
from addercost.reading import json_data

FILE = "config.json"
_LARGEST_BYTES = 1 << 24
_MOST_LAYERS = 10_000
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers")


@dataclass(frozen=True, slots=True)
class HubConfig:
    """A configuration before transformers has read it.

    name: the model's name in reports. values: the settings that differ from the defaults of the type.
    class_name: the class of transformers to make, "" for the type's usual class. architectures: the classes
    that the file names.
    """

    name: str
    model_type: str
    values: Mapping[str, Any] = field(default_factory=dict)
    class_name: str = ""
    architectures: tuple[str, ...] = ()


def read_config(text: str) -> HubConfig:
    """Reads `llama`, `folder` or `config.json`, each optionally followed by `:CLASS`.

    Raises ModelError where there is no such file or the model needs its own code, and DataError where the
    file is damaged.
    """
    class_name = ""
    if not Path(text).exists() and ":" in text:
        text, _, class_name = text.rpartition(":")
    path = Path(text) / FILE if Path(text).is_dir() else Path(text)
    if not path.exists():
        if not text or "/" in text or "\\" in text or text.endswith(".json"):
            raise missing_config(path)
        # A folder without such a file may have the name of a type, such as `opt`.
        return HubConfig(text, text, class_name=class_name)
    name = path.parent.resolve().name if path.name == FILE else path.stem
    return _from_file(path, name or "model", class_name)


def missing_config(path: Path) -> ModelError:
    """The error for a configuration that is not there."""
    return ModelError(
        f"{path} does not exist, and nothing is downloaded",
        f"fetch the model's {FILE} and name it: hf:FOLDER/{FILE}; or name a type: hf:llama",
    )


def _from_file(path: Path, name: str, class_name: str) -> HubConfig:
    text = read_bytes(path, largest=_LARGEST_BYTES).decode("utf-8", "replace")
    values = json_data(text, str(path))
    model_type = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(model_type, str):
        raise DataError(f"{path} names no model_type", f"the {FILE} of a transformers checkpoint is expected")
    for key, value in _entries(values):
        _check(path, key, value)
    listed = values.get("architectures")
    architectures = tuple(map(str, listed)) if isinstance(listed, list) else ()
    return HubConfig(name, model_type, values, class_name, architectures)


def _check(path: Path, key: str, value: object) -> None:
    """Raises an error for a configuration that would run code that is not part of transformers, or that would
    never end.
    """
    if key == "auto_map" and value:
        raise ModelError(
            f"{path} needs code of its own (auto_map), which is not run",
            "load the model in a file of yours: model = AutoModel.from_config(…, trust_remote_code=True)",
        )
    if key.endswith("attn_implementation") and isinstance(value, str) and "/" in value:
        raise ModelError(f"{path} takes attention from the hub ({value})", f"leave {key} out of the file")
    if key in _LAYERS and isinstance(value, int) and value > _MOST_LAYERS:
        raise DataError(f"{path}: {key} = {value}: expected a whole number of at most {_MOST_LAYERS:,}")


def _entries(values: Any) -> Iterator[tuple[str, Any]]:
    """Every entry of every object inside the data. `json_data` has already refused data that is nested too
    deeply.
    """
    if isinstance(values, dict):
        for key, value in values.items():
            yield key, value
            yield from _entries(value)
    elif isinstance(values, list):
        for value in values:
            yield from _entries(value)
