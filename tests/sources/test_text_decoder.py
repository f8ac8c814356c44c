"""The two phases of models that write text, against counts by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from addercost.counts.lengths import CountsByLength, Layers
from addercost.counts.model import count
from addercost.errors import AddercostError, ArgumentError, ModelError
from addercost.sources.text_decoder import TextDecoder, load_text_decoder

H, HEADS, KV_HEADS, SIZE, INNER, VOCABULARY, LAYERS = 32, 4, 2, 8, 48, 64, 3
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": H,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
}
MISTRAL = {**LLAMA, "model_type": "mistral", "sliding_window": 20}
MIXTRAL = {**LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2}
GPT2 = {"model_type": "gpt2", "n_embd": H, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 64}
T5 = {
    "model_type": "t5",
    "d_model": H,
    "d_kv": SIZE,
    "d_ff": INNER,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": 64,
}
MAMBA = {"model_type": "mamba", "hidden_size": H, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 64}


def decoder(tmp_path: Path, values: dict[str, Any], source: int | None = None) -> TextDecoder:
    (tmp_path / "config.json").write_text(json.dumps(values))
    return TextDecoder(load_text_decoder(f"hf:{tmp_path}"), source)


def llama_sites(tokens: int, context: int, logits: int) -> int:
    """Of a forward of `tokens` after `context`: q and o have H² sites a token and layer, k and v half of that
    each, three products of the feed-forward layer H·INNER. Every query meets every key, context included,
    twice.
    """
    keys = tokens + context
    linear = tokens * (2 * H * H + 2 * H * KV_HEADS * SIZE + 3 * H * INNER)
    attention = 2 * HEADS * tokens * keys * SIZE
    return LAYERS * (linear + attention) + logits * H * VOCABULARY


def kv_bytes(tokens: int) -> int:
    return LAYERS * 2 * tokens * KV_HEADS * SIZE * 4


@pytest.mark.parametrize("batch", [1, 3])
def test_a_prompt_and_a_token_of_a_llama(tmp_path: Path, batch: int) -> None:
    """A prompt gives logits for its last token alone."""
    model = decoder(tmp_path, LLAMA)
    prompt = count(model.prefill(batch, 11).trace)
    assert prompt.complete
    assert prompt.mac_sites == batch * llama_sites(11, 0, 1)
    token = count(model.decode(batch, 11).trace)
    assert token.mac_sites == batch * llama_sites(1, 11, 1)


def test_the_cache_has_keys_and_values_of_all_tokens(tmp_path: Path) -> None:
    model = decoder(tmp_path, LLAMA)
    assert sum(spec.n_bytes for spec in model.prefill(1, 11).cache) == kv_bytes(11)
    assert sum(spec.n_bytes for spec in model.decode(1, 11).cache) == kv_bytes(12)


def test_a_token_writes_its_own_keys_and_values_alone(tmp_path: Path) -> None:
    """Calls that append move the new rows in and out: 2 · kv_bytes(1), whatever stands before them."""
    trace = decoder(tmp_path, LLAMA).decode(1, 23).trace
    appended = [call for call in trace.calls if "appended" in call.tags]
    assert len(appended) == 2 * LAYERS
    assert sum(call.output.n_bytes for call in appended) == kv_bytes(1)
    assert sum(spec.n_bytes for call in appended for spec in call.tensors()) == kv_bytes(1)


def test_a_window_ends_what_a_token_reads(tmp_path: Path) -> None:
    """A window of 20 keeps the token itself and 19 others."""
    model = decoder(tmp_path, MISTRAL)
    read = {
        context: {
            call.shape("key")[-2] for call in model.decode(1, context).trace.calls if "attention" in call.op
        }
        for context in (5, 19, 20, 40)
    }
    assert read == {5: {6}, 19: {20}, 20: {20}, 40: {20}}


@pytest.mark.parametrize(
    ("values", "source"),
    [
        pytest.param(LLAMA, None, id="llama"),
        pytest.param(GPT2, None, id="gpt2", marks=pytest.mark.exhaustive),
        pytest.param(MISTRAL, None, id="window", marks=pytest.mark.exhaustive),
        pytest.param(MIXTRAL, None, id="experts", marks=pytest.mark.exhaustive),
        pytest.param(T5, 9, id="encoder", marks=pytest.mark.exhaustive),
    ],
)
def test_counts_at_twenty_lengths_follow_from_a_few(
    tmp_path: Path, values: dict[str, Any], source: int | None
) -> None:
    model = decoder(tmp_path, values, source)
    traced: list[int] = []

    def at(length: int) -> Layers:
        traced.append(length)
        return count(model.decode(1, length).trace).layers

    found = CountsByLength(at, 8, 47, 1)
    assert len(set(traced)) <= 20
    for length in range(8, 48, 2):
        rows = count(model.decode(1, length).trace).layers
        assert [
            (row.path, row.counts, row.mac_sites, row.bytes_read, row.bytes_written, row.runs)
            for row in found.layers(length)
        ] == [
            (row.path, row.counts, row.mac_sites, row.bytes_read, row.bytes_written, row.runs) for row in rows
        ]


def test_prompts_are_of_degree_two(tmp_path: Path) -> None:
    model = decoder(tmp_path, LLAMA)
    traced: list[int] = []

    def at(length: int) -> Layers:
        traced.append(length)
        return count(model.prefill(1, length).trace).layers

    found = CountsByLength(at, 4, 60, 2)
    assert len(traced) == 4
    for length in range(4, 61, 3):
        assert sum(row.mac_sites for row in found.layers(length)) == llama_sites(length, 0, 1)


def test_the_state_of_a_state_space_model_does_not_grow(tmp_path: Path) -> None:
    """A convolution's window and a state of 4 numbers for each of 2·H channels, in two layers."""
    model = decoder(tmp_path, MAMBA)
    sizes = {sum(spec.n_bytes for spec in model.decode(1, context).cache) for context in (3, 30)}
    assert sizes == {2 * (2 * H * 4 + 2 * H * 4) * 4}


