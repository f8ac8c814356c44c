"""What the arithmetics share: a convolution and a linear layer as a pair of operators.

An arithmetic provides the sum itself and its gradients, as those of a convolution. Everything else is the
same for all: checks, bias, shapes without data, autograd, and the linear layer, which is a 1×1 convolution
over a row of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from addercost.kernels import dispatch
from addercost.kernels.problem import (
    Geometry,
    convolution_shape,
    empty_output,
    linear_shape,
    rows_as_image,
)
from addercost.kernels.ready import Call, Ready, without_data
from addercost.layers.ops import library

Gradients = tuple[Tensor | None, Tensor | None]
"""The gradients of input and weight; None for one that is not needed."""


def no_options() -> None:
    """The check of an arithmetic that has no options."""


def define_pair(
    name: str,
    convolve: Callable[..., Tensor],
    gradients: Callable[..., Gradients],
    check: Callable[..., None] = no_options,
    options: str = "",
    operation: str = "",
) -> tuple[Any, Any]:
    """Defines `addercost::{name}_conv2d` and `addercost::{name}_linear` and returns functions that call them.

    convolve(input, weight, geometry, *options): returns a new [N, K, P, Q] without the bias. gradients(grad,
    input, weight, geometry arguments, needed, *options): returns those of input and weight; `needed` says
    which of the two are wanted. check(*options): raises for invalid options. options: the last arguments of
    the schema. operation: the name by which `kernels.dispatch` prepares it; "" where it does not.
    """

    def checked(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> tuple[Geometry, list[int]]:
        check(*rest[4:])
        geometry = Geometry.of(*rest[:4])
        return geometry, convolution_shape(input, weight, bias, geometry)

    def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
        geometry, _ = checked(input, weight, bias, *rest)
        return _add_bias(convolve(input, weight, geometry, *rest[4:]), bias)

    def direct_conv2d(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
        tensors, place = (input, weight, bias), (Geometry.of(*rest[:4]), rest[4:])
        output = dispatch.run_as_prepared(operation, ready_conv2d, tensors, (input, weight), *place)
        return conv2d(input, weight, bias, *rest) if output is None else _add_bias(output, bias)

    @lru_cache(maxsize=4096)
    def ready_conv2d(*likes: Any) -> Call | None:
        """The prepared convolution for operands whose sizes, strides and types are `likes`; None where there
        is none. Raises as `conv2d` does.
        """
        input, weight, bias = without_data(likes[:9])
        geometry, chosen = likes[9:11]
        check(*chosen)
        convolution_shape(input, weight, bias, geometry)
        return dispatch.ready(operation, input, weight, geometry)

    def conv2d_fake(input: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
        return empty_output(input, checked(input, weight, bias, *rest)[1])

    def conv2d_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        input, weight = ctx.saved_tensors
        place, chosen = ctx.rest[:4], ctx.rest[4:]
        for_input, for_weight = gradients(grad, input, weight, place, ctx.needs_input_grad[:2], *chosen)
        for_bias = grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return for_input, for_weight, for_bias, *(None,) * len(ctx.rest)

    def linear(input: Tensor, weight: Tensor, bias: Tensor | None, *chosen: Any) -> Tensor:
        check(*chosen)
        shape = linear_shape(input, weight, bias)
        if input.numel() == 0:
            return input.new_zeros(shape)
        image = rows_as_image(input.reshape(-1, input.shape[-1]))
        output = _add_bias(convolve(image, weight[:, :, None, None], Geometry(), *chosen), bias)
        return output.permute(0, 2, 3, 1).reshape(shape).contiguous()

    def direct_linear(input: Tensor, weight: Tensor, bias: Tensor | None, *chosen: Any) -> Tensor:
        tensors = input, weight, bias
        output = dispatch.run_as_prepared(operation, ready_linear, tensors, (input, weight), chosen)
        if output is None:
            return linear(input, weight, bias, *chosen)
        return output if bias is None else output.add_(bias)

    @lru_cache(maxsize=4096)
    def ready_linear(*likes: Any) -> Call | None:
        input, weight, bias = without_data(likes[:9])
        check(*likes[9])
        shape = linear_shape(input, weight, bias)
        if not (input.is_contiguous() and input.numel()):
            return None
        image = rows_as_image(input.reshape(-1, input.shape[-1]))
        made = dispatch.ready(operation, image, weight[:, :, None, None], Geometry())
        if not isinstance(made, Ready) or not (
            made.layout == torch.channels_last or 1 in (image.shape[3], shape[-1])
        ):
            return None
        # The outputs of a row are neighbours in memory, as they are in the linear layer's output.
        return made._replace(shape=tuple(shape), layout=torch.contiguous_format)

    def linear_fake(input: Tensor, weight: Tensor, bias: Tensor | None, *chosen: Any) -> Tensor:
        check(*chosen)
        return input.new_empty(linear_shape(input, weight, bias))

    def linear_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        input, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        none = (None,) * len(ctx.rest)
        rows = grad.reshape(-1, grad.shape[-1])
        if rows.shape[0] == 0:
            return (
                torch.zeros_like(input),
                torch.zeros_like(weight),
                rows.sum(0) if needed[2] else None,
                *none,
            )
        image = rows_as_image(input.reshape(-1, input.shape[-1]))
        for_input, for_weight = gradients(
            rows_as_image(rows), image, weight[:, :, None, None], _PLAIN, needed[:2], *ctx.rest
        )
        return (
            None if for_input is None else for_input[0, :, 0].t().reshape(input.shape),
            None if for_weight is None else for_weight[:, :, 0, 0],
            rows.sum(0) if needed[2] else None,
            *none,
        )

    tensors = "Tensor input, Tensor weight, Tensor? bias"
    return (
        library.define(
            f"{name}_conv2d",
            f"{tensors}, {library.GEOMETRY}{options}",
            conv2d,
            conv2d_fake,
            save=_save,
            backward=conv2d_backward,
            direct=direct_conv2d if operation else None,
        ),
        library.define(
            f"{name}_linear",
            f"{tensors}{options}",
            linear,
            linear_fake,
            save=_save,
            backward=linear_backward,
            rows=True,
            direct=direct_linear if operation else None,
        ),
    )


def product_gradients(
    grad: Tensor, input: Tensor, weight: Tensor, place: Sequence[Any], needed: Sequence[bool]
) -> Gradients:
    """The gradients of an ordinary convolution, computed by torch."""
    stride, padding, dilation, groups = place
    for_input, for_weight, _ = torch.ops.aten.convolution_backward(
        grad, input, weight, None, stride, padding, dilation, False, [0, 0], groups, [*needed, False]
    )
    return for_input, for_weight


_PLAIN = ([1, 1], [0, 0], [1, 1], 1)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, weight, _, *ctx.rest = inputs
    ctx.save_for_backward(input, weight)


def _add_bias(output: Tensor, bias: Tensor | None) -> Tensor:
    return output if bias is None else output.add_(bias[:, None, None])
