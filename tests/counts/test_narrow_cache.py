"""`--cache int8`: what a token's forward does with the vectors that are kept of the tokens before it."""

from __future__ import annotations

from typing import Any

import pytest

from addercost.counts.model import count
from addercost.counts.what_if import apply
from addercost.counts.what_if.cache import cache_bytes
from addercost.sources.hub_config import HubConfig
from addercost.sources.text_decoder import Phase, TextDecoder
from addercost.sources.transformers import load_config
from addercost.trace.record import Trace

BATCH, CONTEXT, HEADS, KV_HEADS, SIZE = 2, 10, 4, 2, 8
LATENT, ROTATED = 16, 4
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "vocab_size": 64,
    "max_position_embeddings": 64,
}
GROUPED = {**SIZES, "num_key_value_heads": KV_HEADS}
LATENT_ATTENTION = {
    **SIZES,
    "num_key_value_heads": HEADS,
    "moe_intermediate_size": 16,
    "kv_lora_rank": LATENT,
    "q_lora_rank": 12,
    "qk_rope_head_dim": ROTATED,
    "qk_nope_head_dim": 6,
    "v_head_dim": 8,
    "first_k_dense_replace": 1,
}

MAMBA_HEADS, MAMBA_HEAD, STATE, TAPS = 4, 8, 4, 4
HYBRID = {
    **GROUPED,
    "mamba_d_ssm": MAMBA_HEADS * MAMBA_HEAD,
    "mamba_n_heads": MAMBA_HEADS,
    "mamba_d_head": MAMBA_HEAD,
    "mamba_d_state": STATE,
    "mamba_n_groups": 1,
    "mamba_d_conv": TAPS,
}


def phase(kind: str, name: str, values: dict[str, Any]) -> Phase:
    loaded = load_config(HubConfig(kind, kind, values, name), kind)
    return TextDecoder(loaded, None, "bfloat16").decode(BATCH, CONTEXT)


def token(kind: str, name: str, values: dict[str, Any]) -> Trace:
    return phase(kind, name, values).trace


def moved(trace: Trace) -> int:
    return sum(layer.bytes_read + layer.bytes_written for layer in count(trace).layers)


@pytest.mark.parametrize(
    ("kind", "name", "values", "vectors", "tokens"),
    [
        pytest.param(
            "llama", "LlamaForCausalLM", GROUPED, (KV_HEADS * SIZE,) * 2, CONTEXT + 1, id="grouped queries"
        ),
        pytest.param(
            "mistral",
            "MistralForCausalLM",
            {**GROUPED, "sliding_window": 6},
            (KV_HEADS * SIZE,) * 2,
            6,
            id="a window",
        ),
        pytest.param(
            "deepseek_v3",
            "DeepseekV3ForCausalLM",
            LATENT_ATTENTION,
            (LATENT, ROTATED),
            CONTEXT + 1,
            id="latent vectors",
        ),
    ],
)
def test_each_kept_number_takes_a_product_where_it_is_read(
    kind: str, name: str, values: dict[str, Any], vectors: tuple[int, ...], tokens: int
) -> None:
    """vectors: numbers that are kept of a token, of the two tensors of the cache; latent attention keeps one
    latent vector and one rotated key, which it widens to keys and values of all heads after that.
    """
    before = token(kind, name, values)
    after = apply(before, "cache=int8")
    kept, new = BATCH * tokens * sum(vectors), BATCH * sum(vectors)
    added = count(after).total.by_format()["bf16"]["mul"] - count(before).total.by_format()["bf16"]["mul"]
    # One more for each new number, which is rounded.
    assert added == kept + new
    scaled = [call for call in after.calls if call.name == "addercost.scale_elements"]
    assert sum(call.output.numel for call in scaled) == kept


def test_latent_vectors_are_read_in_one_byte_and_their_scales() -> None:
    """Of 11 tokens and 2 texts: LATENT + ROTATED numbers of two bytes become numbers of one byte and two
    scales of two bytes. The copy of the rotated key to all heads reads it once, where it counted each head.
    """
    before = token("deepseek_v3", "DeepseekV3ForCausalLM", LATENT_ATTENTION)
    after = apply(before, "cache=int8")
    tokens = BATCH * (CONTEXT + 1)
    latent = tokens * (2 * LATENT - (LATENT + 2))
    rotated = tokens * (2 * HEADS * ROTATED - (ROTATED + 2))
    written = BATCH * (2 * (LATENT + ROTATED) - (LATENT + ROTATED + 2 * 2))
    assert moved(before) - moved(after) == latent + rotated + written


def test_products_stay_in_the_format_of_the_model() -> None:
    made = apply(token("deepseek_v3", "DeepseekV3ForCausalLM", LATENT_ATTENTION), "cache=int8")
    assert set(count(made).total.by_format()) <= {"bf16", "fp32", "int64"}


@pytest.mark.parametrize(
    ("kind", "name", "values", "numbers", "vectors"),
    [
        pytest.param(
            "llama", "LlamaForCausalLM", GROUPED, 2 * KV_HEADS * SIZE, 2 * KV_HEADS, id="grouped queries"
        ),
        pytest.param(
            "deepseek_v2",
            "DeepseekV2ForCausalLM",
            LATENT_ATTENTION,
            LATENT + ROTATED,
            2,
            id="latent, version 2",
        ),
        pytest.param(
            "deepseek_v3",
            "DeepseekV3ForCausalLM",
            LATENT_ATTENTION,
            LATENT + ROTATED,
            2,
            id="latent, version 3",
        ),
    ],
)
def test_a_narrow_cache_has_a_byte_for_a_number_and_a_scale_for_a_vector(
    kind: str, name: str, values: dict[str, Any], numbers: int, vectors: int
) -> None:
    """numbers, vectors: of one token; a scale has two bytes."""
    cache = phase(kind, name, values).cache
    tokens = BATCH * (CONTEXT + 1)
    assert cache_bytes(cache, None) == 2 * tokens * numbers
    assert cache_bytes(cache, "int8") == tokens * (numbers + 2 * vectors)


def test_states_of_a_recurrent_layer_stay_as_they_are() -> None:
    """Each layer of Falcon-H1 has keys and values, the last inputs of its convolution, and a state of
    [batch, heads, head, state] in fp32.
    """
    kept = phase("falcon_h1", "FalconH1ForCausalLM", HYBRID)
    state, conv = MAMBA_HEADS * MAMBA_HEAD * STATE, MAMBA_HEADS * MAMBA_HEAD + 2 * STATE
    always = BATCH * (4 * state + 2 * conv * TAPS)
    tokens = BATCH * (CONTEXT + 1)
    assert cache_bytes(kept.cache, None) == always + 2 * tokens * 2 * KV_HEADS * SIZE
    assert cache_bytes(kept.cache, "int8") == always + tokens * (2 * KV_HEADS * SIZE + 2 * 2 * KV_HEADS)
    rounded = [
        call for call in apply(kept.trace, "cache=int8").calls if call.name == "addercost.round_inputs"
    ]
    assert [call.shape("input") for call in rounded] == [(BATCH, KV_HEADS, 1, SIZE)] * 2
