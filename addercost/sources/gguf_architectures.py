"""Architectures of GGUF files: which model of transformers each is, and where its metadata and tensors go.

Source of the names: llama.cpp, gguf-py, constants.py and tensor_mapping.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from addercost.sources.gguf_header import GgufHeader

_SETTINGS = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "max_position_embeddings": "context_length",
}
_KEYS_AND_VALUES = {"num_key_value_heads": "attention.head_count_kv"}
_HEADS = {**_KEYS_AND_VALUES, "head_dim": "attention.key_length"}
_WINDOW = {"sliding_window": "attention.sliding_window"}

_ATTENTION = {
    "attn_q": "self_attn.q_proj.weight",
    "attn_k": "self_attn.k_proj.weight",
    "attn_v": "self_attn.v_proj.weight",
    "attn_output": "self_attn.o_proj.weight",
}
_GATED = {
    "ffn_gate": "mlp.gate_proj.weight",
    "ffn_up": "mlp.up_proj.weight",
    "ffn_down": "mlp.down_proj.weight",
}
_EXPERTS = {
    "ffn_gate_inp": "mlp.gate.weight",
    "ffn_gate_exps": "mlp.experts.gate_up_proj",
    "ffn_up_exps": "mlp.experts.gate_up_proj",
    "ffn_down_exps": "mlp.experts.down_proj",
}
_SHARED = {
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate.weight",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj.weight",
    "ffn_up_shexp": "mlp.shared_expert.up_proj.weight",
    "ffn_down_shexp": "mlp.shared_expert.down_proj.weight",
}
_FUSED = {
    "attn_qkv": "self_attn.qkv_proj.weight",
    "attn_output": "self_attn.o_proj.weight",
    "ffn_up": "mlp.gate_up_proj.weight",
    "ffn_down": "mlp.down_proj.weight",
}
_TWO = {"ffn_up": "mlp.c_fc.weight", "ffn_down": "mlp.c_proj.weight"}


@dataclass(frozen=True, slots=True)
class GgufArchitecture:
    """A type and a class of transformers. settings, optional: by its names those of the file's metadata.
    tensors: by the name of a block's tensor the parameter below the block; several may be one. pads: whether
    its table of tokens must have the token that texts are filled up with.
    """

    model_type: str
    class_name: str
    settings: Mapping[str, str] = field(default_factory=lambda: _SETTINGS)
    optional: Mapping[str, str] = field(default_factory=lambda: _HEADS)
    tensors: Mapping[str, str] = field(default_factory=lambda: {**_ATTENTION, **_GATED})
    pads: bool = False

    def parameter(self, tensor: str) -> str | None:
        """The name of the parameter that a tensor of a file is, or is a part of; None for a small one."""
        if tensor == "output.weight":
            return "lm_head.weight"
        if tensor == "token_embd.weight":
            return "model.embed_tokens.weight"
        parts = tensor.split(".")
        if len(parts) != 4 or parts[0] != "blk" or parts[3] != "weight" or parts[2] not in self.tensors:
            return None
        return f"model.layers.{parts[1]}.{self.tensors[parts[2]]}"


_OF_EXPERTS = {"num_experts": "expert_count", "num_experts_per_tok": "expert_used_count"}
_EXPERT_SIZE = {"moe_intermediate_size": "expert_feed_forward_length"}
_SHARED_SIZE = {"shared_expert_intermediate_size": "expert_shared_feed_forward_length"}
_WITHOUT_DENSE = {name: key for name, key in _SETTINGS.items() if name != "intermediate_size"}

MIXTRAL = GgufArchitecture(
    "mixtral",
    "MixtralForCausalLM",
    {**_SETTINGS, "num_local_experts": "expert_count", "num_experts_per_tok": "expert_used_count"},
    tensors={**_ATTENTION, **_EXPERTS},
)

ARCHITECTURES: Mapping[str, GgufArchitecture] = MappingProxyType(
    {
        "llama": GgufArchitecture("llama", "LlamaForCausalLM"),
        "qwen2": GgufArchitecture("qwen2", "Qwen2ForCausalLM"),
        "qwen3": GgufArchitecture("qwen3", "Qwen3ForCausalLM"),
        "gemma": GgufArchitecture("gemma", "GemmaForCausalLM", pads=True),
        "gemma2": GgufArchitecture("gemma2", "Gemma2ForCausalLM", optional={**_HEADS, **_WINDOW}, pads=True),
        "gemma3": GgufArchitecture(
            "gemma3_text", "Gemma3ForCausalLM", optional={**_HEADS, **_WINDOW}, pads=True
        ),
        "phi3": GgufArchitecture(
            "phi3", "Phi3ForCausalLM", optional=_KEYS_AND_VALUES | _WINDOW, tensors=_FUSED, pads=True
        ),
        "starcoder2": GgufArchitecture(
            "starcoder2", "Starcoder2ForCausalLM", optional=_KEYS_AND_VALUES, tensors={**_ATTENTION, **_TWO}
        ),
        "stablelm": GgufArchitecture("stablelm", "StableLmForCausalLM", optional=_KEYS_AND_VALUES),
        "qwen2moe": GgufArchitecture(
            "qwen2_moe",
            "Qwen2MoeForCausalLM",
            {**_WITHOUT_DENSE, **_OF_EXPERTS},
            {**_KEYS_AND_VALUES, **_EXPERT_SIZE, **_SHARED_SIZE, "intermediate_size": "feed_forward_length"},
            {**_ATTENTION, **_EXPERTS, **_SHARED},
        ),
        "qwen3moe": GgufArchitecture(
            "qwen3_moe",
            "Qwen3MoeForCausalLM",
            {**_WITHOUT_DENSE, **_OF_EXPERTS, **_EXPERT_SIZE},
            {**_HEADS, "intermediate_size": "feed_forward_length"},
            {**_ATTENTION, **_EXPERTS},
        ),
    }
)
"""By their names in files."""


def architecture_of(header: GgufHeader) -> GgufArchitecture | None:
    """A file of "llama" with experts is a Mixtral. None for one that is not known here, with experts too."""
    found = ARCHITECTURES.get(header.architecture)
    if found is None or not header.setting("expert_count") or "expert_count" in found.settings.values():
        return found
    return MIXTRAL if header.architecture == "llama" else None
