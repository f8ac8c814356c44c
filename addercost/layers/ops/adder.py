"""The adder operators: L1 convolution and linear layer, with AdderNet's gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.errors import ArgumentError, ShapeError
from addercost.kernels import dispatch
from addercost.kernels.problem import Geometry, convolution_shape, empty_output, output_shape
from addercost.kernels.ready import Call, like, without_data
from addercost.layers.ops import library
from addercost.layers.ops.pair import Gradients, define_pair

GRADIENTS = ("full", "sign")
""""full": AdderNet's gradients (weight: x - w, input: HardTanh(w - x)). "sign": the signs of the true
derivatives.
"""


def _check_gradient(gradient: str = "full") -> None:
    if gradient not in GRADIENTS:
        raise ArgumentError(f"unknown adder gradient {gradient!r}", f"known: {', '.join(GRADIENTS)}")


def _convolve(input: Tensor, weight: Tensor, geometry: Geometry, gradient: str = "full") -> Tensor:
    return dispatch.adder_forward(input, weight, geometry)


def _gradients(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    place: Sequence[Any],
    needed: Sequence[bool],
    gradient: str = "full",
) -> Gradients:
    if 0 in grad.stride():
        # The gradient of a sum is one number, expanded to a shape. It is copied once here; otherwise both
        # gradients would copy it.
        grad = empty_output(input, list(grad.shape), grad.dtype).copy_(grad)
    arguments = (grad, input, weight, *place, gradient)
    return (
        conv2d_input_gradient(*arguments) if needed[0] else None,
        conv2d_weight_gradient(*arguments) if needed[1] else None,
    )


def _with_geometry(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The gradient `kernel`, changed to take an operator's arguments instead of a `Geometry`."""

    def run(grad: Tensor, input: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        return kernel(grad, input, weight, Geometry.of(*rest[:4]), rest[4])

    return run


def _conv2d_u8(
    input: Tensor,
    weight: Tensor,
    pad_value: int,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """-Σ|x - w| over bytes, in int32. A padded tap has x = pad_value."""
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


def _quantized_shape(
    input: Tensor, weight: Tensor, bias: Tensor | None, place: Sequence[Any]
) -> tuple[Geometry, list[int]]:
    geometry = Geometry.of(*place)
    shape = output_shape(input, tuple(weight.shape), geometry)
    if not input.is_floating_point() or weight.dtype != torch.uint8:
        raise ShapeError(f"expected a float input and a uint8 weight, got {input.dtype} and {weight.dtype}")
    if bias is not None and bias.shape != (shape[1],):
        raise ShapeError(f"bias must have shape ({shape[1]},), got {tuple(bias.shape)}")
    return geometry, shape


def _conv2d_quantized(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, *place: Any
) -> Tensor:
    """-scale · Σ|q(x) - w| (+ bias), where q(x) are the byte codes of a float input. A padded tap is
    `zero`.
    """
    geometry, shape = _quantized_shape(input, weight, bias, place)
    if input.numel() == 0:
        return empty_output(input, shape)
    return dispatch.adder_quantized_forward(input, weight, scale, bias, zero, geometry)


def _direct_quantized(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, *place: Any
) -> Tensor:
    operation, checked = "adder_quantized_forward", (input, weight, scale)
    operands = checked if bias is None else (*checked, bias)
    made = dispatch.run_as_prepared(
        operation, _ready_quantized, checked, operands, zero, Geometry.of(*place), like(bias)
    )
    return _conv2d_quantized(*checked, bias, zero, *place) if made is None else made


@lru_cache(maxsize=4096)
def _ready_quantized(*likes: Any) -> Call | None:
    """The prepared convolution for operands whose sizes, strides and types are `likes`; None where there is
    none. Raises as `_conv2d_quantized` does.
    """
    zero, geometry, of_bias = likes[9:12]
    input, weight, scale, bias = without_data((*likes[:9], *of_bias))
    place = geometry.stride, geometry.padding, geometry.dilation, geometry.groups
    _quantized_shape(input, weight, bias, place)
    return dispatch.ready("adder_quantized_forward", input, weight, scale, bias, zero, geometry)


def _conv2d_quantized_fake(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, *place: Any
) -> Tensor:
    return empty_output(input, _quantized_shape(input, weight, bias, place)[1])


conv2d_quantized = library.define(
    "adder_conv2d_quantized",
    f"Tensor input, Tensor weight, Tensor scale, Tensor? bias, int zero, {library.GEOMETRY}",
    _conv2d_quantized,
    _conv2d_quantized_fake,
    direct=_direct_quantized,
)

_GRADIENT_ARGUMENTS = f"Tensor grad, Tensor input, Tensor weight, {library.GEOMETRY}, str gradient"

conv2d_input_gradient = library.define(
    "adder_conv2d_input_gradient",
    _GRADIENT_ARGUMENTS,
    _with_geometry(dispatch.adder_input_gradient),
    lambda grad, input, weight, *_: empty_output(input, list(input.shape)),
)
conv2d_weight_gradient = library.define(
    "adder_conv2d_weight_gradient",
    _GRADIENT_ARGUMENTS,
    _with_geometry(dispatch.adder_weight_gradient),
    lambda grad, input, weight, *_: torch.empty_like(weight, memory_format=torch.contiguous_format),
)
for _name in ("adder_conv2d_input_gradient", "adder_conv2d_weight_gradient"):
    library.refuse_second_derivative(_name)
conv2d, linear = define_pair(
    "adder", _convolve, _gradients, _check_gradient, ', str gradient="full"', "adder_forward"
)
