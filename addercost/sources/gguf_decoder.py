"""`addercost llm model.gguf`: the model that a GGUF file describes, and the format of each layer's weights.

The forward is that of transformers for the architecture, made from the file's metadata. No weight is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from addercost.counts.weight_formats import WEIGHT_FORMATS
from addercost.errors import DataError, ModelError
from addercost.sources.gguf_header import GgufHeader, read_gguf
from addercost.sources.hub_config import HubConfig

ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Those whose metadata and layers transformers has under the same names."""

_SETTINGS = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "max_position_embeddings": "context_length",
}
_OPTIONAL = {"num_key_value_heads": "attention.head_count_kv", "head_dim": "attention.key_length"}

_LAYERS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_FLOATS = ("f32", "f16", "bf16")
_MOST = 1 << 24
"""No size of a network is larger."""


@dataclass(frozen=True, slots=True)
class GgufDecoder:
    """formats: of a linear layer's weights, by the path of its module; without those in floating point."""

    config: HubConfig
    formats: Mapping[str, str]


def read_decoder(path: Path) -> GgufDecoder:
    """Raises DataError for a damaged file or one without a setting, ModelError for an architecture or a type
    of weights that is not known here.
    """
    header = read_gguf(path)
    if header.architecture not in ARCHITECTURES or header.setting("expert_count"):
        what = "a mixture of experts" if header.setting("expert_count") else "a model of it"
        named = header.architecture or "(unnamed)"
        raise ModelError(
            f"{path} is of the architecture {named}, and {what} is not made here",
            f"known: {', '.join(ARCHITECTURES)}; name its configuration, such as hf:FOLDER, and --weights",
        )
    class_name = f"{header.architecture.capitalize()}ForCausalLM"
    config = HubConfig(path.stem, header.architecture, _values(header, path), class_name)
    return GgufDecoder(config, MappingProxyType(_formats(header, path)))


def _values(header: GgufHeader, path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {name: _size(header, key, path) for name, key in _SETTINGS.items()}
    for name, key in _OPTIONAL.items():
        if header.setting(key) is not None:
            values[name] = _size(header, key, path)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    table = tensors.get("token_embd.weight")
    if table is None or len(table.shape) != 2:
        raise DataError(f"{path} has no table of tokens, token_embd.weight", "name another file")
    values["vocab_size"] = table.shape[0]
    values["tie_word_embeddings"] = "output.weight" not in tensors
    values["dtype"] = "float16"
    return values


def _size(header: GgufHeader, key: str, path: Path) -> int:
    value = header.setting(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST:
        where = f"{path}: {header.architecture}.{key}"
        raise DataError(f"{where}: expected a whole number from 1 to {_MOST:,}, got {value!r:.60}")
    return value


def _formats(header: GgufHeader, path: Path) -> dict[str, str]:
    found = {}
    for tensor in header.tensors:
        module = _module(tensor.name)
        if module is None or tensor.type in _FLOATS:
            continue
        if tensor.type not in WEIGHT_FORMATS:
            raise ModelError(
                f"{path}: weights of type {tensor.type} are not counted yet",
                f"known: {', '.join(WEIGHT_FORMATS)}",
            )
        found[module] = tensor.type
    return found


def _module(name: str) -> str | None:
    """The path of the linear layer that a tensor is the weight of; None for any other tensor."""
    if name == "output.weight":
        return "lm_head"
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[3] == "weight" and parts[2] in _LAYERS:
        return f"model.layers.{parts[1]}.{_LAYERS[parts[2]]}"
    return None
