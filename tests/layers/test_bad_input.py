"""What does not fit is refused with a ShapeError that names the sizes, from every device alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from addercost.errors import ArgumentError, ShapeError
from addercost.layers import AdderConv2d, AdderLinear, BinaryConv2d, BinaryLinear, ShiftConv2d, ShiftLinear

X = torch.randn(2, 4, 5, 5)
W = torch.randn(6, 4, 3, 3)
ONE, NONE = [1, 1], [0, 0]

BAD = {
    "channels": ((X, W[:, :3], None, ONE, NONE, ONE, 1), "input has 4 channels"),
    "groups": ((X, W[:5, :2], None, ONE, NONE, ONE, 2), "5 output channels"),
    "rank": ((X[0], W, None, ONE, NONE, ONE, 1), "expected input"),
    "negative-padding": ((X, W, None, ONE, [-1, 0], ONE, 1), "padding must be at least 0"),
    "zero-stride": ((X, W, None, [0, 1], NONE, ONE, 1), "stride must be at least 1"),
    "zero-dilation": ((X, W, None, ONE, NONE, [1, 0], 1), "dilation must be at least 1"),
    "zero-groups": ((X, W, None, ONE, NONE, ONE, 0), "groups must be at least 1"),
    "empty-output": ((X[..., :2], W, None, ONE, NONE, ONE, 1), "output would be empty"),
    "integer-input": ((X.int(), W, None, ONE, NONE, ONE, 1), "the input is int32"),
    "dtype-mismatch": ((X, W.double(), None, ONE, NONE, ONE, 1), "weight is float64"),
    "bias-shape": ((X, W, torch.randn(5), ONE, NONE, ONE, 1), "bias must have shape"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("name", ["adder_conv2d", "binary_conv2d", "shift_conv2d"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_convolutions_refuse(name: str, arguments: Any, message: str, device: str) -> None:
    moved = [a.to(device) if isinstance(a, torch.Tensor) else a for a in arguments]
    with pytest.raises(ShapeError, match=message):
        getattr(torch.ops.addercost, name)(*moved)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        pytest.param(torch.randn(2, 5), "expected input", id="features"),
        pytest.param(torch.tensor(1.0), "expected input", id="scalar"),
        pytest.param(torch.ones(2, 4, dtype=torch.int64), "the input is int64", id="integer"),
    ],
)
@pytest.mark.parametrize("name", ["adder_linear", "binary_linear", "shift_linear"])
def test_linears_refuse(name: str, x: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        getattr(torch.ops.addercost, name)(x, torch.randn(3, 4), None)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((4, 6, 3, 0), id="stride"),
        pytest.param((4, 6, 3, 1, -1), id="padding"),
        pytest.param((4, 6, 0), id="kernel-size"),
        pytest.param((0, 6, 3), id="no-channels"),
        pytest.param((4, 6, 3, 1, 0, 1, 3), id="groups"),
    ],
)
@pytest.mark.parametrize("layer", [AdderConv2d, BinaryConv2d, ShiftConv2d])
def test_constructors_refuse(layer: Any, arguments: Any) -> None:
    with pytest.raises(ShapeError):
        layer(*arguments)


def test_unknown_gradient_is_named() -> None:
    with pytest.raises(ArgumentError, match="'half'"):
        AdderLinear(3, 2, gradient="half")(torch.randn(1, 3))


@pytest.mark.parametrize("kernel", ["reference", ""])
def test_empty_batch_gives_an_empty_output(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDERCOST_KERNEL", kernel)
    for conv in (AdderConv2d, BinaryConv2d, ShiftConv2d):
        layer = conv(4, 6, 3, bias=True)
        out = layer(X[:0])
        assert out.shape == (0, 6, 3, 3)
        out.sum().backward()
        assert not layer.weight.grad.any()
    for linear in (AdderLinear, BinaryLinear, ShiftLinear):
        layer = linear(4, 6, bias=True)
        out = layer(torch.randn(0, 4, requires_grad=True))
        assert out.shape == (0, 6)
        out.sum().backward()
        assert not layer.weight.grad.any()
