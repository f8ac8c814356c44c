"""Runs one kernel on codes as torch's quantised modules would: with packed parameters, and with images in
NHWC, since torch's quantised convolutions and pools return them so whatever they are given.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from addercost.cost.calibrated.codes import CODES, packed_weight
from addercost.counts.kernel_calls import KernelArgument, KernelCall, Operand

LAYOUT = torch.channels_last
_SCALE, _ZERO, _CODES = 0.05, 64, 128
"""Scale, zero point and number of the codes of activations: torch's own settings use 7 bits for x86."""


def replay_codes(
    call: KernelCall, generator: torch.Generator, other: Callable[[KernelArgument], Any]
) -> Callable[[], Any]:
    """A function that runs the kernel. other: makes the value of an argument that is no tensor of codes.

    Raises RuntimeError where torch has no such operator, or refuses these parameters.
    """
    values: dict[str, Any] = {}
    weight = packed_weight(call)
    with warnings.catch_warnings():
        # torch says that tensors of codes will be removed one day.
        warnings.simplefilter("ignore")
        for name, argument in call.arguments:
            if weight is not None and isinstance(argument, tuple) and weight in argument:
                values[name] = _packed(call, argument, generator)
            elif name == "scale" and isinstance(argument, Operand):
                values[name] = torch.tensor(_SCALE)
            else:
                values[name] = _value(argument, generator, other)
        if len(call.outputs[0].shape) == 5 and call.name == "aten.clone":
            values["self"] = _transposed(call, generator)
    namespace, name, _ = call.op.split(".")
    operator = getattr(getattr(torch.ops, namespace), name)
    return _bound(operator, call, values)


def _bound(operator: Any, call: KernelCall, values: dict[str, Any]) -> Callable[[], Any]:
    """Without the name of an overload, as modules call it."""
    overload = getattr(operator, call.op.rpartition(".")[2])
    positional, by_name = [], {}
    for argument in overload._schema.arguments:
        if argument.name not in values:
            continue
        if argument.kwarg_only:
            by_name[argument.name] = values[argument.name]
        else:
            positional.append(values[argument.name])
    return lambda: operator(*positional, **by_name)


def _value(
    argument: KernelArgument, generator: torch.Generator, other: Callable[[KernelArgument], Any]
) -> Any:
    if isinstance(argument, Operand) and argument.dtype == CODES:
        return codes(argument.shape, generator)
    if isinstance(argument, tuple) and any(isinstance(item, Operand) for item in argument):
        return [_value(item, generator, other) for item in argument]
    value = other(argument)
    is_image = isinstance(value, Tensor) and value.dim() == 4
    return value.contiguous(memory_format=LAYOUT) if is_image else value


def codes(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Random codes of 7 bits, an image in NHWC."""
    numbers = torch.randint(0, _CODES, shape, generator=generator, dtype=torch.uint8)
    found = torch._make_per_tensor_quantized_tensor(numbers, _SCALE, _ZERO)
    return found.contiguous(memory_format=LAYOUT) if len(shape) == 4 else found


def _transposed(call: KernelCall, generator: torch.Generator) -> Tensor:
    """What a network copies that mixes groups of channels: images as [n, groups, c, h, w], transposed."""
    n, c, groups, h, w = call.outputs[0].shape
    return codes((n, groups * c, h, w), generator).view(n, groups, c, h, w).transpose(1, 2)


def _packed(call: KernelCall, argument: tuple[KernelArgument, ...], generator: torch.Generator) -> Any:
    """The packed parameters of a convolution or linear layer: weights with a scale for each output, and a
    bias in fp32.
    """
    shape = argument[0].shape if isinstance(argument[0], Operand) else ()
    numbers = torch.randint(-127, 128, shape, generator=generator, dtype=torch.int8)
    scales, zeros = (
        torch.full(shape[:1], _SCALE, dtype=torch.float64),
        torch.zeros(shape[:1], dtype=torch.int64),
    )
    weight = torch._make_per_channel_quantized_tensor(numbers, scales, zeros, 0)
    bias = torch.zeros(shape[0]) if len(argument) > 1 else None
    if len(shape) == 2:
        return torch.ops.quantized.linear_prepack(weight, bias)
    axes = len(shape) - 2
    place: Any = [call.argument(name) for name in ("stride", "padding", "dilation", "groups")]
    return getattr(torch.ops.quantized, f"conv{axes}d_prepack")(weight, bias, *place)
