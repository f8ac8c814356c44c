"""A module whose forward runs several times: how often, and the shape of each output."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import addercost
from addercost.api import trace_model
from addercost.counts.model import LayerCounts, count
from addercost.report.formats.table_csv import to_csv
from addercost.report.tables.layers import written_shapes
from addercost.results.profile import profile_from_data


class Shared(nn.Module):
    """A linear layer and an activation on 2 rows, then on 3 and 3."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.act = nn.ReLU()
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x = self.act(self.linear(x))
        for _ in range(2):
            y = self.act(self.linear(y))
        return self.head(x), y


X, Y = torch.zeros(2, 8), torch.zeros(3, 8)
SHAPES = ((2, 8), (3, 8), (3, 8))


def layer(model: nn.Module, path: str, *inputs: Tensor, backward: bool = False) -> LayerCounts:
    counts = count(trace_model(model, *inputs, backward=backward))
    return next(row for row in counts.layers if row.path == path)


@pytest.mark.parametrize("backward", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("path", ["linear", "act"])
def test_a_shared_module_shows_all_its_calls(path: str, backward: bool) -> None:
    row = layer(Shared(), path, X, Y, backward=backward)
    assert (row.module_calls, row.call_shapes, row.output_shape) == (3, SHAPES, (3, 8))


def test_one_call_needs_no_list() -> None:
    row = layer(Shared(), "head", X, Y)
    assert (row.module_calls, row.call_shapes) == (1, ())


def test_a_module_of_several_operators_is_called_once() -> None:
    class Block(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp().sin().cos()

    assert layer(nn.Sequential(Block()), "0", X).module_calls == 1


def test_what_the_backward_pass_runs_again_is_no_call_of_the_model() -> None:
    class Saving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid())

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.inner, x, use_reentrant=False)

    row = layer(Saving(), "inner.0", X, backward=True)
    assert row.module_calls == 1
    assert row.ops["addmm"] == 2


def test_a_hand_written_layer_that_is_shared() -> None:
    """Each of its forwards is recorded as one call in place of several."""

    class Adder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return -(x[:, None] - self.weight).abs().sum(-1)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.adder = Adder()

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return self.adder(x), self.adder(y)

    row = layer(Twice(), "adder", X, Y)
    assert (row.module_calls, row.call_shapes) == (2, ((2, 8), (3, 8)))


def test_the_table_and_the_documents_have_them() -> None:
    found = addercost.profile(Shared(), X, Y, cpus=[])
    rows = {row["path"]: row for row in found.to_table().rows}
    assert (rows["linear"]["calls"], rows["linear"]["output_shapes"]) == (3, "2x8, 3x8 (2 times)")
    assert (rows["head"]["calls"], rows["head"]["output_shapes"]) == (1, None)
    assert "calls" in to_csv(found.to_table()).splitlines()[0].split(",")
    data = json.loads(found.to_json())
    linear = next(row for row in data["layers"] if row["path"] == "linear")
    assert (linear["calls"], linear["output_shapes"]) == (3, [[2, 8], [3, 8], [3, 8]])
    assert profile_from_data(data).counts.layers == found.counts.layers
    assert profile_from_data(data).memory == found.memory


def test_a_table_of_modules_called_once_has_no_column_for_it() -> None:
    assert "calls" not in [c.name for c in addercost.profile(nn.Linear(8, 4), X).to_table().columns]


@pytest.mark.parametrize(
    ("shapes", "text"),
    [((), None), (((2, 3), (2, 3)), "2x3 (2 times)"), (((2,), (3,), (2,)), "2, 3, 2")],
    ids=["none", "equal", "in order"],
)
def test_written_shapes(shapes: tuple[tuple[int, ...], ...], text: str | None) -> None:
    assert written_shapes(shapes) == text


def test_changed_networks_keep_the_calls_alone() -> None:
    counts = count(trace_model(Shared(), X, Y), what_if=["prune=0.5"])
    row = next(row for row in counts.layers if row.path == "linear")
    assert (row.module_calls, row.call_shapes) == (3, ())
