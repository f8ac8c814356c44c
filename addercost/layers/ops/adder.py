"""The adder operators: L1 convolution and linear layer with AdderNet's gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.errors import ArgumentError
from addercost.kernels import dispatch
from addercost.kernels.problem import (
    Geometry,
    convolution_shape,
    empty_output,
    linear_shape,
    rows_as_image,
)
from addercost.layers.ops import library

GRADIENTS = ("full", "sign")
"""AdderNet's gradients (weight: x - w, input: HardTanh(w - x)), or the true derivative's signs for both."""


def _check_gradient(gradient: str) -> None:
    if gradient not in GRADIENTS:
        raise ArgumentError(f"unknown adder gradient {gradient!r}", f"known: {', '.join(GRADIENTS)}")


def _add_bias(output: Tensor, bias: Tensor | None) -> Tensor:
    return output if bias is None else output.add_(bias[:, None, None])


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    gradient: str = "full",
) -> Tensor:
    _check_gradient(gradient)
    geometry = Geometry.of(stride, padding, dilation, groups)
    convolution_shape(input, weight, bias, geometry)
    return _add_bias(dispatch.adder_forward(input, weight, geometry), bias)


def _conv2d_fake(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    gradient: str = "full",
) -> Tensor:
    _check_gradient(gradient)
    geometry = Geometry.of(stride, padding, dilation, groups)
    return empty_output(input, convolution_shape(input, weight, bias, geometry))


def _conv2d_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, bias, *ctx.geometry, ctx.gradient = inputs
    ctx.save_for_backward(input, weight)
    ctx.has_bias = bias is not None


def _conv2d_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    for_input, for_weight, for_bias = ctx.needs_input_grad[:3]
    arguments = (grad, input, weight, *ctx.geometry, ctx.gradient)
    return (
        conv2d_input_gradient(*arguments) if for_input else None,
        conv2d_weight_gradient(*arguments) if for_weight else None,
        grad.sum((0, 2, 3)) if for_bias and ctx.has_bias else None,
        *(None,) * 5,
    )


def _conv2d_input_gradient(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    gradient: str,
) -> Tensor:
    geometry = Geometry.of(stride, padding, dilation, groups)
    return dispatch.adder_input_gradient(grad, input, weight, geometry, gradient)


def _conv2d_weight_gradient(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    gradient: str,
) -> Tensor:
    geometry = Geometry.of(stride, padding, dilation, groups)
    return dispatch.adder_weight_gradient(grad, input, weight, geometry, gradient)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None, gradient: str = "full") -> Tensor:
    _check_gradient(gradient)
    shape = linear_shape(input, weight, bias)
    if input.numel() == 0:
        return input.new_zeros(shape)
    image = rows_as_image(input.reshape(-1, input.shape[-1]))
    output = dispatch.adder_forward(image, weight[:, :, None, None], Geometry())
    rows = _add_bias(output, bias)[0, :, 0].t()
    return rows.reshape(shape).contiguous()


def _linear_fake(input: Tensor, weight: Tensor, bias: Tensor | None, gradient: str = "full") -> Tensor:
    _check_gradient(gradient)
    return input.new_empty(linear_shape(input, weight, bias))


def _linear_save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, bias, ctx.gradient = inputs
    ctx.save_for_backward(input, weight)
    ctx.has_bias = bias is not None


def _linear_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    for_input, for_weight, for_bias = ctx.needs_input_grad[:3]
    rows = grad.reshape(-1, grad.shape[-1])
    if rows.shape[0] == 0:
        return torch.zeros_like(input), torch.zeros_like(weight), rows.sum(0), None
    image = rows_as_image(input.reshape(-1, input.shape[-1]))
    filters = weight[:, :, None, None]
    arguments = (rows_as_image(rows), image, filters, [1, 1], [0, 0], [1, 1], 1, ctx.gradient)
    grad_input = grad_weight = None
    if for_input:
        grad_input = conv2d_input_gradient(*arguments)[0, :, 0].t().reshape(input.shape)
    if for_weight:
        grad_weight = conv2d_weight_gradient(*arguments)[:, :, 0, 0]
    return grad_input, grad_weight, rows.sum(0) if for_bias and ctx.has_bias else None, None


def _conv2d_u8(
    input: Tensor,
    weight: Tensor,
    pad_value: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """-Σ|x - w| over bytes in int32, a padded tap having x = pad_value."""
    geometry = Geometry.of(stride, padding, dilation, groups)
    convolution_shape(input, weight, None, geometry, torch.uint8)
    if pad_value and padding != [0, 0]:
        (vertical, horizontal) = padding
        input = F.pad(input, (horizontal, horizontal, vertical, vertical), value=pad_value)
        geometry = replace(geometry, padding=(0, 0))
    return dispatch.adder_u8_forward(input, weight, geometry)


def _conv2d_u8_fake(
    input: Tensor,
    weight: Tensor,
    pad_value: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    geometry = Geometry.of(stride, padding, dilation, groups)
    shape = convolution_shape(input, weight, None, geometry, torch.uint8)
    return empty_output(input, shape, torch.int32)


conv2d_u8 = library.define(
    "adder_conv2d_u8",
    f"Tensor input, Tensor weight, int pad_value, {library.GEOMETRY}",
    _conv2d_u8,
    _conv2d_u8_fake,
)

_GRADIENT_ARGUMENTS = f"Tensor grad, Tensor input, Tensor weight, {library.GEOMETRY}, str gradient"

conv2d_input_gradient = library.define(
    "adder_conv2d_input_gradient",
    _GRADIENT_ARGUMENTS,
    _conv2d_input_gradient,
    lambda grad, input, weight, *_: empty_output(input, list(input.shape)),
)
conv2d_weight_gradient = library.define(
    "adder_conv2d_weight_gradient",
    _GRADIENT_ARGUMENTS,
    _conv2d_weight_gradient,
    lambda grad, input, weight, *_: torch.empty_like(weight, memory_format=torch.contiguous_format),
)
for _name in ("adder_conv2d_input_gradient", "adder_conv2d_weight_gradient"):
    library.refuse_second_derivative(_name)
conv2d = library.define(
    "adder_conv2d",
    f'Tensor input, Tensor weight, Tensor? bias, {library.GEOMETRY}, str gradient="full"',
    _conv2d,
    _conv2d_fake,
    save=_conv2d_save,
    backward=_conv2d_backward,
)
linear = library.define(
    "adder_linear",
    'Tensor input, Tensor weight, Tensor? bias, str gradient="full"',
    _linear,
    _linear_fake,
    save=_linear_save,
    backward=_linear_backward,
    rows=True,
)
