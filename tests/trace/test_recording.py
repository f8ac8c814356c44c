"""What is recorded of each call: shapes at that moment, names of parameters, and nothing that failed."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest
import torch
from torch import Tensor, nn

from addercost.counts.model import count
from addercost.trace.record import Trace
from addercost.trace.reuse.tracer import BlockCache, trace_blocks
from addercost.trace.tracer import trace

X = torch.empty(2, 3, device="meta")


def by_blocks(model: nn.Module, x: Tensor, is_counted: Callable[[str, Collection[str]], bool]) -> Trace:
    return trace_blocks(model, [((x,), {})], cache=BlockCache(is_counted))[0].trace()


def whole(model: nn.Module, x: Tensor, is_counted: Callable[[str, Collection[str]], bool]) -> Trace:
    return trace(model, x, is_counted=is_counted)


TRACERS = pytest.mark.parametrize("traced", [whole, by_blocks])


def every_operator(name: str, tags: Collection[str]) -> bool:
    return True


class Unsqueezing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.exp()
        y.unsqueeze_(0)
        return y.sin()


@TRACERS
def test_each_call_has_the_shapes_of_its_moment(traced: Callable[..., Trace]) -> None:
    """`exp` made a [2, 3], which `unsqueeze_` makes a [1, 2, 3] for what comes after."""
    exp, unsqueeze, sin = traced(Unsqueezing(), X, every_operator).calls
    assert (exp.shape("self"), exp.output.shape) == ((2, 3), (2, 3))
    assert unsqueeze.output.shape == (1, 2, 3)
    assert (sin.shape("self"), sin.output.shape) == ((1, 2, 3), (1, 2, 3))


class Derived(nn.Module):
    """Makes its weight of several parameters."""

    def __init__(self, combine: Callable[..., Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.combine = combine

    def forward(self, x: Tensor) -> Tensor:
        return x + self.combine(self.first, self.second)


@pytest.mark.parametrize(
    ("combine", "role", "name"),
    [
        pytest.param(lambda a, b: a * b, "derived", "first", id="two parameters"),
        pytest.param(lambda a, b: torch.cat([b, a])[:3], "derived", "second", id="a list of parameters"),
        pytest.param(lambda a, b: torch.exp(a) * b, "derived", "first", id="of a derived one"),
        pytest.param(lambda a, b: b.view(1, 3), "parameter", "second", id="a view"),
    ],
)
def test_what_is_made_of_parameters_has_the_name_of_the_first(
    combine: Callable[..., Tensor], role: str, name: str
) -> None:
    weight = trace(Derived(combine), X).calls[-1].tensor("other")
    assert (weight.role, weight.name) == (role, name)


class Gated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.glu(x.relu(), 0)


def not_glu(name: str, tags: Collection[str]) -> bool:
    return name != "aten.glu"


def fails_late(x: Tensor, dim: int = -1) -> Tensor:
    """A decomposition with calls before and after a change of shape, at which calls are made plain."""
    x.exp().unsqueeze_(0).sin()
    raise NotImplementedError("no decomposition of this shape")


def works(x: Tensor, dim: int = -1) -> Tensor:
    a, b = x.chunk(2, dim)
    return a * b.sigmoid()


def names(result: Trace) -> list[str]:
    return [call.name.removeprefix("aten.") for call in result.calls]


@TRACERS
def test_an_operator_that_is_not_counted_is_recorded_by_its_decomposition(
    traced: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch._decomp.decomposition_table", {torch.ops.aten.glu.default: works})
    result = traced(Gated(), X, not_glu)
    assert names(result) == ["relu", "chunk", "sigmoid", "mul"]
    assert [call.tags[-1] for call in result.calls[1:]] == ["decomposed:aten.glu.default"] * 3
    assert names(traced(Gated(), X, every_operator)) == ["relu", "glu"]


@TRACERS
def test_a_failed_decomposition_leaves_no_call_behind(
    traced: Callable[..., Trace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch._decomp.decomposition_table", {torch.ops.aten.glu.default: fails_late})
    assert names(traced(Gated(), X, not_glu)) == ["relu", "glu"]


def test_a_layers_output_is_that_of_its_forward() -> None:
    """The backward of the linear layer ends with the gradient of its weight, [5, 3]; of ReLU, [2, 5]."""
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))
    shapes = {layer.path: layer.output_shape for layer in count(trace(model, X, backward=True)).layers}
    assert {path: shapes[path] for path in "012"} == {"0": (2, 5), "1": (2, 5), "2": (2, 4)}
