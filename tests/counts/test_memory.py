"""Bytes that single calls must move: each operand once, and nothing for what is only looked at as a shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addercost.counts.memory import traffic
from addercost.counts.model import LayerCounts, count
from addercost.trace.record import OpCall, TensorSpec
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
