"""The shift operators: convolution and linear layer whose weights are rounded to ±2^e, -15 ≤ e ≤ 15, or 0.

The rounding is in the logarithm, sign(w)·2^round(log2|w|), and its gradient is passed straight through to w.
Source: Elhoushi et al., DeepShift, CVPR-W 2021 (the "Q" form).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from addercost.kernels import dispatch
from addercost.kernels.problem import (
    Geometry,
    accumulator,
    convolution_shape,
    empty_output,
    linear_shape,
    rows_as_image,
)
from addercost.layers.ops import library

LARGEST_SHIFT = 15
"""Five bits of signed shift amount beside the sign of the weight."""


def power_of_two(weight: Tensor) -> Tensor:
    """Each weight as sign(w)·2^e, e the nearest within ±LARGEST_SHIFT; 0 stays 0 and NaN stays NaN."""
    # Half precision would round the logarithm before it is rounded to an integer.
    exponent = weight.abs().to(accumulator(weight.dtype)).log2().round()
    power = exponent.clamp_(-LARGEST_SHIFT, LARGEST_SHIFT).exp2().to(weight.dtype)
    return power.mul_(torch.sign(weight)).masked_fill_(weight.isnan(), float("nan"))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    geometry = Geometry.of(stride, padding, dilation, groups)
    convolution_shape(input, weight, bias, geometry)
    output = dispatch.shift_forward(input, power_of_two(weight), geometry)
    return output if bias is None else output.add_(bias[:, None, None])


def _conv2d_fake(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    geometry = Geometry.of(stride, padding, dilation, groups)
    return empty_output(input, convolution_shape(input, weight, bias, geometry))


def _conv2d_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, bias, *ctx.geometry = inputs
    ctx.save_for_backward(input, weight)
    ctx.has_bias = bias is not None


def _conv2d_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    for_input, for_weight, for_bias = ctx.needs_input_grad[:3]
    stride, padding, dilation, groups = ctx.geometry
    grad_input, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad,
        input,
        power_of_two(weight),
        None,
        stride,
        padding,
        dilation,
        False,
        [0, 0],
        groups,
        [for_input, for_weight, False],
    )
    grad_bias = grad.sum((0, 2, 3)) if for_bias and ctx.has_bias else None
    return grad_input, grad_weight, grad_bias, *(None,) * 4


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    shape = linear_shape(input, weight, bias)
    if input.numel() == 0:
        return input.new_zeros(shape)
    image = rows_as_image(input.reshape(-1, input.shape[-1]))
    output = dispatch.shift_forward(image, power_of_two(weight)[:, :, None, None], Geometry())
    if bias is not None:
        output.add_(bias[:, None, None])
    return output[0, :, 0].t().reshape(shape).contiguous()


def _linear_fake(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return input.new_empty(linear_shape(input, weight, bias))


def _linear_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, bias = inputs
    ctx.save_for_backward(input, weight)
    ctx.has_bias = bias is not None


def _linear_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    for_input, for_weight, for_bias = ctx.needs_input_grad[:3]
    rows, inputs = grad.reshape(-1, grad.shape[-1]), input.reshape(-1, input.shape[-1])
    return (
        (rows @ power_of_two(weight)).reshape(input.shape) if for_input else None,
        rows.t() @ inputs if for_weight else None,
        rows.sum(0) if for_bias and ctx.has_bias else None,
    )


conv2d = library.define(
    "shift_conv2d",
    f"Tensor input, Tensor weight, Tensor? bias, {library.GEOMETRY}",
    _conv2d,
    _conv2d_fake,
    save=_conv2d_save,
    backward=_conv2d_backward,
)
linear = library.define(
    "shift_linear",
    "Tensor input, Tensor weight, Tensor? bias",
    _linear,
    _linear_fake,
    save=_linear_save,
    backward=_linear_backward,
    rows=True,
)
