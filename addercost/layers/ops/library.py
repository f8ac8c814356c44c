"""Registers an operator with its rules for shapes without data, autograd, autocast and vmap.

`torch.library.custom_op` would do the same. This uses the functions that it is built on, because the wrapper
imports `torch._dynamo` at its first call, which takes over a second, and costs more at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from addercost.layers.ops.direct import nothing_between

_LIBRARY = torch.library.Library("addercost", "FRAGMENT")

GEOMETRY = "int[2] stride, int[2] padding, int[2] dilation, int groups"


def define(
    name: str,
    arguments: str,
    kernel: Callable[..., Tensor],
    fake: Callable[..., Tensor],
    *,
    save: Callable[[Any, tuple[Any, ...], Tensor], None] | None = None,
    backward: Callable[..., Any] | None = None,
    rows: bool = False,
    layer: bool | None = None,
    direct: Callable[..., Tensor] | None = None,
) -> Callable[..., Tensor]:
    """Defines `addercost::name(arguments) -> Tensor`. Returns a function that calls it, or that calls
    `direct` where the dispatcher would do nothing but call `kernel`.

    save(ctx, inputs, output): keeps what `backward(ctx, grad)` needs. rows: the input may have any leading
    axes, like a linear layer's; otherwise its first axis is the batch. layer: the operator gets rules for
    vmap and autocast; by default it does if there is a backward. direct: a faster form of `kernel` for plain
    CPU tensors; by default `kernel` itself. Under autocast the operator runs in fp32, as
    `cdist` of torch does: an L1 sum of a few hundred terms exceeds fp16's precision.
    """
    qualified = f"addercost::{name}"
    _LIBRARY.define(f"{name}({arguments}) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
    _LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(qualified, fake, lib=_LIBRARY)
    if backward is not None:

        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            if save is not None:
                save(ctx, inputs, output)

        torch.library.register_autograd(qualified, backward, setup_context=setup_context, lib=_LIBRARY)
    operator = getattr(torch.ops.addercost, name).default
    if layer if layer is not None else backward is not None:
        for device in ("cpu", "cuda", "xpu"):
            with suppress(ValueError):  # torch 2.11 has no such rules for xpu.
                torch.library.register_autocast(qualified, device, torch.float32, lib=_LIBRARY)
        torch.library.register_vmap(qualified, _batching_rule(operator, rows), lib=_LIBRARY)

    straight = direct or kernel
    # In every schema here, tensors come first.
    tensors = sum(argument.startswith("Tensor") for argument in arguments.split(", "))

    def call(*given: Any) -> Tensor:
        result: Tensor = (straight if nothing_between(given[:tensors]) else operator)(*given)
        return result

    return call


def refuse_second_derivative(name: str) -> None:
    """Makes differentiating `addercost::name`, which is itself a gradient, an error instead of a
    silent zero.
    """

    def backward(ctx: Any, grad: Tensor) -> None:
        raise NotImplementedError(
            f"addercost::{name} has no derivative: the adder layer's gradients are not those of a function"
        )

    torch.library.register_autograd(f"addercost::{name}", backward, lib=_LIBRARY)


def _batching_rule(operator: Any, rows: bool) -> Callable[..., tuple[Tensor, int]]:
    """A vmap rule: over inputs, the mapped axis becomes a part of the batch; over weights, it is a loop."""

    def rule(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Tensor, int]:
        # For a list among the arguments, `in_dims` has a list of None.
        mapped = [i for i, dim in enumerate(in_dims) if isinstance(dim, int)]
        if mapped == [0]:
            input = arguments[0].movedim(in_dims[0], 0)
            if rows:
                return operator(input, *arguments[1:]), 0
            output = operator(input.flatten(0, 1), *arguments[1:])
            return output.unflatten(0, (info.batch_size, -1)), 0
        results = []
        for index in range(info.batch_size):
            one = list(arguments)
            for i in mapped:
                one[i] = arguments[i].select(in_dims[i], index)
            results.append(operator(*one))
        return torch.stack(results), 0

    return rule
