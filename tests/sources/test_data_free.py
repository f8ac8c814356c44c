"""A model's file runs once; values are made when they are asked for. Needs torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from addercost.counts.model import count
from addercost.sources.data_free import DataFree
from addercost.sources.kind import TraceRequest
from addercost.sources.loading import load_model
from addercost.sources.tracing import trace_spec

FILE = """
import torch
from pathlib import Path
from torch import nn

with (Path(__file__).parent / "runs").open("a") as log:
    log.write("x")

class Selecting(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("mask", torch.zeros(6))
        self.mask[:4] = 1
        self.factor = torch.full((6,), 2.0)
        if self.mask.sum() != 4:
            raise ValueError("the constructor reads a wrong value")

    def forward(self, x):
        return self.layer(x[(x[:, 0] * self.mask * self.factor) > 0])

x = torch.zeros(6, 8)
x[:3, 0] = 1
x[5, 0] = 1
model, example_inputs = Selecting(), x
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "selecting.py"
    made.write_text(FILE)
    return made


def test_a_file_whose_forward_needs_values_runs_once(file: Path) -> None:
    """Of the rows 0, 1, 2 and 5, the mask has the first three: 3 · 8 · 8 sites."""
    made = trace_spec(str(file), TraceRequest())
    assert (made.tracer, count(made, "macs").mac_sites) == ("real", 3 * 8 * 8)
    assert (file.parent / "runs").read_text() == "x"


def test_a_model_is_made_again_with_its_values(file: Path) -> None:
    loaded = load_model(str(file))
    assert loaded.model.mask.is_meta and loaded.rebuild is not None
    first, second = loaded.rebuild(), loaded.rebuild()
    for model in (first, second):
        assert model.mask.tolist() == [1, 1, 1, 1, 0, 0] and model.factor.tolist() == [2] * 6
        assert model.layer.weight.abs().max() > 0 and isinstance(model.layer.weight, nn.Parameter)
    assert first.layer.weight is not second.layer.weight
    assert (file.parent / "runs").read_text() == "x"


def test_values_are_those_of_the_calls_in_their_order() -> None:
    mode = DataFree(keeps_calls=True)
    with mode:
        base = torch.zeros(2, 3)
        view = base[1]
        view.fill_(2)
        before = base + 1
        base.mul_(5)
        halves = torch.ones(4).split(2)
        halves[1].add_(1)
    made = mode.with_values({"base": base, "before": before, "view": view, "halves": halves})
    assert made["before"].tolist() == [[1] * 3, [3] * 3]
    assert made["base"].tolist() == [[0] * 3, [10] * 3]
    assert made["view"].tolist() == [10] * 3
    assert [half.tolist() for half in made["halves"]] == [[1, 1], [2, 2]]
    elsewhere = torch.empty(2, device="meta")
    assert mode.with_values(elsewhere) is elsewhere


def test_a_range_joined_with_zeros_has_no_data() -> None:
    """As the rotation tables of Gemma 4, of which the last angles are 0."""
    with DataFree():
        joined = torch.cat([torch.arange(3.0), torch.zeros(2)])
        assert torch.arange(3.0).tolist() == [0, 1, 2]
    assert joined.is_meta and joined.shape == (5,)


def test_values_are_not_lost_where_others_have_none() -> None:
    """A write into a tensor with data would leave its old values behind."""
    with DataFree():
        kept = torch.arange(3.0)
        with pytest.raises(NotImplementedError, match="no data"):
            kept.copy_(torch.zeros(3))
    assert kept.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "name",
    ["uniform_", "normal_", "trunc_normal_", "constant_", "ones_", "xavier_normal_", "kaiming_uniform_"],
)
def test_initialising_weights_computes_nothing(name: str) -> None:
    """Neither by the function of torch nor by one of its name that transformers puts in its place. The values
    are computed when they are asked for.
    """
    more = {"val": 2.0} if name == "constant_" else {}
    initialise = getattr(nn.init, name)
    called: list[str] = []

    class Noted(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            called.append(str(func))
            return func(*args, **(kwargs or {}))

    mode = DataFree(keeps_calls=True)
    with mode:
        weight = nn.Parameter(torch.empty(8, 8))
        with Noted():
            assert initialise(weight, **more) is weight
            torch.overrides.handle_torch_function(initialise, (weight,), tensor=weight, **more)
    assert called == []
    assert mode.with_values(weight.detach()).abs().max() > 0
