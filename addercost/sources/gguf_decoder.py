"""`addercost llm model.gguf`: the model that a GGUF file describes, and the format of each layer's weights.

The forward is that of transformers for the architecture, configured by the file's metadata. No weight is
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from addercost.counts.weight_formats import WEIGHT_FORMATS
from addercost.errors import DataError, ModelError
from addercost.sources.gguf_architectures import ARCHITECTURES, GgufArchitecture, architecture_of
from addercost.sources.gguf_header import GgufHeader, read_gguf
from addercost.sources.hub_config import HubConfig

_FLOATS = ("f32", "f16", "bf16")
_MOST = 1 << 24
"""The largest size that is accepted; no network has a larger one."""


@dataclass(frozen=True, slots=True)
class GgufDecoder:
    """formats: the formats of quantised weights, by the name of the parameter."""

    config: HubConfig
    formats: Mapping[str, str]


def read_decoder(path: Path) -> GgufDecoder:
    """The decoder of a file. Raises DataError for a file that is damaged or lacks a setting, and ModelError
    for an unknown architecture or type of weights.
    """
    header = read_gguf(path)
    found = architecture_of(header)
    if found is None:
        named = header.architecture or "(unnamed)"
        raise ModelError(
            f"{path} is of the architecture {named}, and a model of it is not made here",
            f"known: {', '.join(ARCHITECTURES)}; name its configuration, such as hf:FOLDER, and --weights",
        )
    config = HubConfig(path.stem, found.model_type, _values(header, found, path), found.class_name)
    return GgufDecoder(config, MappingProxyType(_formats(header, found, path)))


def _values(header: GgufHeader, found: GgufArchitecture, path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {name: _size(header, key, path) for name, key in found.settings.items()}
    values |= found.fixed
    for name, key in found.optional.items():
        if header.setting(key) not in (None, 0):
            values[name] = _size(header, key, path)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    table = tensors.get("token_embd.weight")
    if table is None or len(table.shape) != 2:
        raise DataError(f"{path} has no table of tokens, token_embd.weight", "name another file")
    values["vocab_size"] = table.shape[0]
    values["tie_word_embeddings"] = "output.weight" not in tensors
    values["dtype"] = "float16"
    if found.pads:
        # The default padding token is beyond the table of small models.
        values["pad_token_id"] = 0
    return values


def _size(header: GgufHeader, key: str | tuple[str, str], path: Path) -> int:
    if isinstance(key, tuple):
        whole, part = (_size(header, one, path) for one in key)
        if whole <= part:
            raise DataError(
                f"{path}: {header.architecture}.{key[0]} is {whole:,}, no more than {key[1]}, {part:,}"
            )
        return whole - part
    value = header.setting(key)
    if isinstance(value, tuple) and len(set(value)) == 1:
        # The file has a number for each block, and all are equal.
        value = value[0]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST:
        where = f"{path}: {header.architecture}.{key}"
        raise DataError(f"{where}: expected a whole number from 1 to {_MOST:,}, got {value!r:.60}")
    return value


def _formats(header: GgufHeader, found: GgufArchitecture, path: Path) -> dict[str, str]:
    formats: dict[str, str] = {}
    for tensor in header.tensors:
        name = found.parameter(tensor.name)
        if name is None or tensor.type in _FLOATS:
            continue
        if tensor.type not in WEIGHT_FORMATS:
            raise ModelError(
                f"{path}: weights of type {tensor.type} are not counted yet",
                f"known: {', '.join(WEIGHT_FORMATS)}",
            )
        before = formats.get(name, tensor.type)
        # A parameter may consist of several tensors of the file.
        formats[name] = max(before, tensor.type, key=lambda form: WEIGHT_FORMATS[form].bits)
    return formats
