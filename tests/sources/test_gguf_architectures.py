"""Architectures of GGUF files: every tensor finds the parameter that it is, in mixtures of experts too."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from addercost.cli import run
from addercost.sources.gguf_architectures import ARCHITECTURES
from tests.sources.test_gguf import TEXT, entry, file, tensor

H, INNER, VOCABULARY, EXPERTS, OF_EXPERT = 256, 512, 64, 4, 256
Q4_K, F32 = 12, 0
SETTINGS = {
    "block_count": 2,
    "embedding_length": H,
    "feed_forward_length": INNER,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.key_length": 64,
    "context_length": 512,
}
MIXTURE = {"expert_count": EXPERTS, "expert_used_count": 2}
ATTENTION = {"attn_q": (H, H), "attn_k": (H, H // 2), "attn_v": (H, H // 2), "attn_output": (H, H)}
GATED = {"ffn_gate": (H, INNER), "ffn_up": (H, INNER), "ffn_down": (INNER, H)}


def experts(inner: int) -> dict[str, tuple[int, ...]]:
    return {
        "ffn_gate_inp": (H, EXPERTS),
        "ffn_gate_exps": (H, inner, EXPERTS),
        "ffn_up_exps": (H, inner, EXPERTS),
        "ffn_down_exps": (inner, H, EXPERTS),
    }


SHARED = {
    "ffn_gate_inp_shexp": (H, 1),
    "ffn_gate_shexp": (H, INNER),
    "ffn_up_shexp": (H, INNER),
    "ffn_down_shexp": (INNER, H),
}
FUSED = {
    "attn_qkv": (H, 2 * H),
    "attn_output": (H, H),
    "ffn_up": (H, 2 * INNER),
    "ffn_down": (INNER, H),
}
PLAIN = {"ffn_up": (H, INNER), "ffn_down": (INNER, H)}
JOINED = {"attn_qkv": (H, 3 * H), "attn_output": (H, H), **PLAIN}
FOUR_TIMES = {**JOINED, "ffn_up": (H, 4 * H), "ffn_down": (4 * H, H)}
INNER_STATES = {"ssm.inner_size": INNER, "ssm.state_size": 16, "ssm.conv_kernel": 4, "ssm.time_step_rank": 16}
WHOLE_HEADS = {"attention.head_count_kv": 4}
QUERY_RANK, KEY_RANK, NOPE, ROPE, VALUE, HEADS = 256, 256, 256, 32, 64, 4
LATENT = {
    **MIXTURE,
    "expert_feed_forward_length": OF_EXPERT,
    "expert_shared_count": 1,
    "attention.kv_lora_rank": KEY_RANK,
    "attention.head_count_kv": 1,
    "rope.dimension_count": ROPE,
}
V2_LITE = {**LATENT, "attention.key_length": NOPE + ROPE, "attention.value_length": VALUE}
V3 = {
    **LATENT,
    "attention.q_lora_rank": QUERY_RANK,
    "attention.key_length": KEY_RANK + ROPE,
    "attention.value_length": KEY_RANK,
    "attention.key_length_mla": NOPE + ROPE,
    "attention.value_length_mla": VALUE,
    "expert_gating_func": 2,
    "expert_group_count": 2,
    "expert_group_used_count": 1,
}
LATENT_ATTENTION = {"attn_kv_a_mqa": (H, KEY_RANK + ROPE), "attn_output": (HEADS * VALUE, H)}
WHOLE = {"attn_q": (H, HEADS * (NOPE + ROPE)), "attn_kv_b": (KEY_RANK, HEADS * (NOPE + VALUE))}
SPLIT = {
    "attn_q_a": (H, QUERY_RANK),
    "attn_q_b": (QUERY_RANK, HEADS * (NOPE + ROPE)),
    "attn_k_b": (NOPE, KEY_RANK, HEADS),
    "attn_v_b": (KEY_RANK, VALUE, HEADS),
}
SHARED_EXPERT = {
    "ffn_gate_shexp": (H, OF_EXPERT),
    "ffn_up_shexp": (H, OF_EXPERT),
    "ffn_down_shexp": (OF_EXPERT, H),
}
FILES: dict[str, tuple[str, dict[str, int], dict[str, tuple[int, ...]]]] = {
    **{name: (name, {}, {**ATTENTION, **GATED}) for name in ("llama", "qwen2", "qwen3", "gemma", "stablelm")},
    "gemma2": ("gemma2", {"attention.sliding_window": 16}, {**ATTENTION, **GATED}),
    "gemma3": ("gemma3", {"attention.sliding_window": 16}, {**ATTENTION, **GATED}),
    "phi3": ("phi3", {}, FUSED),
    "starcoder2": ("starcoder2", {}, {**ATTENTION, "ffn_up": (H, INNER), "ffn_down": (INNER, H)}),
    "mixtral": ("llama", MIXTURE, {**ATTENTION, **experts(INNER)}),
    "qwen2moe": (
        "qwen2moe",
        {**MIXTURE, "expert_feed_forward_length": OF_EXPERT, "expert_shared_feed_forward_length": INNER},
        {**ATTENTION, **experts(OF_EXPERT), **SHARED},
    ),
    "qwen3moe": (
        "qwen3moe",
        {**MIXTURE, "expert_feed_forward_length": OF_EXPERT},
        {**ATTENTION, **experts(OF_EXPERT)},
    ),
    **{name: (name, {}, {**ATTENTION, **GATED}) for name in ("olmo2", "granite", "smollm3", "command-r")},
    **{
        name: (name, {}, {**ATTENTION, **GATED})
        for name in ("olmo", "seed_oss", "ernie4_5", "hunyuan-dense", "exaone4", "cohere2")
    },
    "olmoe": ("olmoe", MIXTURE, {**ATTENTION, **experts(INNER)}),
    "arcee": ("arcee", {}, {**ATTENTION, **PLAIN}),
    "deepseek-v2-lite": (
        "deepseek2",
        V2_LITE,
        {**WHOLE, **LATENT_ATTENTION, **experts(OF_EXPERT), **SHARED_EXPERT},
    ),
    "deepseek-v3": ("deepseek2", V3, {**SPLIT, **LATENT_ATTENTION, **experts(OF_EXPERT), **SHARED_EXPERT}),
    "deepseek-v3 dense": (
        "deepseek2",
        V3 | {"leading_dense_block_count": 2},
        {**SPLIT, **LATENT_ATTENTION, **GATED},
    ),
    "nemotron": ("nemotron", {}, {**ATTENTION, **PLAIN}),
    "gpt-oss": (
        "gpt-oss",
        {**MIXTURE, "expert_feed_forward_length": OF_EXPERT, "attention.sliding_window": 16},
        {**ATTENTION, **experts(OF_EXPERT)},
    ),
    "phi2": ("phi2", {}, {**ATTENTION, **PLAIN}),
    # Its positions have a table of 16 bits too.
    "gpt2": ("gpt2", WHOLE_HEADS | {"context_length": 16}, JOINED),
    "gptneox": ("gptneox", WHOLE_HEADS, JOINED),
    "bloom": ("bloom", WHOLE_HEADS | {"feed_forward_length": 4 * H}, FOUR_TIMES),
    "mpt": ("mpt", WHOLE_HEADS | {"feed_forward_length": 4 * H}, FOUR_TIMES),
    "falcon 7B": ("falcon", {"attention.head_count_kv": 1}, {**JOINED, "attn_qkv": (H, H + 2 * 64)}),
    "falcon 40B": ("falcon", {"attention.head_count_kv": 2}, {**JOINED, "attn_qkv": (H, H + 4 * 64)}),
    "mamba": (
        "mamba",
        INNER_STATES,
        {"ssm_in": (H, 2 * INNER), "ssm_x": (INNER, 16 + 2 * 16), "ssm_out": (INNER, H)},
    ),
}


def test_every_architecture_is_tried() -> None:
    assert ARCHITECTURES.keys() == {name for name, _, _ in FILES.values()}


FAST = ("qwen3", "phi3", "mixtral", "qwen2moe", "deepseek-v2-lite", "gpt2", "mamba")
"""Separate and fused projections, experts without and with a shared one, latent attention, joined heads, and
no attention."""


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.exhaustive) for name in FILES]
)
def test_every_tensor_is_a_parameter(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Matrices of a block are in Q4_K, 144 bytes for 256, but for the small ones that choose experts; what
    else the model has (tables, norms, biases) is in 16 bits. One tensor that found no parameter, or another,
    would change the sum.
    """
    architecture, more, shapes = FILES[name]
    entries = [entry("general.architecture", TEXT, architecture)]
    entries += [entry(f"{architecture}.{key}", 4, number) for key, number in (SETTINGS | more).items()]
    placed: list[bytes] = []
    offset = quantised = 0
    for label in ("token_embd.weight", "output.weight"):
        placed.append(tensor(label, (H, VOCABULARY), F32, offset))
        offset += 4 * H * VOCABULARY
    for block in range(2):
        for layer, sizes in shapes.items():
            wide = layer.startswith("ffn_gate_inp")
            n = math.prod(sizes)
            placed.append(tensor(f"blk.{block}.{layer}.weight", sizes, F32 if wide else Q4_K, offset))
            offset += 4 * n if wide else n * 144 // 256
            offset += -offset % 32
            quantised += 0 if wide else n
    path = tmp_path / "tiny.gguf"
    path.write_bytes(file(entries, placed, offset + 64))
    arguments = ("--prompt", "4", "--context", "8", "--new", "0", "--cpu", "none", "--format", "json")
    assert run(["llm", str(path), *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    others = found["parameters"] - quantised
    tables = 2 * H * VOCABULARY
    # A Mamba keeps 16 rates and 16 weights of its step for each inner number in floats too.
    tables += 2 * 2 * 16 * INNER if name == "mamba" else 0
    assert tables <= others <= tables + 2 * 8 * H * 4
    assert found["weight_bytes"] == quantised * 144 // 256 + 2 * others
