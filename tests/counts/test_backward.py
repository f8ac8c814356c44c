"""A training step: published totals, torch's own counter, attribution, and a model left as it was."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from addercost.arithmetic import OpCounts
from addercost.counts.call_work import work_of
from addercost.counts.model import count
from addercost.errors import TraceError
from addercost.layers import AdderConv2d
from addercost.sources.build import DataFree
from addercost.sources.torchvision_models import make_model
from addercost.trace.record import Trace
from addercost.trace.tracer import trace


def built(name: str) -> nn.Module:
    with DataFree():
        return make_model(name)


def image(batch: int = 1, size: int = 224) -> Tensor:
    return torch.empty(batch, 3, size, size, device="meta")


@pytest.fixture(scope="module")
def resnet18() -> Trace:
    """A training step on one image, with the gradient of the input."""
    return trace(built("resnet18"), image(), backward=True)


def test_resnet18_forward_and_backward(resnet18: Trace) -> None:
    """The figure of torch's own test of its flop counter, input gradient included."""
    counts = count(resnet18, "macs")
    assert 2 * counts.mac_sites == 10_884_440_064
    assert counts.complete


def test_without_input_gradients_the_first_convolution_has_one_product_less(resnet18: Trace) -> None:
    whole = count(resnet18, "macs")
    usual = count(trace(built("resnet18"), image(), backward=True, input_gradients=False), "macs")
    first = 64 * 112 * 112 * 3 * 7 * 7
    assert whole.mac_sites - usual.mac_sites == first


@pytest.mark.parametrize(
    "name",
    ["resnet18"]
    + [
        pytest.param(name, marks=pytest.mark.exhaustive)
        for name in ("resnet50", "swin_t", "vit_b_16", "densenet121")
    ],
)
def test_sites_agree_with_the_flop_counter(name: str) -> None:
    """On models without grouped convolutions, whose weight gradients torch's counter takes for dense ones."""
    model = built(name).train()
    # Two images: a batch norm over one 1x1 image has no variance.
    made = trace(model, image(2), backward=True)
    sites = count(made, "macs").mac_sites
    # torch's counter sees attention taken apart, which keeps its scores: L·S sums of E products a head.
    again = sum(
        call.tensor("query").numel * call.shape("key")[-2]
        for call in made.calls
        if call.name == "addercost.attention_backward"
    )
    x = image(2).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counter = FlopCounterMode(display=False)
        with counter:
            model.to("meta")(x).sum().backward()
    assert counter.get_total_flops() == 2 * (sites - again)


class Block(nn.Module):
    def __init__(self, repeats: bool = False, reentrant: bool = False) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 1, bias=False)
        self.repeats, self.reentrant = repeats, reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.a(x)).relu()
        if self.repeats:
            # The derivative of relu needs its result, so the layer before it has to run again.
            return checkpoint(lambda v: self.b(v).relu(), x, use_reentrant=self.reentrant)
        return self.b(x) * 2


def sites_by_path(model: nn.Module, *args: Any, phase: bool, **options: Any) -> dict[str, int]:
    made = trace(model, *args, backward=True, **options)
    found: dict[str, int] = {}
    for call in made.calls:
        work = work_of(call)
        assert work is not None, call.op
        if ("backward" in call.tags) is phase:
            found[call.module] = found.get(call.module, 0) + work.mac_sites
    return {path: n for path, n in found.items() if n}


def test_gradients_belong_to_the_layer_that_made_them() -> None:
    x = torch.empty(2, 3, 8, 8, device="meta")
    a, b = 2 * 64 * 4 * 27, 2 * 64 * 4 * 4
    assert sites_by_path(Block(), x, phase=False) == {"a": a, "b": b}
    assert sites_by_path(Block(), x, phase=True) == {"a": 2 * a, "b": 2 * b}


def test_everything_else_of_the_backward_is_attributed_too() -> None:
    made = trace(Block(), torch.empty(2, 3, 8, 8, device="meta"), backward=True)
    by_path: dict[str, set[str]] = {}
    for call in made.calls:
        if "backward" in call.tags and "view" not in call.tags:
            by_path.setdefault(call.module, set()).add(call.name)
    assert "aten.native_batch_norm_backward" in by_path["norm"]
    assert "aten.threshold_backward" in by_path[""]
    assert "aten.mul" in by_path[""]


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_repeated_forward_belongs_to_its_layer(reentrant: bool) -> None:
    x = torch.empty(2, 3, 8, 8, device="meta")
    a, b = 2 * 64 * 4 * 27, 2 * 64 * 4 * 4
    # The backward runs b's forward once more.
    assert sites_by_path(Block(True, reentrant), x, phase=True) == {"a": 2 * a, "b": 3 * b}