def test_experts_that_no_row_is_routed_to_are_not_read(tmp_path: Path) -> None:
    """Of four experts a token is routed to two: their three matrices of H·INNER are read in every layer."""
    trace = decoder(tmp_path, MIXTRAL).decode(1, 9).trace
    rows = {row.op: row for row in count(trace).by_operator() if "grouped_mm" in row.op}
    weights = LAYERS * 2 * 3 * H * INNER * 4
    activations = sum(
        call.tensor("self" if "self" in call.args else "input").n_bytes
        for call in trace.calls
        if "grouped_mm" in call.op
    )
    indices = sum(
        spec.n_bytes
        for call in trace.calls
        if "grouped_mm" in call.op
        for spec in call.tensors()
        if spec.dtype == "int32"
    )
    assert sum(row.bytes_read for row in rows.values()) == weights + activations + indices


@pytest.mark.parametrize(
    ("values", "source", "error", "said"),
    [
        ({"model_type": "vit"}, None, ModelError, "no text decoder of type vit"),
        ({"model_type": "blip"}, None, ModelError, "takes no cache"),
        (T5, None, ArgumentError, "--source"),
        (LLAMA, 9, ArgumentError, "no encoder"),
        ({"model_type": "lama"}, None, ArgumentError, "llama"),
    ],
    ids=["images", "no cache", "no source", "no encoder", "unknown type"],
)
def test_what_writes_no_text_is_refused(
    tmp_path: Path, values: dict[str, Any], source: int | None, error: type[AddercostError], said: str
) -> None:
    with pytest.raises(error, match=said):
        decoder(tmp_path, values, source).decode(1, 5)


def test_a_context_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    model = decoder(tmp_path, LLAMA)
    assert model.decode(1, 63).trace.calls
    with pytest.raises(ArgumentError, match="64 tokens, not for 65"):
        model.decode(1, 64)


BERT = {
    "model_type": "bert",
    "hidden_size": H,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "vocab_size": VOCABULARY,
}


def test_a_bert_that_writes_keeps_keys_and_values(tmp_path: Path) -> None:
    """All heads have their own: 2 · H numbers a token and layer."""
    model = decoder(tmp_path, BERT)
    assert sum(spec.n_bytes for spec in model.decode(1, 11).cache) == LAYERS * 2 * 12 * H * 4


