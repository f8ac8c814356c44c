"""Weights in stored formats: bytes by the published layouts, operations by writing the sums out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from addercost.arithmetic import OpClass, OpCounts
from addercost.counts.model import count
from addercost.counts.weight_formats import WEIGHT_FORMATS, format_of
from addercost.counts.what_if import apply
from addercost.counts.what_if.weights import with_stored_weights
from addercost.errors import ArgumentError
from addercost.trace.record import OpCall, TensorSpec, Trace

ROWS, INPUTS, OUTPUTS = 3, 256, 4
WEIGHTS = INPUTS * OUTPUTS

BYTES_OF_256 = {
    "fp8": 256,
    "int8": 256,
    "int4": 256 // 2 + 2 * (2 + 0.5),  # two groups of 128, each a scale of 2 bytes and a zero point of 4 bits
    "q8_0": 8 * (2 + 32),  # block_q8_0: a half, 32 bytes
    "q6_k": 128 + 64 + 16 + 2,  # block_q6_K: ql, qh, scales, d
    "q5_k": 2 * 2 + 12 + 32 + 128,  # block_q5_K: d and dmin, scales, qh, qs
    "q4_k": 2 * 2 + 12 + 128,  # block_q4_K: d and dmin, scales, qs
    "q4_0": 8 * (2 + 16),  # block_q4_0: a half, 16 bytes
    "q2_k": 16 + 64 + 2 * 2,  # block_q2_K: scales, qs, d and dmin
    "q5_1": 8 * (2 * 2 + 4 + 16),  # block_q5_1: d and m, qh, qs
    "q5_0": 8 * (2 + 4 + 16),  # block_q5_0: d, qh, qs
    "q4_1": 8 * (2 * 2 + 16),  # block_q4_1: d and m, qs
    "q3_k": 256 // 8 + 64 + 12 + 2,  # block_q3_K: hmask, qs, scales, d
    "iq4_nl": 8 * (2 + 16),  # block_iq4_nl: d, qs
    "mxfp4": 8 * (1 + 16),  # block_mxfp4: an exponent, qs
    "tq2_0": 64 + 2,  # block_tq2_0: qs of four in a byte, d
    "tq1_0": 48 + 4 + 2,  # block_tq1_0: qs of five in a byte for 240, qh of four in a byte for 16, d
    "iq4_xs": 2 + 2 + 4 + 128,  # block_iq4_xs: d, scales_h, scales_l, qs
    "iq3_s": 2 + 64 + 8 + 32 + 4,  # block_iq3_s: d, qs, qh, signs, scales
    "iq3_xxs": 2 + 3 * 256 // 8,  # block_iq3_xxs: d, qs
    "iq2_s": 2 + 64 + 8 + 8,  # block_iq2_s: d, qs, qh, scales
    "iq2_xs": 2 + 2 * 32 + 8,  # block_iq2_xs: d, qs, scales
    "iq2_xxs": 2 + 2 * 32,  # block_iq2_xxs: d, qs
    "iq1_m": 32 + 16 + 8,  # block_iq1_m: qs, qh, scales, which hold d too
    "iq1_s": 2 + 32 + 16,  # block_iq1_s: d, qs, qh
    "nvfp4": 4 * (4 + 32),  # block_nvfp4: four scales of one byte, qs of 64
    "q1_0": 2 * (2 + 16),  # block_q1_0: d, qs of 128
    "ternary": 256 // 4,
}


def linear(path: str = "layers.0.down_proj") -> Trace:
    """[3, 256] · [256, 4] in bf16."""
    x = TensorSpec((ROWS, INPUTS), "bfloat16", "input")
    w = TensorSpec((INPUTS, OUTPUTS), "bfloat16", "parameter", f"{path}.weight")
    out = TensorSpec((ROWS, OUTPUTS), "bfloat16")
    call = OpCall("aten.mm.default", path, {"self": x, "mat2": w}, (out,), 0)
    return Trace("linear", (call,), {path: "Linear"}, {f"{path}.weight": WEIGHTS})


@pytest.mark.parametrize("name", WEIGHT_FORMATS)
def test_bytes_of_a_format_are_those_of_its_layout(name: str) -> None:
    stored = TensorSpec((256,), WEIGHT_FORMATS[name].dtype)
    assert stored.n_bytes == BYTES_OF_256[name]


def test_every_format_has_a_layout_here() -> None:
    assert WEIGHT_FORMATS.keys() == BYTES_OF_256.keys()


@pytest.mark.parametrize("name", WEIGHT_FORMATS)
@pytest.mark.parametrize("rounded", [False, True], ids=["brought back", "integers"])
def test_the_bytes_that_a_layer_moves(name: str, rounded: bool) -> None:
    """Inputs of two bytes, or of one once they are rounded (the rounding reads two and writes one); a scale
    of two bytes an output where a format has no blocks; outputs of two bytes.
    """
    form = WEIGHT_FORMATS[name]
    counts = count(apply(linear(), f"weights={name}{'/int8' if rounded else ''}"))
    scales = 0 if form.block else 2 * OUTPUTS
    inputs = ROWS * INPUTS
    read = BYTES_OF_256[name] * OUTPUTS + scales + (2 * inputs + inputs if rounded else 2 * inputs)
    written = 2 * ROWS * OUTPUTS + (inputs if rounded else 0)
    (layer,) = counts.layers
    assert (layer.bytes_read, layer.bytes_written) == (read, written)
    assert counts.mac_sites == ROWS * WEIGHTS


def test_a_batch_of_weights_has_a_scale_for_each_output_of_each() -> None:
    """Two products of [3, 256] · [256, 4]: weights of a byte, eight scales of two bytes, inputs and outputs
    of two."""
    x = TensorSpec((2, ROWS, INPUTS), "bfloat16", "input")
    w = TensorSpec((2, INPUTS, OUTPUTS), "bfloat16", "parameter", "w")
    out = TensorSpec((2, ROWS, OUTPUTS), "bfloat16")
    call = OpCall("aten.bmm.default", "", {"self": x, "mat2": w}, (out,), 0)
    counts = count(apply(Trace("products", (call,), {"": "Products"}, {"w": 2 * WEIGHTS}), "weights=int8"))
    (layer,) = counts.layers
    assert layer.bytes_read == 2 * WEIGHTS + 2 * 2 * OUTPUTS + 2 * x.numel
    assert layer.bytes_written == 2 * out.numel


def brought_back(name: str) -> Counter[tuple[OpClass, str]]:
    """Operations of w = d·q + m or d·(q - middle), weight by weight; of nested blocks d = D·s and m = M·t."""
    form, n = WEIGHT_FORMATS[name], Counter[tuple[OpClass, str]]()
    for _ in range(OUTPUTS):
        for block in range(INPUTS // form.block):
            if form.nested:
                n[OpClass.MUL, "bf16"] += 2 if form.has_minimum else 1
            for _ in range(block * form.block, (block + 1) * form.block):
                n[OpClass.MUL, "bf16"] += 1
                if form.has_minimum or form.shifted:
                    n[OpClass.ADD, "bf16"] += 1
    return n


def product(fmt: str, sums: str) -> Counter[tuple[OpClass, str]]:
    n = Counter[tuple[OpClass, str]]()
    for _ in range(ROWS * OUTPUTS):
        n[OpClass.MUL, fmt] += INPUTS
        n[OpClass.ADD, sums] += INPUTS - 1
    return n


BLOCKED = [name for name, form in WEIGHT_FORMATS.items() if form.block]


@pytest.mark.parametrize("name", BLOCKED)
def test_weights_are_brought_back_once_whatever_the_rows(name: str) -> None:
    counts = count(apply(linear(), f"weights={name}"))
    assert counts.total == OpCounts.from_mapping(brought_back(name) + product("bf16", "bf16"))


@pytest.mark.parametrize("name", BLOCKED)
def test_sums_of_blocks_are_scaled_in_an_integer_dot(name: str) -> None:
    """out = Σ_b d_w·d_x·(Σ q·x) + m_w·d_x·(Σ x): written out. d_x·Σ x is made once a row and block, and its
    product with d_x is part of the rounding's factor.
    """
    form, n = WEIGHT_FORMATS[name], product("int8", "int32")
    blocks = INPUTS // form.block
    for _ in range(ROWS):
        n[OpClass.DIVIDE, "bf16"] += 1
        for op in (OpClass.ABS, OpClass.COMPARE, OpClass.MUL, OpClass.ADD):
            n[op, "bf16"] += INPUTS
        if form.has_minimum:
            n[OpClass.ADD, "int32"] += blocks * (form.block - 1)
        for _ in range(OUTPUTS):
            n[OpClass.MUL, "fp32"] += 2 * blocks
            n[OpClass.ADD, "fp32"] += blocks - 1
            if form.has_minimum:
                n[OpClass.MUL, "fp32"] += blocks
                n[OpClass.ADD, "fp32"] += blocks
    if form.shifted:
        n[OpClass.ADD, "int8"] += WEIGHTS
    assert count(apply(linear(), f"weights={name}/int8")).total == OpCounts.from_mapping(n)


def test_one_scale_an_output_is_applied_to_sums() -> None:
    counts = count(apply(linear(), "weights=int8"))
    expected = product("bf16", "bf16") + Counter({(OpClass.MUL, "bf16"): ROWS * OUTPUTS})
    assert counts.total == OpCounts.from_mapping(expected)


def test_ternary_weights_select() -> None:
    counts = count(apply(linear(), "weights=ternary/int8")).total.by_format()
    assert counts["ternary"] == {"logic": ROWS * WEIGHTS}
    assert counts["int32"] == {"add": ROWS * OUTPUTS * (INPUTS - 1)}


@pytest.mark.parametrize(
    ("path", "number", "expected"),
    [
        ("layers.0.self_attn.v_proj", 0, "q6_k"),
        ("layers.3.self_attn.v_proj", 3, "q6_k"),
        ("layers.4.self_attn.v_proj", 4, "q4_k"),
        ("layers.6.mlp.down_proj", 6, "q6_k"),
        ("layers.31.mlp.down_proj", 31, "q6_k"),
        ("layers.31.mlp.up_proj", 31, "q4_k"),
        ("lm_head", 0, "q6_k"),
    ],
)
def test_q4_k_m_takes_more_bits_where_llama_cpp_does(path: str, number: int, expected: str) -> None:
    """Of 32 blocks: the first four, the last four, and between them those at 4 + 2, 4 + 5, …"""
    assert format_of("q4_k_m", path, number, 32).name == expected


def test_of_twelve_blocks_the_third_ones_are_counted_from_the_first_eighth() -> None:
    """The first, the last two, and between them those at 1 + 2, 1 + 5 and 1 + 8."""
    wider = [i for i in range(12) if format_of("q4_k_m", f"layers.{i}.v_proj", i, 12).name == "q6_k"]
    assert wider == [0, 3, 6, 9, 10, 11]


def test_what_a_block_has_beside_its_scale() -> None:
    """llama.cpp: q4_0, q5_0, q3_K and q6_K take 8, 16, 4 and 32 off each number, the ternary ones 1, and
    those of one bit an offset; q4_1,
    q5_1 and the K formats of 2, 4 and 5 bits have minima, which GPTQ calls zero points; scales of all K
    formats are numbers of a larger block."""
    formats = WEIGHT_FORMATS.values()
    assert {one.name for one in formats if one.shifted} == {
        "q4_0", "q5_0", "q3_k", "q6_k", "tq1_0", "tq2_0", "iq1_s", "iq1_m",
    }  # fmt: skip
    assert {one.name for one in formats if one.has_minimum} == {
        "int4", "q4_1", "q5_1", "q2_k", "q4_k", "q5_k",
    }  # fmt: skip
    assert {one.name for one in formats if one.nested} == {
        "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs", "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs",
        "iq1_s", "iq1_m",
    }  # fmt: skip


def test_q4_k_m_takes_the_number_of_blocks_from_the_network() -> None:
    """Of eight blocks: the first, the last, and between them those at 1 + 2 and 1 + 5."""
    calls = [linear(f"layers.{i}.down_proj").calls[0] for i in range(8)]
    whole = Trace("blocks", tuple(replace(call, index=i) for i, call in enumerate(calls)), {}, {})
    made = [call for call in apply(whole, "weights=q4_k_m").calls if call.name == "aten.mm"]
    wider = [i for i, call in enumerate(made) if call.tensor("mat2").dtype == "q6_k"]
    assert wider == [0, 3, 6, 7]


def test_experts_have_a_scale_an_output() -> None:
    """Six rows of four numbers to two experts of 4 × 5 weights: 2 · 5 scales of two bytes, 40 weights
    of one, 24 inputs of two, 30 outputs of two."""
    x, out = TensorSpec((6, 4), "bfloat16", "input"), TensorSpec((6, 5), "bfloat16")
    w = TensorSpec((2, 4, 5), "bfloat16", "parameter", "experts.weight")
    call = OpCall("aten._grouped_mm.default", "experts", {"self": x, "mat2": w}, (out,), 0)
    trace = Trace("experts", (call,), {"experts": "Experts"}, {"experts.weight": 40})
    (layer,) = count(apply(trace, "weights=int8")).layers
    assert (layer.bytes_read, layer.bytes_written) == (2 * 10 + 40 + 2 * 24, 2 * 30)


def test_scaling_starts_no_kernel() -> None:
    """It is done where the sums are: a rounding and a product are started."""
    (layer,) = count(apply(linear(), "weights=q4_0/int8")).layers
    assert layer.runs.eager.calls == layer.runs.fused.calls == 2


def test_attention_without_tokens_before_reads_no_cache() -> None:
    """Three tokens to themselves, in heads of eight numbers."""
    q = TensorSpec((1, 2, 3, 8), "bfloat16")
    args = {"query": q, "key": q, "value": q}
    call = OpCall("aten.scaled_dot_product_attention.default", "attention", args, (q,), 0)
    with pytest.raises(ArgumentError, match="keeps no keys"):
        apply(Trace("prompt", (call,), {"attention": "Attention"}, {}), "cache=int8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weights", "weights=int4"),
        ("weights=q4k", "q4_k"),
        ("weights=int4/int16", "int8"),
        ("cache=int7", "int8"),
        ("cache=int8", "keeps no keys"),
    ],
)
def test_what_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        apply(linear(), text)


def test_weights_without_a_format_and_activations_stay_as_they_are() -> None:
    made = linear()
    assert with_stored_weights(made, [0], lambda path, name: None, True).calls == made.calls
    (call,) = made.calls
    activation = replace(call.tensor("mat2"), role="activation")
    of_activations = replace(made, calls=(replace(call, args={**call.args, "mat2": activation}),))
    form = WEIGHT_FORMATS["q4_0"]
    assert (
        with_stored_weights(of_activations, [0], lambda path, name: form, True).calls == of_activations.calls
    )
    assert with_stored_weights(made, [], lambda path, name: form, True).calls == made.calls


def test_a_layer_is_asked_for_by_its_path_and_its_parameter() -> None:
    asked: list[tuple[str, str]] = []

    def form(path: str, name: str) -> None:
        asked.append((path, name))

    with_stored_weights(linear("layers.3.down_proj"), [0], form, False)
    assert asked == [("layers.3.down_proj", "layers.3.down_proj.weight")]
