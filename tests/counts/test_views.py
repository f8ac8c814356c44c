"""Counts by operator and by module: rows of a small model by hand, and sums that lose and repeat nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from addercost.arithmetic import OpCounts
from addercost.counts.model import LayerCounts, ModelCounts, count
from addercost.counts.views import by_module
from addercost.errors import ArgumentError
from addercost.trace.record import OpCall, TensorSpec, Trace
from addercost.trace.tracer import trace


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.a(x).relu()) + x
        return out


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x)) * 2
        return out


@pytest.fixture(scope="module")
def counts() -> ModelCounts:
    """x: [2, 4]. A block: two products of 2·4·4, a bias, 2·4 compares and 2·4 additions."""
    return count(trace(Net(), torch.empty(2, 4, device="meta")))


BLOCK = OpCounts.of(mul=64, add=32 + 24 + 8, compare=8)
"""4 terms a sum, of which the first takes no addition but for the bias."""
HEAD = OpCounts.of(mul=24, add=24)
DOUBLED = OpCounts.of(mul=6)


def test_modules_hold_what_is_inside_them(counts: ModelCounts) -> None:
    rows = {row.path: row for row in counts.by_module()}
    assert list(rows) == [
        "",
        "body",
        "body.0",
        "body.0.a",
        "body.0.b",
        "body.1",
        "body.1.a",
        "body.1.b",
        "head",
    ]
    assert rows["body.0"].counts == rows["body.1"].counts == BLOCK
    assert rows["body"].counts == BLOCK + BLOCK
    assert rows["head"].counts == HEAD
    assert rows[""].counts == BLOCK + BLOCK + HEAD + DOUBLED == counts.total
    assert rows["body.0.a"].counts == OpCounts.of(mul=32, add=32)
    assert [rows[path].mac_sites for path in ("", "body", "body.1", "body.1.b")] == [152, 128, 64, 32]
    assert [rows[path].parameters for path in ("", "body", "body.0", "head")] == [87, 72, 36, 15]
    assert rows[""].parameters == counts.parameters


def test_the_model_moves_what_its_layers_move(counts: ModelCounts) -> None:
    model = counts.by_module()[0]
    assert model.bytes_read == sum(layer.bytes_read for layer in counts.layers) > 0
    assert model.bytes_written == sum(layer.bytes_written for layer in counts.layers) > 0


def test_operators(counts: ModelCounts) -> None:
    rows = {row.op: row for row in counts.by_operator()}
    assert [rows[op].calls for op in ("aten.addmm", "aten.mm", "aten.relu", "aten.add", "aten.mul")] == [
        3, 2, 2, 2, 1,
    ]  # fmt: skip
    assert rows["aten.addmm"].counts == OpCounts.of(mul=32 + 32 + 24, add=32 + 32 + 24)
    assert rows["aten.mm"].counts == OpCounts.of(mul=64, add=48)
    assert rows["aten.relu"].counts == OpCounts.of(compare=16)
    assert rows["aten.add"].counts == OpCounts.of(add=16)
    assert rows["aten.mul"].counts == DOUBLED
    assert rows["aten.addmm"].mac_sites == 88 and rows["aten.add"].mac_sites == 0
    # Two blocks: each adds two tensors of 2·4 numbers of four bytes into a third.
    assert (rows["aten.add"].bytes_read, rows["aten.add"].bytes_written) == (2 * 64, 2 * 32)
    assert all(row.counted for row in rows.values())


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "training step"])
@pytest.mark.parametrize("convention", ["full", "macs", "thop", "fvcore"])
def test_rows_sum_to_the_total(convention: str, backward: bool) -> None:
    counts = count(trace(Net(), torch.empty(2, 4, device="meta"), backward=backward), convention)
    operators, model = counts.by_operator(), counts.by_module()[0]
    assert OpCounts.sum(row.counts for row in operators) == counts.total == model.counts
    assert sum(row.mac_sites for row in operators) == counts.mac_sites == model.mac_sites
    assert sum(row.calls for row in operators) == sum(sum(layer.ops.values()) for layer in counts.layers)
    assert sum(row.bytes_read for row in operators) == model.bytes_read
    assert sum(row.bytes_written for row in operators) == model.bytes_written


def test_an_operator_without_a_rule_has_a_row_that_says_so() -> None:
    spec = TensorSpec((2,), "float32")
    call = OpCall("nowhere.thing.default", "a.b", {"x": spec}, (spec,), 0)
    (row,) = count(Trace("made-up", (call, call), {"": "M"}, {})).by_operator()
    assert (row.op, row.calls, row.counted) == ("nowhere.thing", 2, False)
    assert not row.counts and row.mac_sites == 0


def test_what_is_only_known_by_layer_says_so(counts: ModelCounts) -> None:
    """As in a saved profile."""
    with pytest.raises(ArgumentError, match="Net are not known by operator"):
        replace(counts, operators=None).by_operator()


def test_a_model_without_calls() -> None:
    counts = count(Trace("empty", (), {"": "M"}, {}))
    assert counts.by_operator() == ()
    (row,) = counts.by_module()
    assert row.path == "" and not row.counts


def layer(path: str, n: int) -> LayerCounts:
    return LayerCounts(path, "T", "mul", {"mul": 1}, (n,), 0, OpCounts.of(mul=n), 0)


def test_modules_stand_before_what_is_inside_them_whatever_the_order_of_the_run() -> None:
    """b runs between two layers of a, and the model itself last."""
    rows = by_module([layer("a.x", 1), layer("b", 2), layer("a.y", 4), layer("a", 8), layer("", 16)])
    assert [(row.path, row.counts.total) for row in rows] == [
        ("", 31), ("a", 13), ("a.x", 1), ("a.y", 4), ("b", 2),
    ]  # fmt: skip


def test_a_name_that_begins_like_another_is_not_inside_it() -> None:
    rows = by_module([layer("conv1", 1), layer("conv10.a", 2)])
    assert [(row.path, row.counts.total) for row in rows] == [
        ("", 3), ("conv1", 1), ("conv10", 2), ("conv10.a", 2),
    ]  # fmt: skip


def test_three_thousand_modules_inside_each_other() -> None:
    """Deeper than Python's stack."""
    path = ".".join("a" * 3000)
    rows = by_module([layer(path, 1)])
    assert len(rows) == 3001 and rows[0].counts.total == 1


