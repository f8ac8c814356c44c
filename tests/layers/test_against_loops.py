"""Every layer and both adder gradients against plain loops, over the geometries that break kernels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from addercost.layers import AdderConv2d, AdderLinear, BinaryConv2d, BinaryLinear, ShiftConv2d, ShiftLinear
from tests.layers import oracle

GEOMETRIES = [
    pytest.param((1, 3, 1, 1, 1, 1), {}, id="one-pixel"),
    pytest.param((1, 1, 5, 4, 3, 3), {"padding": 1}, id="one-channel"),
    pytest.param((3, 5, 6, 7, 4, 3), {"padding": 1}, id="odd-batch-crs-45", marks=pytest.mark.exhaustive),
    pytest.param((2, 3, 7, 8, 5, 3), {"stride": 2, "padding": 1}, id="stride-2"),
    pytest.param((1, 2, 9, 8, 3, 2), {"stride": 3}, id="stride-3"),
    pytest.param((2, 2, 8, 8, 3, (3, 1)), {"stride": (1, 2), "padding": (2, 0)}, id="unequal-pairs"),
    pytest.param((1, 2, 8, 9, 3, 3), {"dilation": 2, "padding": 2}, id="dilation"),
    pytest.param((2, 4, 5, 5, 6, 3), {"groups": 2, "padding": 1}, id="groups"),
    pytest.param((1, 4, 5, 5, 4, 3), {"groups": 4, "stride": 2}, id="depthwise"),
    pytest.param((2, 16, 4, 4, 17, 1), {}, id="1x1-17-filters", marks=pytest.mark.exhaustive),
]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def geometry(options: dict[str, Any]) -> dict[str, Any]:
    known = {"stride": 1, "padding": 0, "dilation": 1} | options
    return {name: pair(value) if name != "groups" else value for name, value in known.items()}


def sign(v: float) -> float:
    return -1.0 if v < 0 else 1.0


def derivative_sign(v: float) -> float:
    return float(v > 0) - float(v < 0)


def two_power(w: float) -> float:
    """Shifts are of five bits with a sign: 2⁻¹⁵ is the smallest power."""
    return math.copysign(2.0 ** max(round(math.log2(abs(w))), -15), w)


@pytest.mark.parametrize(("shape", "options"), GEOMETRIES)
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
def test_adder_conv2d_is_the_negative_l1_distance(
    shape: tuple[Any, ...], options: dict[str, Any], bias: bool
) -> None:
    n, c, h, w, k, kernel = shape
    layer = AdderConv2d(c, k, kernel, bias=bias, **options)
    if layer.bias is not None:
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(n, c, h, w)
    expected = oracle.convolution(x, layer.weight, lambda a, b: -abs(a - b), **geometry(options))
    if layer.bias is not None:
        expected += layer.bias.double()[:, None, None]
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("shape", "options"), GEOMETRIES)
@pytest.mark.parametrize("gradient", ["full", "sign"])
def test_adder_gradients_are_the_papers(
    shape: tuple[Any, ...], options: dict[str, Any], gradient: str
) -> None:
    n, c, h, w, k, kernel = shape
    layer = AdderConv2d(c, k, kernel, gradient=gradient, bias=True, **options)
    x = torch.randn(n, c, h, w, requires_grad=True)
    out = layer(x)
    grad = torch.randn_like(out)
    out.backward(grad)
    if gradient == "full":
        slopes = (lambda a, b: max(-1.0, min(1.0, b - a)), lambda a, b: a - b)
    else:
        slopes = (lambda a, b: derivative_sign(b - a), lambda a, b: derivative_sign(a - b))
    for_x, for_w = oracle.gradients(grad, x, layer.weight, *slopes, **geometry(options))
    assert x.grad is not None and layer.weight.grad is not None and layer.bias is not None
    torch.testing.assert_close(x.grad.double(), for_x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.weight.grad.double(), for_w, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.bias.grad, grad.sum((0, 2, 3)))


@pytest.mark.parametrize(("shape", "options"), GEOMETRIES)
def test_binary_conv2d_scales_sums_of_sign_products(shape: tuple[Any, ...], options: dict[str, Any]) -> None:
    n, c, h, w, k, kernel = shape
    layer = BinaryConv2d(c, k, kernel, **options)
    x = torch.randn(n, c, h, w)
    x[..., 0] = 0.0
    expected = oracle.convolution(x, layer.weight, lambda a, b: sign(a) * sign(b), **geometry(options))
    expected *= layer.weight.double().abs().mean((1, 2, 3))[:, None, None]
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "options"), GEOMETRIES)
def test_shift_conv2d_multiplies_by_the_nearest_power_of_two(
    shape: tuple[Any, ...], options: dict[str, Any]
) -> None:
    n, c, h, w, k, kernel = shape
    layer = ShiftConv2d(c, k, kernel, **options)
    x = torch.randn(n, c, h, w)
    expected = oracle.convolution(x, layer.weight, lambda a, b: a * two_power(b), **geometry(options))
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer_type", "site"),
    [
        pytest.param(AdderLinear, lambda a, b: -abs(a - b), id="adder"),
        pytest.param(BinaryLinear, lambda a, b: sign(a) * sign(b), id="binary"),
        pytest.param(ShiftLinear, lambda a, b: a * two_power(b), id="shift"),
    ],
)
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=["vector", "matrix", "batched"])
def test_linear_layers_are_1x1_convolutions(layer_type: Any, site: Any, leading: tuple[int, ...]) -> None:
    layer = layer_type(7, 5, bias=True)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(*leading, 7)
    expected = oracle.convolution(x.reshape(-1, 7, 1, 1), layer.weight[:, :, None, None], site)
    scale = layer.weight.double().abs().mean(1) if layer_type is BinaryLinear else torch.ones(5)
    expected = (expected.flatten(1) * scale + layer.bias.double()).reshape(*leading, 5)
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gradient", ["full", "sign"])
def test_adder_linear_gradients(gradient: str) -> None:
    layer = AdderLinear(6, 4, bias=True, gradient=gradient)
    x = torch.randn(2, 3, 6, requires_grad=True)
    out = layer(x)
    grad = torch.randn_like(out)
    out.backward(grad)
    difference = layer.weight - x[..., None, :]
    g = grad[..., None]
    slope = difference.sign() if gradient == "sign" else difference.clamp(-1, 1)
    pull = difference.sign() if gradient == "sign" else difference
    torch.testing.assert_close(x.grad, (g * slope).sum(-2), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.weight.grad, -(g * pull).sum((0, 1)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.bias.grad, grad.sum((0, 1)))