def test_a_shared_layer_is_counted_for_each_use() -> None:
    shared = nn.Linear(4, 4)
    model = nn.ModuleDict({"x": shared, "y": shared})
    model.forward = lambda v: model["y"](model["x"](v))  # type: ignore[method-assign]
    made = trace(model, torch.empty(2, 4, device="meta"), backward=True)
    assert count(made, "macs").mac_sites == 3 * 2 * (2 * 16)


def test_rows_sum_to_the_calls(resnet18: Trace) -> None:
    counts = count(resnet18)
    works = [(call, work_of(call)) for call in resnet18.calls]
    total = OpCounts.sum(counts.convention.counts(call, work) for call, work in works if work)
    assert counts.total == total


def test_an_adder_layer_has_both_its_gradients() -> None:
    made = trace(nn.Sequential(AdderConv2d(3, 4, 3)), torch.empty(1, 3, 6, 6, device="meta"), backward=True)
    names = [call.name for call in made.calls if "backward" in call.tags]
    assert "addercost.adder_conv2d_input_gradient" in names
    assert "addercost.adder_conv2d_weight_gradient" in names
    counts = count(made)
    assert counts.complete
    assert {layer.path for layer in counts.layers if layer.mac_sites} == {"0"}


def test_frozen_parameters_have_no_gradient() -> None:
    model = Block()
    model.a.requires_grad_(False)
    x = torch.empty(2, 3, 8, 8, device="meta")
    b = 2 * 64 * 4 * 4
    # The norm's gradient for its own parameters remains; a has none for weight or input.
    assert sites_by_path(model, x, phase=True, input_gradients=False) == {"b": 2 * b}


def test_a_layer_shows_the_shape_of_its_forward() -> None:
    """The last call of a linear layer in a training step makes a gradient, of another shape."""
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 7))
    rows = count(trace(model, torch.empty(2, 3, device="meta"), backward=True)).layers
    assert [row.output_shape for row in rows if row.path] == [(2, 5), (2, 7)]


def test_a_what_if_leaves_gradients_alone() -> None:
    made = trace(Block(), torch.empty(2, 3, 8, 8, device="meta"), backward=True)
    by_class = count(made, "macs", arithmetic="adder").total.by_class()
    forward = 2 * 64 * 4 * (27 + 4)
    assert by_class == {"mul": 2 * forward, "add": 2 * forward + 2 * forward}


@pytest.mark.parametrize("change", ["adder", "xnor", "shift"])
def test_a_what_if_leaves_the_gradients_of_a_linear_layer_alone(change: str) -> None:
    """x: [2, 4], w: [3, 4]. ∂x = g·w has the parameter as a factor, as the layer has, and stays a product:
    24 sites in the other arithmetic, 2 · 24 that multiply and add."""
    made = trace(nn.Linear(4, 3), torch.empty(2, 4, device="meta"), backward=True)
    counts = count(made, "macs", arithmetic=change)
    layer = {"adder": {"add": 48}, "xnor": {"xnor": 24, "popcount": 24}, "shift": {"shift": 24, "add": 24}}
    expected = OpCounts.sum((OpCounts.of(**layer[change]), OpCounts.of(mul=48, add=48)))
    assert counts.total.by_class() == expected.by_class()


def test_a_loss_among_the_outputs_is_differentiated_alone() -> None:
    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.b(x), "loss": self.a(x).mean()}

    found = sites_by_path(WithLoss(), torch.empty(2, 4, device="meta"), phase=True)
    assert found == {"a": 2 * 32}


def test_nothing_to_differentiate_is_an_error() -> None:
    class Indices(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.argmax(1)

    with pytest.raises(TraceError, match="no gradient"):
        trace(Indices(), torch.empty(2, 4), backward=True)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_model_keeps_no_gradient_and_its_mode(device: str) -> None:
    model = Block().to(device).eval()
    x = torch.zeros(2, 3, 8, 8, device=device)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, x, backward=True)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training and not model.norm.training
    assert not x.requires_grad and x.grad is None
    assert torch.is_grad_enabled()
    if device == "cpu":
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name
