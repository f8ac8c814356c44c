"""The binary operators: XNOR-Net's α_k · Σ sign(x)·sign(w), with straight-through gradients.

sign(0) is +1, so a tap in the zero padding is +1 as well and contributes sign(w): every tap is one bit and
the kernels need no mask. Implementations that let padded taps contribute nothing differ at the border.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels import dispatch
from addercost.kernels.problem import (
    Geometry,
    convolution_shape,
    empty_output,
    linear_shape,
    rows_as_image,
)
from addercost.kernels.reference import binary_sign
from addercost.layers.ops import library


def filter_scale(weight: Tensor) -> Tensor:
    """α_k = mean of |w| over filter k, shape [K]. Source: Rastegari et al., ECCV 2016, eq. 6."""
    return weight.flatten(1).abs().mean(1)


def _scale_and_bias(output: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    output.mul_(filter_scale(weight)[:, None, None])
    return output if bias is None else output.add_(bias[:, None, None])


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
    return _scale_and_bias(dispatch.binary_forward(input, weight, geometry), weight, bias)


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
    stride, (vertical, horizontal), dilation, groups = ctx.geometry
    scaled = binary_sign(weight) * filter_scale(weight)[:, None, None, None]
    padded = F.pad(binary_sign(input), (horizontal, horizontal, vertical, vertical), value=1.0)
    grad_input, grad_scaled, _ = torch.ops.aten.convolution_backward(
        grad,
        padded,
        scaled,
        None,
        stride,
        [0, 0],
        dilation,
        False,
        [0, 0],
        groups,
        [for_input, for_weight, False],
    )
    if for_input:
        height, width = input.shape[2:]
        inside = grad_input[:, :, vertical : vertical + height, horizontal : horizontal + width]
        grad_input = _straight_through(inside, input)
    grad_weight = _weight_gradient(grad_scaled, weight) if for_weight else None
    grad_bias = grad.sum((0, 2, 3)) if for_bias and ctx.has_bias else None
    return grad_input, grad_weight, grad_bias, *(None,) * 4


def _straight_through(grad: Tensor, value: Tensor) -> Tensor:
    """∂sign(v)/∂v taken as 1 on [-1, 1] and 0 outside."""
    return grad * (value.abs() <= 1)


def _weight_gradient(grad_scaled: Tensor, weight: Tensor) -> Tensor:
    """Through α·sign(w): the straight-through part plus the share of α in every weight of the filter."""
    sign = binary_sign(weight)
    through_scale = (grad_scaled * sign).flatten(1).mean(1).reshape(-1, *(1,) * (weight.dim() - 1))
    scale = filter_scale(weight).reshape(through_scale.shape)
    return _straight_through(grad_scaled, weight) * scale + through_scale * torch.sign(weight)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    shape = linear_shape(input, weight, bias)
    if input.numel() == 0:
        return input.new_zeros(shape)
    image = rows_as_image(input.reshape(-1, input.shape[-1]))
    output = dispatch.binary_forward(image, weight[:, :, None, None], Geometry())
    return _scale_and_bias(output, weight, bias)[0, :, 0].t().reshape(shape).contiguous()


def _linear_fake(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return input.new_empty(linear_shape(input, weight, bias))


def _linear_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, bias = inputs
    ctx.save_for_backward(input, weight)
    ctx.has_bias = bias is not None


def _linear_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    for_input, for_weight, for_bias = ctx.needs_input_grad[:3]
    sign = binary_sign(weight)
    rows, inputs = grad.reshape(-1, grad.shape[-1]), input.reshape(-1, input.shape[-1])
    grad_input = grad_weight = None
    if for_input:
        scaled = sign * filter_scale(weight)[:, None]
        grad_input = _straight_through(rows @ scaled, inputs).reshape(input.shape)
    if for_weight:
        grad_weight = _weight_gradient(rows.t() @ binary_sign(inputs), weight)
    return grad_input, grad_weight, rows.sum(0) if for_bias and ctx.has_bias else None


conv2d = library.define(
    "binary_conv2d",
    f"Tensor input, Tensor weight, Tensor? bias, {library.GEOMETRY}",
    _conv2d,
    _conv2d_fake,
    save=_conv2d_save,
    backward=_conv2d_backward,
)
linear = library.define(
    "binary_linear",
    "Tensor input, Tensor weight, Tensor? bias",
    _linear,
    _linear_fake,
    save=_linear_save,
    backward=_linear_backward,
    rows=True,
)
