"""Bytes that single calls must move: each operand once, and nothing for what is only looked at as a shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.counts.call_work import work_of
from addercost.counts.memory import packed_traffic, touched_experts, traffic, used_weight_bytes
from addercost.counts.model import LayerCounts, count
from addercost.counts.what_if import apply
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec, Trace
from addercost.trace.tracer import trace
from tests.counts.oracle import traced

FP32, INT64 = 4, 8
"""Bytes an element."""


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def only_layer(function: Callable[..., Any], *args: Tensor) -> LayerCounts:
    counts = count(traced(function, *args))
    assert counts.complete, counts.uncounted
    (layer,) = counts.layers
    return layer


def test_a_linear_layer() -> None:
    (layer,) = count(trace(nn.Linear(3, 4), meta(2, 3))).layers
    # input 2·3, weight 4·3, bias 4; output 2·4. The transposed weight is a view.
    assert (layer.bytes_read, layer.bytes_written) == (FP32 * (6 + 12 + 4), FP32 * 8)


def test_bytes_follow_the_type() -> None:
    half = meta(8, dtype=torch.bfloat16)
    layer = only_layer(lambda a, b: a + b, half, half)
    assert (layer.bytes_read, layer.bytes_written) == (2 * 16, 16)


def test_a_lookup_reads_the_rows_it_takes() -> None:
    (layer,) = count(trace(nn.Embedding(1000, 8), meta(2, 3, dtype=torch.int64))).layers
    # Six rows of eight numbers and six indices, not the whole table.
    assert (layer.bytes_read, layer.bytes_written) == (6 * 8 * FP32 + 6 * INT64, 6 * 8 * FP32)


def test_a_lookup_reads_no_more_than_its_table() -> None:
    """A table of 4 rows, 100 rows taken from it: the table is read once, and every row is written."""
    (layer,) = count(trace(nn.Embedding(4, 8), meta(100, dtype=torch.int64))).layers
    assert layer.bytes_read == 4 * 8 * FP32 + 100 * INT64
    assert layer.bytes_written == 100 * 8 * FP32


@pytest.mark.parametrize(("indices", "rows_read"), [(3, 3), (50, 5)], ids=["few rows", "more than there are"])
@pytest.mark.parametrize("name", ["index_select", "gather", "take"])
def test_a_gather(name: str, indices: int, rows_read: int) -> None:
    """self: [5, 8]; each index takes a row of 8 numbers, `gather` and `take` one number."""
    table, index = meta(5, 8), meta(indices, dtype=torch.int64)
    if name == "index_select":
        layer = only_layer(lambda t, i: torch.index_select(t, 0, i), table, index)
        assert layer.bytes_read == rows_read * 8 * FP32 + indices * INT64
    elif name == "gather":
        layer = only_layer(lambda t, i: torch.gather(t, 0, i), table, meta(indices, 8, dtype=torch.int64))
        assert layer.bytes_read == rows_read * 8 * FP32 + indices * 8 * INT64
    else:
        layer = only_layer(lambda t, i: torch.take(t, i), table, index)
        assert layer.bytes_read == min(indices, 40) * FP32 + indices * INT64


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_reads_the_rows_of_all_its_members(mode: Any) -> None:
    """Seven indices in two bags of a table of 30 rows of 8."""
    bag = nn.EmbeddingBag(30, 8, mode=mode)
    made = trace(bag, torch.zeros(7, dtype=torch.int64), torch.tensor([0, 3]))
    (call,) = [call for call in made.calls if "embedding_bag" in call.name]
    assert traffic(call)[0] == 7 * 8 * FP32 + 7 * INT64 + 2 * INT64


def test_a_copy_reads_its_source_alone() -> None:
    """What was in the target before is overwritten, so it is not read."""
    layer = only_layer(lambda a, b: a.clone().copy_(b), meta(6, 5), meta(6, 5, dtype=torch.float64))
    # clone: 30 numbers each way; copy_: 30 of eight bytes read, 30 of four written.
    assert layer.bytes_read == 30 * 4 + 30 * 8
    assert layer.bytes_written == 30 * 4 + 30 * 4


@pytest.mark.parametrize(
    ("function", "written"),
    [
        pytest.param(lambda x: torch.zeros_like(x), 32, id="zeros_like"),
        pytest.param(lambda x: x.new_ones(3), 12, id="new_ones"),
        pytest.param(lambda x: torch.empty_like(x), 0, id="empty_like"),
        pytest.param(lambda x: torch.empty_like(x).fill_(1.0), 32, id="fill_"),
        pytest.param(lambda x: x.view(2, 4), 0, id="a view"),
    ],
)
def test_what_only_takes_a_shape_reads_nothing(function: Callable[..., Any], written: int) -> None:
    layer = only_layer(function, meta(8))
    assert (layer.bytes_read, layer.bytes_written) == (0, written)


def test_a_broadcast_operand_counts_as_it_is() -> None:
    layer = only_layer(lambda a, b: a + b, meta(4, 5), meta(5))
    assert (layer.bytes_read, layer.bytes_written) == (FP32 * (20 + 5), FP32 * 20)


def test_a_call_without_outputs_writes_nothing() -> None:
    call = OpCall("aten._assert_async.default", "", {"self": TensorSpec((), "bool")}, (), 0)
    assert traffic(call) == (1, 0)


def spec(*shape: int, dtype: str = "float32", role: str = "activation", name: str = "") -> TensorSpec:
    return TensorSpec(shape, dtype, role, name)


def call(op: str, out: TensorSpec, *tags: str, **args: Any) -> OpCall:
    return OpCall(f"{op}.default", "layer", args, (out,), 0, tags)


def layer_call(op: str, arithmetic: str, dtype: str = "float32", role: str = "parameter") -> OpCall:
    """[4, 6] by [6, 3] as a matrix product, or an image of 4 pixels by 3 filters of 6 channels."""
    weight = {"dtype": dtype, "role": role}
    if op == "aten.mm":
        return call(op, spec(4, 3), f"arithmetic:{arithmetic}", self=spec(4, 6), mat2=spec(6, 3, **weight))
    sizes = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "transposed": False, "groups": 1}
    operands = {"input": spec(1, 6, 2, 2), "weight": spec(3, 6, 1, 1, **weight), "bias": None}
    return call(op, spec(1, 3, 2, 2), f"arithmetic:{arithmetic}", **operands, **sizes)


@pytest.mark.parametrize("op", ["aten.mm", "aten.convolution"])
@pytest.mark.parametrize(
    ("arithmetic", "weights"),
    [
        pytest.param("mac", 4 * 18, id="as-they-are"),
        # 18 bits are three bytes, and each of three filters has a factor of four bytes.
        pytest.param("xnor", 3 + 4 * 3, id="bits-and-factors"),
        pytest.param("ternary", 18 * 2 / 8 + 0.5, id="two-bits"),
    ],
)
def test_weights_are_read_as_their_arithmetic_packs_them(op: str, arithmetic: str, weights: float) -> None:
    made = layer_call(op, arithmetic)
    assert packed_traffic(made, work_of(made)) == (4 * 24 + weights, 4 * 12)


@pytest.mark.parametrize(
    ("dtype", "role"), [("int32", "parameter"), ("uint8", "parameter"), ("float32", "activation")]
)
def test_weights_that_are_packed_already_and_activations_are_read_as_they_are(dtype: str, role: str) -> None:
    made = layer_call("aten.mm", "xnor", dtype, role)
    assert packed_traffic(made, work_of(made)) == traffic(made)


def test_a_computed_weight_is_packed_too() -> None:
    made = layer_call("aten.mm", "xnor", role="derived")
    assert packed_traffic(made, work_of(made))[0] == 4 * 24 + 3 + 4 * 3


def test_without_work_nothing_is_packed() -> None:
    made = call("nowhere.thing", spec(3), x=spec(5))
    assert packed_traffic(made, None) == (20, 12)


@pytest.mark.parametrize(
    ("rows", "experts", "read"), [(2, 5, 2), (5, 5, 5), (9, 5, 5)], ids=["few", "as-many", "more"]
)
def test_as_many_experts_are_read_as_there_are_rows(rows: int, experts: int, read: int) -> None:
    """Weights [G, 4, 3] and rows [n, 4]."""
    x, w = spec(rows, 4), spec(experts, 4, 3, role="parameter")
    assert touched_experts(x, w).shape == (read, 4, 3)
    made = call("aten._grouped_mm", spec(rows, 3), self=x, mat2=w)
    assert traffic(made) == (4 * (rows * 4 + read * 12), 4 * rows * 3)


@pytest.mark.parametrize(("x", "w"), [((2, 4), (4, 3)), ((2, 3, 4), (5, 4, 3))], ids=["one-weight", "padded"])
def test_other_shapes_say_nothing_of_experts(x: tuple[int, ...], w: tuple[int, ...]) -> None:
    assert touched_experts(spec(*x), spec(*w)).shape == w


def test_what_is_made_in_registers_moves_nothing() -> None:
    inner = spec(5, role=IN_REGISTERS)
    assert traffic(call("aten.add", spec(5), self=inner, other=spec(5))) == (20, 20)
    assert traffic(call("aten.add", inner, self=spec(5), other=spec(5))) == (40, 0)
    weights = spec(5, 4, 3, role=IN_REGISTERS)
    assert traffic(call("aten._grouped_mm", spec(2, 3), self=spec(2, 4), mat2=weights)) == (4 * 8, 4 * 6)


def test_a_gather_from_a_single_number() -> None:
    table = spec(role="parameter")
    made = call("aten.take", spec(3), self=table, index=spec(3, dtype="int64"))
    assert traffic(made) == (4 + 3 * 8, 3 * 4)


def test_weights_are_read_once_in_the_narrowest_format_that_a_layer_uses() -> None:
    """Ten numbers looked up in four bytes and multiplied in one; another weight of three numbers."""
    wide, narrow = spec(10, role="parameter", name="e"), spec(10, dtype="int8", role="parameter", name="e")
    other = spec(3, role="parameter", name="b")
    calls = tuple(
        call("aten.add", spec(10), self=one, other=two) for one, two in ((wide, other), (narrow, other))
    )
    assert used_weight_bytes(Trace("net", calls, {}, {})) == 10 + 12
    assert used_weight_bytes(Trace("net", calls[::-1], {}, {})) == 10 + 12


def test_weights_count_as_an_arithmetic_stores_them() -> None:
    """Ternary weights have two bits, signs one with a factor of four bytes for each filter. Biases stay."""
    made = trace(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), meta(2, 64))
    weights, biases = 64 * 32 + 32 * 10, 32 + 10
    assert used_weight_bytes(made, work_of) == used_weight_bytes(made) == FP32 * (weights + biases)
    assert used_weight_bytes(apply(made, "ternary"), work_of) == weights * 2 // 8 + FP32 * biases
    signs = used_weight_bytes(apply(made, "xnor"), work_of)
    assert signs == weights // 8 + FP32 * (32 + 10) + FP32 * biases


def test_a_bag_of_a_single_number_reads_it_once() -> None:
    made = call("aten._embedding_bag", spec(2), weight=spec(role="parameter"), indices=spec(3, dtype="int64"))
    assert traffic(made) == (4 + 3 * 8, 2 * 4)