def made_call(index: int, *outputs: TensorSpec, op: str = "aten.add", tags: tuple[str, ...] = ()) -> OpCall:
    x = TensorSpec((7,), "float32")
    return OpCall(f"{op}.default", "a", {"self": x, "other": x}, outputs, index, tags)


def test_the_shape_of_a_layer_is_that_of_the_first_result_of_its_last_call() -> None:
    """Gradients and calls without a result are none."""
    two, three = TensorSpec((2,), "float32"), TensorSpec((3,), "float32")
    calls = (
        made_call(0, three),
        made_call(1, two, three),
        made_call(2),
        made_call(3, three, tags=("backward",)),
    )
    (row,) = count(Trace("net", calls, {"a": "Layer"}, {})).layers
    assert (row.output_shape, row.type, row.ops) == ((2,), "Layer", {"add": 4})
    assert row.module_calls is None and row.call_shapes == ()


def test_the_operator_of_a_layer_is_the_one_with_most_operations() -> None:
    """Seven sums against two calls of seven comparisons each; sites count beside operations."""
    calls = (
        made_call(0, TensorSpec((7,), "float32")),
        made_call(1, TensorSpec((7,), "float32"), op="aten.maximum"),
        made_call(2, TensorSpec((7,), "float32"), op="aten.maximum"),
    )
    (row,) = count(Trace("net", calls, {}, {})).layers
    assert (row.op, row.ops) == ("maximum", {"add": 1, "maximum": 2})


def test_a_parameter_is_of_the_layer_that_uses_it_first_and_unused_ones_are_counted_apart() -> None:
    w = TensorSpec((5,), "float32", "parameter", "a.w")
    calls = tuple(
        OpCall("aten.add.default", path, {"self": w, "other": w}, (TensorSpec((5,), "float32"),), i)
        for i, path in enumerate(("a", "b"))
    )
    counts = count(Trace("net", calls, {}, {"a.w": 5, "c.w": 11}))
    assert [layer.parameters for layer in counts.layers] == [5, 0]
    assert (counts.parameters, counts.unused_parameters) == (16, 11)
