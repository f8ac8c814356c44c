"""MAC sites of whole layers by their formulas: recurrent, attention, bilinear, quantised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost import layers
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.model import ModelCounts, count
from addercost.trace.tracer import trace
from tests.counts.oracle import Function

T, N, C, H = 5, 2, 3, 4
"""Steps, batch, input and hidden size."""


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def sites(model: nn.Module, *args: Tensor, **options: Any) -> int:
    counts = count(trace(model, *args, **options), "macs")
    assert counts.complete, counts.uncounted
    return counts.mac_sites


GATES: dict[type[nn.Module], int] = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


@pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_recurrent(kind: Any, directions: int, layers: int, batch_first: bool) -> None:
    model = kind(C, H, layers, bidirectional=directions == 2, batch_first=batch_first)
    x = meta(N, T, C) if batch_first else meta(T, N, C)
    # Each step of each direction: G·H gates of the layer's input and of the hidden state.
    first = GATES[kind] * H * (C + H)
    later = GATES[kind] * H * (directions * H + H)
    assert sites(model, x) == T * N * directions * (first + (layers - 1) * later)


def test_recurrent_with_projection() -> None:
    p = 2
    expected = T * N * (4 * H * (C + p) + H * p)
    assert sites(nn.LSTM(C, H, proj_size=p), meta(T, N, C)) == expected


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_recurrent_cell(kind: Any) -> None:
    gates = {nn.RNNCell: 1, nn.GRUCell: 3, nn.LSTMCell: 4}[kind]
    assert sites(kind(C, H), meta(N, C)) == N * gates * H * (C + H)


def test_a_bilinear_layer_has_a_site_for_each_weight() -> None:
    """y[n, o] = Σ over i, j of x[n, i]·w[o, i, j]·z[n, j]. The gradient of each factor has as many terms."""
    model, inputs = nn.Bilinear(3, 4, 5), (meta(N, 3), meta(N, 4))
    assert sites(model, *inputs) == N * 5 * 3 * 4
    assert sites(model, *inputs, backward=True) == 4 * N * 5 * 3 * 4
    made = trace(model, *inputs)
    (form,) = [call for call in made.calls if call.name == "aten._trilinear"]
    product = MatrixProduct(outputs_each=N, depth=3 * 4, filters=5, inputs=N * 3 * 4)
    assert matrix_products(form) == ((product,), 0)
    assert count(made, "macs", arithmetic="adder").total == count(made, "macs").total


def test_recurrent_training_step() -> None:
    forward = T * N * 4 * H * (C + H)
    # Both factors of every product have a gradient, except that the first hidden state is a constant.
    assert sites(nn.LSTM(C, H), meta(T, N, C), backward=True) == 3 * forward - N * 4 * H * H


E, HEADS, L, S = 8, 2, 5, 7


def attention_sites(rows: int, columns: int, width: int) -> int:
    """q·kᵀ and p·v over all heads."""
    return 2 * N * rows * columns * width


@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_product_attention(causal: bool) -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    q, k = meta(N, HEADS, L, E), meta(N, HEADS, S, E)
    assert sites(Function(attend), q, k, k) == 2 * N * HEADS * L * S * E


def test_grouped_query_attention() -> None:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    q, k = meta(N, 2 * HEADS, L, E), meta(N, HEADS, S, E)
    assert sites(Function(attend), q, k, k) == 2 * N * 2 * HEADS * L * S * E


@pytest.mark.parametrize("weights", [False, True])
def test_multihead_attention(weights: bool) -> None:
    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(E, HEADS, batch_first=True)

        def forward(self, q: Tensor, kv: Tensor) -> Tensor:
            out: Tensor = self.inner(q, kv, kv, need_weights=weights)[0]
            return out

    projections = N * E * E * (L + S + S + L)
    assert sites(Attend(), meta(N, L, E), meta(N, S, E)) == projections + attention_sites(L, S, E)


@pytest.mark.parametrize("backward", [False, True])
def test_transformer_encoder_layer(backward: bool) -> None:
    layer = nn.TransformerEncoderLayer(E, HEADS, dim_feedforward=16, batch_first=True)
    forward = N * L * E * (3 * E + E + 2 * 16) + attention_sites(L, L, E)
    # Fused attention computes its scores again for the gradients.
    again = N * L * L * E
    assert sites(layer, meta(N, L, E), backward=backward) == (3 * forward + again if backward else forward)


EINSUMS: list[tuple[str, tuple[Tensor, ...], int]] = [
    ("i,j->ij", (meta(3), meta(4)), 0),  # an outer product adds nothing up
    ("ij,jk->ik", (meta(2, 3), meta(3, 4)), 24),
    ("...ij,...jk->...ik", (meta(5, 2, 3), meta(5, 3, 4)), 120),
    ("bij,jk->bik", (meta(5, 2, 3), meta(3, 4)), 120),
    ("ij,jk,kl->il", (meta(2, 3), meta(3, 4), meta(4, 5)), 24 + 40),
]


@pytest.mark.parametrize(("equation", "tensors", "expected"), EINSUMS, ids=[row[0] for row in EINSUMS])
def test_einsum(equation: str, tensors: tuple[Tensor, ...], expected: int) -> None:
    assert sites(Function(lambda *t: torch.einsum(equation, *t)), *tensors) == expected


def full(function: Callable[..., Any], *args: Tensor) -> ModelCounts:
    counts = count(trace(Function(function), *args))
    assert counts.complete, counts.uncounted
    return counts


def test_views_and_movement_count_nothing_but_are_there() -> None:
    def move(x: Tensor) -> Tensor:
        x = x.permute(1, 0).reshape(2, -1).contiguous()[:, 1:].unsqueeze(0).expand(3, -1, -1)
        return torch.cat([x, x.clone()]).flip(0).roll(1, 0)

    counts = full(move, meta(4, 6))
    assert not counts.total
    assert counts.mac_sites == 0
    assert sum(sum(layer.ops.values()) for layer in counts.layers) > 8


def test_an_int8_product_is_not_an_fp32_product() -> None:
    a, b = meta(32, 16, dtype=torch.int8), meta(16, 8, dtype=torch.int8)
    formats = full(torch._int_mm, a, b).total.by_format()
    assert formats == {"int8": {"mul": 32 * 16 * 8}, "int32": {"add": 32 * 8 * 15}}


def test_a_float8_product_is_summed_in_fp32() -> None:
    a = meta(32, 16, dtype=torch.float8_e4m3fn)
    b = meta(32, 16, dtype=torch.float8_e4m3fn).t()
    one = meta()

    def multiply(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        return torch._scaled_mm(a, b, s, s, out_dtype=torch.bfloat16)

    formats = full(multiply, a, b, one).total.by_format()
    assert formats["float8_e4m3fn"] == {"mul": 32 * 32 * 16}
    assert formats["fp32"] == {"mul": 2 * 32 * 32, "add": 32 * 32 * 15}


def test_half_precision_keeps_its_width() -> None:
    formats = full(
        F.linear, meta(2, 3, dtype=torch.bfloat16), meta(4, 3, dtype=torch.bfloat16)
    ).total.by_format()
    assert formats == {"bf16": {"mul": 24, "add": 16}}


def test_a_quantised_model() -> None:
    model = torch.ao.nn.quantized.dynamic.Linear(6, 5)
    counts = count(trace(model, torch.zeros(2, 6)))
    assert counts.complete, counts.uncounted
    assert counts.mac_sites == 2 * 6 * 5
    assert counts.total.by_format()["int8"] == {"mul": 60}


def test_a_packed_binary_layer() -> None:
    """16·6·6 outputs of 8·3·3 pairings; each output takes a factor and an addend."""
    x, model = torch.randn(1, 8, 6, 6), nn.Sequential(layers.BinaryConv2d(8, 16, 3, padding=1)).eval()
    counts = count(trace(layers.pack_binary(model), x))
    assert counts.complete and counts.mac_sites == 16 * 36 * 72
    unpacked = count(trace(model, x)).total.by_class()
    assert counts.total.by_class() == {**unpacked, "add": unpacked.get("add", 0) + 16 * 36}


def test_a_quantised_adder_layer() -> None:
    """16·6·6 outputs of 8·3·3 differences of bytes, summed in 32 bits and times the scale; each of 8·6·6
    inputs is divided, rounded, moved and kept within two ends."""
    x, layer = torch.randn(1, 8, 6, 6), layers.AdderConv2d(8, 16, 3, padding=1).eval()
    counts = count(trace(nn.Sequential(layers.quantize_adder(layer, x)), x))
    formats = counts.total.by_format()
    assert counts.complete and counts.mac_sites == 16 * 36 * 72
    assert formats["uint8"]["add"] == 16 * 36 * 72 and formats["int32"]["add"] == 16 * 36 * 72
    inputs, outputs = 8 * 36, 16 * 36
    assert formats["fp32"] == {"divide": inputs, "add": 2 * inputs, "compare": 2 * inputs, "mul": outputs}
