"""Binary and shift gradients, written out: the straight-through estimators on a dense problem."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.layers import BinaryConv2d, BinaryLinear, ShiftConv2d, ShiftLinear


class StraightThroughSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return torch.where(x < 0, -1.0, 1.0)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def,override]
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


def scaled_sign(weight: Tensor) -> Tensor:
    alpha = weight.abs().flatten(1).mean(1).reshape(-1, *(1,) * (weight.dim() - 1))
    return alpha * StraightThroughSign.apply(weight)


def round_straight_through(weight: Tensor) -> Tensor:
    rounded = weight.sign() * weight.abs().log2().round().exp2()
    return weight + (rounded - weight).detach()


@pytest.mark.parametrize("padding", [0, 1], ids=["valid", "padded"])
@pytest.mark.parametrize("groups", [1, 2], ids=["dense", "groups"])
def test_binary_conv2d_gradients_match_autograd_through_the_estimator(padding: int, groups: int) -> None:
    layer = BinaryConv2d(4, 6, 3, stride=2, padding=padding, groups=groups, bias=True)
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(3, 4, 7, 6, requires_grad=True)
    signs = F.pad(StraightThroughSign.apply(x), (padding,) * 4, value=1.0)
    expected = F.conv2d(signs, scaled_sign(layer.weight), layer.bias, stride=2, groups=groups)
    _same_values_and_gradients(layer, x, expected)


def test_binary_linear_gradients_match_autograd_through_the_estimator() -> None:
    layer = BinaryLinear(9, 5, bias=True)
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(2, 3, 9, requires_grad=True)
    expected = F.linear(StraightThroughSign.apply(x), scaled_sign(layer.weight), layer.bias)
    _same_values_and_gradients(layer, x, expected)


def test_shift_gradients_pass_through_the_rounding() -> None:
    conv = ShiftConv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=True)
    x = torch.randn(3, 4, 7, 6, requires_grad=True)
    weight = round_straight_through(conv.weight)
    expected = F.conv2d(x, weight, conv.bias, stride=2, padding=1, groups=2)
    _same_values_and_gradients(conv, x, expected)
    linear = ShiftLinear(9, 5, bias=True)
    rows = torch.randn(2, 3, 9, requires_grad=True)
    expected = F.linear(rows, round_straight_through(linear.weight), linear.bias)
    _same_values_and_gradients(linear, rows, expected)


BEYOND = 1 + 2.0**-23
"""The next fp32 number above 1."""


def test_gradients_of_signs_pass_up_to_and_at_one() -> None:
    layer = BinaryLinear(6, 1)
    x = torch.tensor([[-1.0, 1.0, 0.5, -BEYOND, BEYOND, 3.0]], requires_grad=True)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0, -0.5, BEYOND, -BEYOND, 2.0]]))
    layer(x).sum().backward()
    alpha = (1 + 1 + 0.5 + 2 * BEYOND + 2) / 6
    sign_x, sign_w = torch.tensor([[-1.0, 1, 1, -1, 1, 1]]), torch.tensor([[1.0, -1, -1, 1, -1, 1]])
    # ∂sign(v)/∂v is 1 where |v| ≤ 1 and 0 elsewhere. Source: Rastegari et al., ECCV 2016, section 3.1.
    passes = torch.tensor([[1.0, 1, 1, 0, 0, 0]])
    assert x.grad is not None and layer.weight.grad is not None
    torch.testing.assert_close(x.grad, alpha * sign_w * passes)
    # The weight has α's share as well: Σ sign(x)·sign(w) / 6 times its own sign.
    share = (sign_x * sign_w).sum() / 6
    torch.testing.assert_close(layer.weight.grad, alpha * sign_x * passes + share * sign_w)


def _same_values_and_gradients(layer: torch.nn.Module, x: Tensor, expected: Tensor) -> None:
    grad = torch.randn_like(expected)
    inputs = (x, *layer.parameters())
    out = layer(x)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad(out, inputs, grad)
    for mine, theirs in zip(ours, torch.autograd.grad(expected, inputs, grad), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
