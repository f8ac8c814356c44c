"""Every call belongs to the module whose forward made it, under the path of the caller. Needs torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.counts.model import count
from addercost.trace.record import Trace
from addercost.trace.tracer import trace


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def computing(result: Trace) -> list[tuple[str, str]]:
    """(module, operator) of every call that is not a view."""
    return [
        (call.module, call.name.removeprefix("aten.")) for call in result.calls if "view" not in call.tags
    ]


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        relu = nn.ReLU()
        self.a = nn.Sequential(nn.Linear(2, 2, bias=False), relu)
        self.b = nn.Sequential(nn.Linear(2, 2, bias=False), relu)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x))


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            for layer in self.layers:
                x = layer(x)
        return x


class Direct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear.forward(x))


class Recursive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        self.depth = 0

    def forward(self, x: Tensor) -> Tensor:
        self.depth += 1
        x = self.linear(x)
        return self(x) if self.depth < 3 else x


class Cyclic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.child = nn.Linear(2, 2, bias=False)
        self.child.parent = self

    def forward(self, x: Tensor) -> Tensor:
        return self.child(x)


class Unregistered(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.ReLU()(x)


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        from torch.utils.checkpoint import checkpoint

        result: Tensor = checkpoint(self.linear, x, use_reentrant=False)
        return result


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(Shared(), [("a.0", "mm"), ("a.1", "relu"), ("b.0", "mm"), ("b.1", "relu")], id="shared"),
        pytest.param(Repeated(), [("layers.0", "mm"), ("layers.1", "mm")] * 2, id="repeated"),
        pytest.param(Direct(), [("linear", "mm"), ("", "relu")], id="forward called directly"),
        pytest.param(Recursive(), [("linear", "mm")] * 3, id="recursive"),
        pytest.param(Cyclic(), [("child", "mm")], id="a child that holds its parent"),
        pytest.param(Unregistered(), [("", "relu")], id="made in the forward"),
        pytest.param(Functional(), [("", "mm")], id="functional"),
        pytest.param(Checkpointed(), [("linear", "mm")], id="activation checkpointing"),
    ],
)
def test_path(model: nn.Module, expected: list[tuple[str, str]]) -> None:
    assert computing(trace(model, meta(1, 2))) == expected


class Outputs(nn.Module):
    """Dict outputs, keyword and integer inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, tokens: Tensor, *, scale: Tensor) -> dict[str, Any]:
        hidden = self.embedding(tokens) * scale
        return {"logits": self.head(hidden), "hidden": (hidden, [tokens])}


def test_keyword_and_integer_inputs() -> None:
    tokens = torch.empty((2, 5), dtype=torch.int64, device="meta")
    result = trace(Outputs(), tokens, kwargs={"scale": meta(1)})
    assert [spec.dtype for spec in result.inputs] == ["int64", "float32"]
    assert count(result, "macs").total.by_class() == {"mul": 2 * 5 * 4 * 3, "add": 2 * 5 * 4 * 3}


@pytest.mark.parametrize("model", [Shared(), Repeated(), Direct(), Recursive(), Functional()], ids=repr)
def test_rows_hold_every_call_and_sum_to_the_total(model: nn.Module) -> None:
    result = trace(model, meta(3, 2))
    counts = count(result)
    assert sum(n for layer in counts.layers for n in layer.ops.values()) == len(result.calls)
    assert sum(layer.counts.total for layer in counts.layers) == counts.total.total
    assert sum(layer.parameters for layer in counts.layers) + counts.unused_parameters == counts.parameters
    assert counts.parameters == sum(p.numel() for p in model.parameters())


def test_parameters_belong_to_their_first_use() -> None:
    """MultiheadAttention never calls its out_proj; its weight is used all the same."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    counts = count(trace(attention, *(meta(1, 3, 8),) * 3))
    assert counts.unused_parameters == 0
    assert counts.parameters == 4 * 8 * 8 + 4 * 8


def test_unused_parameters_are_said() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("idle", nn.Parameter(torch.ones(7)))
    assert count(trace(model, meta(1, 2))).unused_parameters == 7


class NeedsValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y if y.sum() > -1e9 else x


def test_a_value_is_looked_at_only_by_a_real_run() -> None:
    result = trace(NeedsValues(), torch.ones(1, 2))
    assert result.tracer == "real"
    assert ("linear", "mm") in computing(result)


class Constants(nn.Module):
    """Constants made without a device, mixed with data-free tensors, and read."""

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(x.shape[1])
        assert steps.tolist() == list(range(x.shape[1]))
        return x + steps * torch.linspace(0, 1, x.shape[1])


def test_constants_keep_their_values_on_a_data_free_run() -> None:
    assert trace(Constants(), meta(2, 3)).tracer == "meta"


def test_the_failing_layer_is_named() -> None:
    from addercost.errors import TraceError

    model = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2)))
    with pytest.raises(TraceError, match=r"layer 0\.1"):
        trace(model, meta(1, 2))