@pytest.mark.parametrize(
    "kind",
    ["bart", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in ("t5", "marian", "pegasus"))],
)
def test_a_type_with_an_encoder_is_taken_with_it(kind: str) -> None:
    with pytest.raises(ArgumentError, match="--source 512"):
        TextDecoder(load_text_decoder(f"hf:{kind}"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(
            "hf:whisper:WhisperForConditionalGeneration",
            "decoder alone: hf:whisper:WhisperForCausalLM",
            id="with a class of its decoder",
        ),
        pytest.param(
            "hf:speech_to_text",
            "no class of its decoder alone",
            id="without one",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_an_encoder_of_sound_is_named(spec: str, said: str) -> None:
    with pytest.raises(ModelError, match=f"reads no text with its encoder.*{said}"):
        TextDecoder(load_text_decoder(spec), 16)


def test_a_decoder_of_whisper_alone_writes() -> None:
    """4 layers keep keys and values of 384 numbers."""
    model = TextDecoder(load_text_decoder("hf:whisper"))
    assert sum(spec.n_bytes for spec in model.decode(1, 5).cache) == 4 * 2 * 6 * 384 * 4


def test_a_type_whose_defaults_make_no_model_asks_for_settings() -> None:
    """The heads of its image encoder do not divide that encoder's width."""
    with pytest.raises(ModelError, match=r"must be divisible.*name a config\.json"):
        load_text_decoder("hf:aya_vision")


def growth(model: TextDecoder) -> int:
    """How many bytes one more token adds to the cache of one text."""
    shorter, longer = (sum(spec.n_bytes for spec in model.decode(1, n).cache) for n in (16, 17))
    return longer - shorter


MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 4}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT = {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8}
OPEN: list[tuple[str, str, dict[str, Any], int]] = [
    ("bamba", "attn_layer_indices", {**MAMBA2, "attn_layer_indices": [1]}, 2 * KV_HEADS * SIZE),
    (
        "granitemoehybrid",
        "layer_types",
        {**MAMBA2, "layer_types": ["mamba", "attention", "mamba"], "shared_intermediate_size": 16},
        2 * KV_HEADS * SIZE,
    ),
    ("nemotron", "num_key_value_heads", {}, LAYERS * 2 * KV_HEADS * SIZE),
    (
        "dots1",
        "n_routed_experts",
        {**EXPERTS, "n_routed_experts": 4, "n_shared_experts": 1, "head_dim": SIZE},
        LAYERS * 2 * KV_HEADS * SIZE,
    ),
    (
        "lfm2_moe",
        "layer_types",
        {**EXPERTS, "num_experts": 4, "layer_types": ["conv", "full_attention", "conv"]},
        2 * KV_HEADS * SIZE,
    ),
    # The latent vector of keys and values is kept, and the part of the keys with positions.
    (
        "deepseek_v2",
        "num_experts_per_tok",
        {**EXPERTS, **LATENT, "n_routed_experts": 4, "num_key_value_heads": HEADS},
        LAYERS * (8 + 4),
    ),
]
"""Types whose defaults leave a setting open: its name, settings that make a model, and how many numbers of
fp32 it keeps of a token: a key and a value of each layer with attention.
"""


FAST = ("nemotron", "deepseek_v2")
"""A decoder whose layers all keep keys and values, and one that keeps a latent vector and has experts."""


def marks_of(kind: str) -> Any:
    return () if kind in FAST else pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("kind", "missing"), [pytest.param(*row[:2], id=row[0], marks=marks_of(row[0])) for row in OPEN]
)
def test_settings_that_the_defaults_leave_open_are_named(kind: str, missing: str) -> None:
    with pytest.raises(AddercostError, match=rf"name a config\.json with .*{missing}"):
        TextDecoder(load_text_decoder(f"hf:{kind}")).prefill(1, 4)


@pytest.mark.parametrize(
    ("kind", "values", "numbers"),
    [pytest.param(kind, values, numbers, id=kind, marks=marks_of(kind)) for kind, _, values, numbers in OPEN],
)
def test_with_these_settings_in_a_file_the_type_writes(
    tmp_path: Path, kind: str, values: dict[str, Any], numbers: int
) -> None:
    assert growth(decoder(tmp_path, {**LLAMA, "model_type": kind, **values})) == numbers * 4


def test_the_decoder_of_a_model_of_images_takes_its_own_part_of_the_settings(tmp_path: Path) -> None:
    text = {**LLAMA, "model_type": "emu3_text_model", "pad_token_id": 0}
    model = decoder(tmp_path, {"model_type": "emu3", "text_config": text})
    assert growth(model) == kv_bytes(1)


PROPHETNET = {
    "model_type": "prophetnet",
    "hidden_size": H,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "num_encoder_attention_heads": HEADS,
    "num_decoder_attention_heads": HEADS,
    "encoder_ffn_dim": INNER,
    "decoder_ffn_dim": INNER,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
}


@pytest.mark.exhaustive
def test_a_token_that_needs_values_runs_with_a_cache_made_without(tmp_path: Path) -> None:
    """ProphetNet compares positions when it writes a token, and not when it reads a prompt."""
    model = decoder(tmp_path, PROPHETNET, 8)
    assert model.prefill(1, 16).trace.tracer == "meta"
    assert model.decode(1, 16).trace.tracer == "real"
    assert growth(model) == 2 * 2 * H * 4


SWITCH = {
    "model_type": "switch_transformers",
    "d_model": H,
    "d_kv": SIZE,
    "d_ff": INNER,
    "num_layers": LAYERS,
    "num_decoder_layers": LAYERS,
    "num_heads": HEADS,
    "num_experts": 2,
    "vocab_size": VOCABULARY,
    "decoder_start_token_id": 0,
}


@pytest.mark.exhaustive
def test_a_token_hands_on_what_its_encoder_chose(tmp_path: Path) -> None:
    """Switch Transformers returns the choices of its encoder beside those of each token."""
    assert growth(decoder(tmp_path, SWITCH, 8)) == LAYERS * 2 * HEADS * SIZE * 4
