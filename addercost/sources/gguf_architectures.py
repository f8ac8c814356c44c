"""Architectures of GGUF files: the model of transformers for each, and how its metadata and tensors map to
that model.

Source of the names: llama.cpp, gguf-py, constants.py and tensor_mapping.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
_JOINED = {
    "attn_qkv": "self_attention.query_key_value.weight",
    "attn_output": "self_attention.dense.weight",
    "ffn_up": "mlp.dense_h_to_4h.weight",
    "ffn_down": "mlp.dense_4h_to_h.weight",
}
_UNGATED = {"ffn_up": "mlp.up_proj.weight", "ffn_down": "mlp.down_proj.weight"}
_TWO = {"ffn_up": "mlp.c_fc.weight", "ffn_down": "mlp.c_proj.weight"}


@dataclass(frozen=True, slots=True)
class GgufArchitecture:
    """A type and a class of transformers. settings, optional: for each setting of the configuration, its name
    in the file's metadata; two names mean the first value minus the second. tensors: for each tensor of a
    block, the parameter inside the block; several tensors may belong to one parameter. blocks, table, output:
    the path of the blocks, and the names of the embedding table and the output layer. fixed: settings that
    follow from the architecture alone. pads: whether the embedding table must have the padding token.
    """

    model_type: str
    class_name: str
    settings: Mapping[str, str | tuple[str, str]] = field(default_factory=lambda: _SETTINGS)
    optional: Mapping[str, str] = field(default_factory=lambda: _HEADS)
    tensors: Mapping[str, str] = field(default_factory=lambda: {**_ATTENTION, **_GATED})
    blocks: str = "model.layers"
    table: str = "model.embed_tokens.weight"
    output: str = "lm_head.weight"
    fixed: Mapping[str, bool | int | None] = field(default_factory=dict)
    pads: bool = False

    def parameter(self, tensor: str) -> str | None:
        """The name of the parameter that a tensor of a file belongs to; None for a small tensor such as a
        bias.
        """
        if tensor == "output.weight":
            return self.output
        if tensor == "token_embd.weight":
            return self.table
        parts = tensor.split(".")
        if len(parts) != 4 or parts[0] != "blk" or parts[3] != "weight" or parts[2] not in self.tensors:
            return None
        return f"{self.blocks}.{parts[1]}.{self.tensors[parts[2]]}"


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

DEEPSEEK_V2 = GgufArchitecture(
    "deepseek_v2",
    "DeepseekV2ForCausalLM",
    {
        **_SETTINGS,
        # The latent vector is expanded to the keys and values of every head.
        "num_key_value_heads": "attention.head_count",
        "kv_lora_rank": "attention.kv_lora_rank",
        "qk_rope_head_dim": "rope.dimension_count",
        "moe_intermediate_size": "expert_feed_forward_length",
        "n_routed_experts": "expert_count",
        "num_experts_per_tok": "expert_used_count",
        "n_shared_experts": "expert_shared_count",
    },
    {
        "q_lora_rank": "attention.q_lora_rank",
        "first_k_dense_replace": "leading_dense_block_count",
        "n_group": "expert_group_count",
        "topk_group": "expert_group_used_count",
    },
    {
        "attn_q": "self_attn.q_proj.weight",
        "attn_q_a": "self_attn.q_a_proj.weight",
        "attn_q_b": "self_attn.q_b_proj.weight",
        "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa.weight",
        "attn_kv_b": "self_attn.kv_b_proj.weight",
        "attn_k_b": "self_attn.kv_b_proj.weight",
        "attn_v_b": "self_attn.kv_b_proj.weight",
        "attn_output": "self_attn.o_proj.weight",
        **_GATED,
        **_EXPERTS,
        "ffn_gate_shexp": "mlp.shared_experts.gate_proj.weight",
        "ffn_up_shexp": "mlp.shared_experts.up_proj.weight",
        "ffn_down_shexp": "mlp.shared_experts.down_proj.weight",
    },
    fixed={"q_lora_rank": None, "first_k_dense_replace": 0},
)
"""Queries of DeepSeek-V2-Lite have no latent vector."""

_SIGMOID = 2
"""The setting "expert_gating_func" of DeepSeek-V3 and R1; that of V2 is softmax."""

_FALCON_SETTINGS = {
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "ffn_hidden_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
}
FALCON = GgufArchitecture(
    "falcon",
    "FalconForCausalLM",
    _FALCON_SETTINGS,
    {},
    _JOINED,
    blocks="transformer.h",
    table="transformer.word_embeddings.weight",
)
FALCON_40B = replace(
    FALCON,
    optional={"num_kv_heads": "attention.head_count_kv"},
    fixed={"new_decoder_architecture": True},
)
"""Falcon 40B: keys and values have several heads."""

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
        "olmo2": GgufArchitecture("olmo2", "Olmo2ForCausalLM", optional=_KEYS_AND_VALUES),
        "granite": GgufArchitecture("granite", "GraniteForCausalLM", optional=_KEYS_AND_VALUES),
        "smollm3": GgufArchitecture("smollm3", "SmolLM3ForCausalLM", optional=_KEYS_AND_VALUES, pads=True),
        "olmo": GgufArchitecture("olmo", "OlmoForCausalLM", optional=_KEYS_AND_VALUES),
        "olmoe": GgufArchitecture(
            "olmoe", "OlmoeForCausalLM", {**_SETTINGS, **_OF_EXPERTS}, tensors={**_ATTENTION, **_EXPERTS}
        ),
        "seed_oss": GgufArchitecture("seed_oss", "SeedOssForCausalLM"),
        "ernie4_5": GgufArchitecture("ernie4_5", "Ernie4_5ForCausalLM"),
        "hunyuan-dense": GgufArchitecture("hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM"),
        "exaone4": GgufArchitecture("exaone4", "Exaone4ForCausalLM", optional={**_HEADS, **_WINDOW}),
        "arcee": GgufArchitecture("arcee", "ArceeForCausalLM", tensors={**_ATTENTION, **_UNGATED}),
        "deepseek2": DEEPSEEK_V2,
        "cohere2": GgufArchitecture("cohere2", "Cohere2ForCausalLM", optional={**_HEADS, **_WINDOW}),
        "command-r": GgufArchitecture("cohere", "CohereForCausalLM", optional=_KEYS_AND_VALUES),
        "nemotron": GgufArchitecture("nemotron", "NemotronForCausalLM", tensors={**_ATTENTION, **_UNGATED}),
        "gpt-oss": GgufArchitecture(
            "gpt_oss",
            "GptOssForCausalLM",
            {
                **_WITHOUT_DENSE,
                "intermediate_size": "expert_feed_forward_length",
                "num_local_experts": "expert_count",
                "num_experts_per_tok": "expert_used_count",
            },
            {**_HEADS, **_WINDOW},
            {**_ATTENTION, **_EXPERTS, "ffn_gate_inp": "mlp.router.weight"},
        ),
        "phi2": GgufArchitecture(
            "phi",
            "PhiForCausalLM",
            optional=_KEYS_AND_VALUES,
            tensors={
                **_ATTENTION,
                "attn_output": "self_attn.dense.weight",
                "ffn_up": "mlp.fc1.weight",
                "ffn_down": "mlp.fc2.weight",
            },
        ),
        "gpt2": GgufArchitecture(
            "gpt2",
            "GPT2LMHeadModel",
            {
                "n_embd": "embedding_length",
                "n_layer": "block_count",
                "n_inner": "feed_forward_length",
                "n_head": "attention.head_count",
                "n_positions": "context_length",
            },
            {},
            {
                "attn_qkv": "attn.c_attn.weight",
                "attn_output": "attn.c_proj.weight",
                "ffn_up": "mlp.c_fc.weight",
                "ffn_down": "mlp.c_proj.weight",
            },
            blocks="transformer.h",
            table="transformer.wte.weight",
        ),
        "gptneox": GgufArchitecture(
            "gpt_neox",
            "GPTNeoXForCausalLM",
            optional={},
            tensors={name: path.replace("self_", "") for name, path in _JOINED.items()},
            blocks="gpt_neox.layers",
            table="gpt_neox.embed_in.weight",
            output="embed_out.weight",
        ),
        "bloom": GgufArchitecture(
            "bloom",
            "BloomForCausalLM",
            {"hidden_size": "embedding_length", "n_layer": "block_count", "n_head": "attention.head_count"},
            {},
            _JOINED,
            blocks="transformer.h",
            table="transformer.word_embeddings.weight",
        ),
        "falcon": FALCON,
        "mpt": GgufArchitecture(
            "mpt",
            "MptForCausalLM",
            {
                "d_model": "embedding_length",
                "n_layers": "block_count",
                "n_heads": "attention.head_count",
                "max_seq_len": "context_length",
            },
            {},
            {
                "attn_qkv": "attn.Wqkv.weight",
                "attn_output": "attn.out_proj.weight",
                "ffn_up": "ffn.up_proj.weight",
                "ffn_down": "ffn.down_proj.weight",
            },
            blocks="transformer.blocks",
            table="transformer.wte.weight",
        ),
        "mamba": GgufArchitecture(
            "mamba",
            "MambaForCausalLM",
            {
                "hidden_size": "embedding_length",
                "num_hidden_layers": "block_count",
                "intermediate_size": "ssm.inner_size",
                "state_size": "ssm.state_size",
                "conv_kernel": "ssm.conv_kernel",
                "time_step_rank": "ssm.time_step_rank",
            },
            {},
            {
                "ssm_in": "mixer.in_proj.weight",
                "ssm_x": "mixer.x_proj.weight",
                "ssm_out": "mixer.out_proj.weight",
            },
            blocks="backbone.layers",
            table="backbone.embeddings.weight",
        ),
    }
)
"""The architectures by their names in files."""


def architecture_of(header: GgufHeader) -> GgufArchitecture | None:
    """The architecture of a file. A "llama" with experts is a Mixtral. A "falcon" with several key heads has
    the layers of Falcon 40B. A "deepseek2" is DeepSeek-V2 or V3. None for an unknown architecture, and for an
    unknown one with experts.
    """
    found = ARCHITECTURES.get(header.architecture)
    if found is DEEPSEEK_V2:
        return _deepseek(header)
    if found is FALCON and header.setting("attention.head_count_kv") not in (None, 1):
        return FALCON_40B
    if found is None or not header.setting("expert_count") or "expert_count" in found.settings.values():
        return found
    return MIXTRAL if header.architecture == "llama" else None


def _deepseek(header: GgufHeader) -> GgufArchitecture:
    """The DeepSeek architecture of a file. Old files use other names: they give the sizes of a head under
    names that later files use for the latent vector.
    """
    suffix = "_mla" if header.setting("attention.key_length_mla") is not None else ""
    is_third = header.setting("expert_gating_func") == _SIGMOID
    return replace(
        DEEPSEEK_V2,
        model_type="deepseek_v3" if is_third else "deepseek_v2",
        class_name="DeepseekV3ForCausalLM" if is_third else "DeepseekV2ForCausalLM",
        settings={
            **DEEPSEEK_V2.settings,
            "qk_nope_head_dim": (f"attention.key_length{suffix}", "rope.dimension_count"),
            "v_head_dim": f"attention.value_length{suffix}",
        },
    )
