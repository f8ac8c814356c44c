"""Adder layers that add a shortcut in their kernels, against the addition and the ReLU behind the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from addercost.errors import ShapeError
from addercost.kernels import dispatch
from addercost.kernels.store import NO_LIMITS, RELU
from addercost.layers import AdderConv2d, AdderLinear, FusedAdder, convert, fuse
from tests.kernels.geometries import all_but, all_crossed, cases
from tests.layers.test_fuse import modules, with_statistics

LAYOUTS = [torch.contiguous_format, torch.channels_last]

LAYERS = [
    pytest.param(lambda: AdderConv2d(8, 24, 3, padding=1, bias=True), (2, 8, 7, 9), id="3x3"),
    pytest.param(lambda: AdderConv2d(5, 33, 3, stride=2), (1, 5, 9, 8), id="stride"),
    pytest.param(lambda: AdderConv2d(6, 3, 3, padding=1), (2, 6, 5, 20), id="few-filters"),
    pytest.param(lambda: AdderConv2d(9, 20, 1), (1, 9, 8, 16), id="planes"),
    pytest.param(lambda: AdderConv2d(4, 40, 3, padding=1), (3, 4, 4, 3), id="short-rows"),
    pytest.param(lambda: AdderConv2d(4, 17, (3, 1)), (2, 4, 9, 1), id="one-column"),
    pytest.param(lambda: AdderConv2d(8, 16, 3, groups=2), (2, 8, 6, 6), id="groups"),
    pytest.param(lambda: AdderConv2d(8, 8, 3, groups=8), (2, 8, 6, 6), id="depthwise"),
]
FAST = ("3x3", "depthwise")
"""Each form of a kernel takes a second to compile."""


def with_norm(layer: AdderConv2d, relu: bool = False) -> FusedAdder:
    """The layer and a batch norm in one, after which about half of the values are negative."""
    norm = nn.BatchNorm2d(layer.out_channels)
    terms = layer.weight[0].numel()
    norm.running_mean, norm.running_var = (
        torch.full_like(norm.running_mean, -1.1 * terms),
        norm.running_var * terms,
    )
    return FusedAdder(layer.eval(), norm.eval(), RELU if relu else NO_LIMITS)


def outputs_like(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.randn_like(layer(x))


@pytest.mark.parametrize("kernel", ["", "reference"], ids=["kernels", "reference"])
@pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
@pytest.mark.parametrize(
    ("make", "shape", "layout"), all_crossed(all_but(FAST, LAYERS), cases(nchw=LAYOUTS[0], nhwc=LAYOUTS[1]))
)
def test_the_kernel_adds_what_was_added_behind_it(make, shape, layout, relu, kernel, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(dispatch.VARIABLE, kernel)
    plain, x = with_norm(make()), torch.randn(shape).contiguous(memory_format=layout)
    fused = plain.limited(RELU if relu else NO_LIMITS)
    with torch.inference_mode():
        shortcut = outputs_like(plain, x)
        expected = plain(x) + shortcut
        expected = expected.relu() if relu else expected
        if relu:
            assert 0.1 < (expected == 0).float().mean() < 0.9
        for _ in range(2):
            found = fused(x, shortcut)
            assert torch.equal(found, expected)
            assert found.stride() == expected.stride()
        # A shortcut in another layout is copied.
        other = shortcut.contiguous(memory_format=LAYOUTS[layout is LAYOUTS[0]])
        assert torch.equal(fused(x, other), expected)


OTHERS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Any]]] = {
    "one number a channel": (lambda x, out: (x, out[:1, :, :1, :1])),
    "a larger sum": (lambda x, out: (x, torch.stack([out, -out]))),
    "a number": (lambda x, out: (x, 3)),
    "integers": (lambda x, out: (x, out.int())),
    "one image": (lambda x, out: (x[0], out[0])),
    "double": (lambda x, out: (x, out.double())),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_sums_are_computed_behind_the_layer(kind: str) -> None:
    plain, x = with_norm(AdderConv2d(4, 6, 3)), torch.randn(2, 4, 5, 5)
    x, shortcut = OTHERS[kind](x, outputs_like(plain, x))
    expected = (plain(x) + shortcut).relu()
    found = plain.limited(RELU)(x, shortcut)
    assert torch.equal(found, expected) and found.dtype == expected.dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_floats(dtype: torch.dtype) -> None:
    plain, x = FusedAdder(AdderConv2d(4, 6, 3, dtype=dtype)), torch.randn(2, 4, 5, 5).to(dtype)
    shortcut = outputs_like(plain, x) + 20
    assert torch.equal(plain.limited(RELU)(x, shortcut), (plain(x) + shortcut).relu())


def test_nan_and_minus_zero_are_kept() -> None:
    fused, x = FusedAdder(AdderConv2d(4, 16, 1), limits=RELU), torch.randn(1, 4, 3, 3)
    shortcut = torch.full((1, 16, 3, 3), 30.0)
    x[0, 1, 2, 1], shortcut[0, 5, 0, 0] = float("nan"), float("nan")
    out = fused(x, shortcut)
    assert out[0, :, 2, 1].isnan().all() and out[0, 5, 0, 0].isnan()
    assert out.isnan().sum() == 17


class Block(nn.Module):
    """A residual block; `combine` adds the two branches."""

    def __init__(self, combine: Callable[[Block, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.norm, self.relu = AdderConv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.short, self.short_norm = AdderConv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.combine = combine

    def forward(self, x: Tensor) -> Tensor:
        return self.combine(self, x)

    def main(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.layer(x))
        return result


def augmented(self: Block, x: Tensor) -> Tensor:
    out = self.main(x)
    out += x
    return F.relu(out)


def added_to_the_shortcut(self: Block, x: Tensor) -> Tensor:
    short = x.abs()
    out = self.main(x)
    return short.add_(out).relu() + short


def changed_between(self: Block, x: Tensor) -> Tensor:
    short = x.abs()
    out = self.main(x)
    short.mul_(2)
    return out + short


def read_twice(self: Block, x: Tensor) -> Tensor:
    out = self.main(x)
    return out.sigmoid() * (out + x)


SUMS: dict[str, tuple[Callable[[Block, Tensor], Tensor], bool, bool]] = {
    "identity": (lambda self, x: self.relu(self.main(x) + x), True, True),
    "identity first": (lambda self, x: F.relu(x + self.main(x)), True, True),
    "torch.add": (lambda self, x: torch.add(self.main(x), x).relu(), True, True),
    "method": (lambda self, x: self.main(x).add(x), True, False),
    "augmented": (augmented, True, True),
    "in place": (lambda self, x: F.relu_(self.main(x).add_(x)), True, True),
    "two layers": (lambda self, x: self.relu(self.main(x) + self.short_norm(self.short(x))), True, True),
    "added twice": (lambda self, x: (self.main(x) + x) + x, True, False),
    "no ReLU behind the sum": (lambda self, x: F.gelu(self.main(x) + x), True, False),
    "ReLU before the sum": (lambda self, x: self.relu(self.main(x)) + x, False, True),
    "with a factor": (lambda self, x: torch.add(self.main(x), x, alpha=2), False, False),
    "a number": (lambda self, x: self.main(x) + 1, False, False),
    "itself": (lambda self, x: (lambda out: out + out)(self.main(x)), False, False),
    "read twice": (read_twice, False, False),
    "added to the shortcut": (added_to_the_shortcut, False, False),
    "changed between": (changed_between, False, False),
}


@pytest.mark.parametrize("kind", SUMS)
def test_which_sums_a_layer_takes(kind: str) -> None:
    torch.manual_seed(6)
    combine, adds, relu = SUMS[kind]
    model, x = with_statistics(Block(combine)), torch.randn(2, 4, 6, 6)
    fused = fuse(model)
    layer = fused.layer
    assert isinstance(layer, FusedAdder) and (layer.limits == RELU) is relu
    (call,) = (node for node in fused.graph.nodes if node.target == "layer")
    assert len(call.args) == (2 if adds else 1)
    # The same layers with the same factors, without torch.fx.
    for name in ("layer", "short"):
        plain = FusedAdder(getattr(model, name), getattr(model, "norm" if name == "layer" else "short_norm"))
        setattr(model, name, plain)
    model.norm = model.short_norm = nn.Identity()
    assert torch.equal(fused(x.clone()), model(x.clone()))


def test_a_layer_named_like_an_addition_is_no_addition() -> None:
    model = nn.Sequential()
    model.add_module("first", AdderConv2d(3, 4, 1))
    model.add_module("add", nn.Sigmoid())
    fused, x = fuse(model.eval()), torch.randn(1, 3, 4, 4)
    assert torch.equal(fused(x), model(x))


def test_linear_layers_take_no_shortcut() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = AdderLinear(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) + x

    model, x = Sum().eval(), torch.randn(3, 5)
    assert torch.equal(fuse(model)(x), model(x))


def test_networks_of_the_zoo_add_in_their_kernels() -> None:
    from addercost.arithmetic import Arithmetic
    from addercost.models.zoo import ZOO

    model = with_statistics(ZOO["resnet20-cifar"].build(Arithmetic.ADDER))
    fused, x = fuse(model), torch.randn(1, 3, 32, 32)
    calls = [node for node in fused.graph.nodes if len(node.args) == 2 and node.op == "call_module"]
    assert len(calls) == 9 and not modules(fused, nn.BatchNorm2d)
    with torch.no_grad():
        torch.testing.assert_close(fused(x), model(x), rtol=1e-3, atol=1e-3)


def test_convert_adds_in_the_kernel() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.middle, self.last = (nn.Conv2d(4, 4, 1) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            result: Tensor = self.last(F.relu(self.middle(x) + x))
            return result

    net, x = Net().eval(), torch.randn(1, 4, 5, 5)
    fused = convert(net, "adder", fuse=True)
    assert fused.middle.limits == RELU and not [
        node for node in fused.graph.nodes if node.op == "call_function"
    ]
    with torch.no_grad():
        assert torch.equal(fused(x), convert(net, "adder")(x))


def test_a_shortcut_of_another_shape_is_refused() -> None:
    layer = FusedAdder(AdderConv2d(3, 4, 1))
    x = torch.randn(1, 3, 4, 4)
    operator = torch.ops.addercost.adder_conv2d_fused
    place = (x, layer.weight, layer.factors, torch.randn(1, 4, 4, 1), *NO_LIMITS, *layer.geometry)
    for grad in (True, False):
        with torch.set_grad_enabled(grad), pytest.raises(ShapeError, match=r"the shortcut is \(1, 4, 4, 1\)"):
            operator(*place)
