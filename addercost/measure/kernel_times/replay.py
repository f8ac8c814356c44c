"""Runs one kernel as eager torch would: its operator, on random tensors of its shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import addercost.layers  # noqa: F401  (defines the operators of our layers)
from addercost.arithmetic import Arithmetic
from addercost.cost.calibrated.codes import is_of_codes
from addercost.cost.calibrated.families import rounds_inputs
from addercost.counts.kernel_calls import KernelArgument, KernelCall, Operand
from addercost.errors import AddercostError
from addercost.measure.case import LayerCase
from addercost.measure.contenders import random_data
from addercost.measure.contenders.contender import Place
from addercost.measure.contenders.layer_module import layer_with
from addercost.measure.contenders.own import adder_of_bytes, own_layer, packed_binary
from addercost.measure.contenders.vendor import first_line, int8_layer
from addercost.measure.kernel_times.case_kernels import BYTES, PACKED, case_of
from addercost.measure.kernel_times.replay_codes import replay_codes

_TURNED = {"aten.addmm": ("mat2",), "aten.mm": ("mat2",)}
"""Arguments that get transposed tensors: a linear layer passes a transposed view of its weight, in the
weight's memory order.
"""

_LAYERS = {
    f"addercost.{name}_{shape}.default": arithmetic
    for name, arithmetic in (
        ("adder", Arithmetic.ADDER),
        ("binary", Arithmetic.XNOR),
        ("shift", Arithmetic.SHIFT),
    )
    for shape in ("conv2d", "linear")
}
"""The layer that calls each of our operators. The module is run and not the operator alone, since it takes as
long as a small kernel.
"""


class NotReplayableError(Exception):
    """The operator cannot be called on random tensors; the message says why."""


def replay(
    call: KernelCall, generator: torch.Generator, layout: torch.memory_format = torch.contiguous_format
) -> Callable[[], Any]:
    """A function that runs the kernel, with images in `layout`. Our own layers keep their filters contiguous.

    Raises NotReplayableError.
    """
    special = _as_benchmarks_run_it(call, layout)
    if special is not None:
        return special
    if is_of_codes(call):
        return replay_codes(call, generator, lambda argument: _value(argument, generator, False, call))
    operator = _operator(call.op)
    if "attention" in call.name:
        layout = torch.contiguous_format
    values: dict[str, Any] = {}
    for name, argument in call.arguments:
        turned = name in _TURNED.get(call.name, ())
        value = _value(argument, generator, turned, call)
        is_own_filter = call.name.startswith("addercost.") and name == "weight"
        values[name] = value if is_own_filter else _laid_out(value, layout)
    positional, by_name = _bound(operator, values)
    operator = _as_networks_call_it(operator, positional, by_name, call)
    return _in_place_kept_finite(operator, positional, by_name, call)


def _as_benchmarks_run_it(call: KernelCall, layout: torch.memory_format) -> Callable[[], Any] | None:
    """A function that runs the kernel as `bench` does: our layers as modules, and 8-bit and packed layers,
    whose weights have special forms. None for any other kernel.
    """
    place = Place(torch.device("cpu"), layout)
    try:
        if call.op in _LAYERS and call.argument("bias") is None:
            return own_layer(_LAYERS[call.op], case_of(call), place)
        if call.op == BYTES:
            return adder_of_bytes(case_of(call), place)
        if call.op == PACKED:
            return packed_binary(case_of(call), place)
        if rounds_inputs(call):
            return _dynamic_linear(case_of(call))
        if any(operand.is_weight and operand.dtype == "int8" for operand in call.operands()):
            return int8_layer(case_of(call), place)
    except AddercostError as error:
        raise NotReplayableError(str(error)) from None
    return None


def layer_of_torch(call: KernelCall, layout: torch.memory_format) -> Callable[[], Any] | None:
    """A function that runs the kernel of torch's convolution or linear layer as `bench` does: as a module,
    which takes 4 µs more on an Emerald Rapids core. None for any other kernel.
    """
    image = call.argument("input") if call.name == "aten.convolution" else None
    is_layer = call.name in ("aten.mm", "aten.addmm") or (
        isinstance(image, Operand) and len(image.shape) == 4 and not call.argument("transposed")
    )
    formats = {operand.dtype for operand in call.operands() if operand.is_weight}
    if not is_layer or len(formats) != 1:
        return None
    dtype = _DTYPES[formats.pop()]
    if not dtype.is_floating_point:
        return None
    case, place = case_of(call), Place(torch.device("cpu"), layout)
    x = random_data.random_tensor(case.input_shape, place, dtype)
    layer = layer_with(Arithmetic.MAC, case, random_data.random_tensor(case.weight_shape, place, dtype))
    if call.name == "aten.addmm" or isinstance(call.argument("bias"), Operand):
        layer.bias = torch.nn.Parameter(torch.zeros(case.filters, dtype=dtype), requires_grad=False)
    return partial(layer, x)


def _dynamic_linear(case: LayerCase) -> Callable[[], Any]:
    """torch's dynamically quantised linear layer: fp32 inputs that it rounds to int8, int8 weights, fp32
    outputs.
    """
    from torch.ao.quantization import default_dynamic_qconfig

    layer: Any = torch.nn.Linear(case.channels, case.filters)
    layer.qconfig = default_dynamic_qconfig
    try:
        quantised: Any = torch.ao.nn.quantized.dynamic.Linear
        return partial(quantised.from_float(layer), torch.rand(case.input_shape) * 2 - 1)
    except (RuntimeError, AttributeError) as error:
        raise NotReplayableError(f"torch quantises no linear layer: {first_line(error)}") from None


def _laid_out(value: Any, layout: torch.memory_format) -> Any:
    """Images and filters converted to the layout; any other value unchanged."""
    if isinstance(value, list):
        return [_laid_out(item, layout) for item in value]
    is_image = isinstance(value, Tensor) and value.dim() == 4
    return value.contiguous(memory_format=layout) if is_image else value


def _operator(op: str) -> Any:
    namespace, name, overload = op.split(".")
    if op == "aten.scaled_dot_product_attention.default":
        return torch.nn.functional.scaled_dot_product_attention
    try:
        return getattr(getattr(getattr(torch.ops, namespace), name), overload)
    except AttributeError:
        raise NotReplayableError(f"torch has no operator {op}") from None


def _as_networks_call_it(
    operator: Any, positional: list[Any], by_name: dict[str, Any], call: KernelCall
) -> Any:
    """torch's own Python function for an operator of torch, which networks call, or `operator` itself where
    there is none that takes these arguments.

    The functions in `torch.ops` look their arguments up in the operator's schema at every call: on an Ice
    Lake core a convolution of one pixel takes 19 µs by `torch.ops` and 9 by torch's function.
    """
    namespace, name, _ = call.op.split(".")
    if namespace != "aten":
        return operator
    expected = [(output.shape, _DTYPES.get(output.dtype)) for output in call.outputs]
    for place in (torch, torch._C._nn, Tensor):
        function = getattr(place, name, None)
        if not isinstance(function, BuiltinFunctionType | MethodDescriptorType):
            continue
        try:
            with torch.no_grad():
                made = function(*positional, **by_name)
        except (TypeError, RuntimeError, ValueError):
            continue
        tensors = [value for value in tree_leaves(made) if isinstance(value, Tensor)]
        if [(tuple(tensor.shape), tensor.dtype) for tensor in tensors] == expected:
            return function
    return operator


def _bound(operator: Any, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return [], values
    positional, by_name = [], {}
    for argument in schema.arguments:
        if argument.name in values:
            if argument.kwarg_only:
                by_name[argument.name] = values[argument.name]
            else:
                positional.append(values[argument.name])
    return positional, by_name


_DTYPES = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}


def _value(argument: KernelArgument, generator: torch.Generator, turned: bool, call: KernelCall) -> Any:
    if isinstance(argument, Operand):
        return random_tensor(argument, generator, turned, call)
    if isinstance(argument, tuple):
        return [_value(item, generator, turned, call) for item in argument]
    if isinstance(argument, str):
        if argument in _DTYPES:
            return _DTYPES[argument]
        if argument == "meta":
            return torch.device("cpu")
        if argument.startswith("torch."):
            return getattr(torch, argument.removeprefix("torch."), argument)
    return argument


def random_tensor(operand: Operand, generator: torch.Generator, turned: bool, call: KernelCall) -> Tensor:
    """A random tensor. Floats are from [-1, 1). Integers are 0 and 1, so that they are valid indices of most
    tensors.
    """
    dtype = _DTYPES.get(operand.dtype)
    if dtype is None or math.prod(operand.shape) > 1 << 30:
        raise NotReplayableError(f"{call.op} on {operand.dtype} of {operand.shape}")
    shape = operand.shape[::-1] if turned and len(operand.shape) == 2 else operand.shape
    if dtype.is_floating_point:
        tensor = (torch.rand(shape, generator=generator) * 2 - 1).to(dtype)
        if call.name.endswith("batch_norm") and len(shape) == 1:
            tensor = tensor.abs() + 0.5
    elif dtype == torch.bool:
        tensor = torch.rand(shape, generator=generator) < 0.5
    elif not dtype.is_complex:
        tensor = torch.randint(0, 2, shape, generator=generator).to(dtype)
    else:
        tensor = torch.rand(shape, generator=generator).to(dtype)
    return tensor.t() if shape != operand.shape and len(shape) == 2 else tensor


_SHRINKING = ("aten.silu_", "aten.mish_", "aten.gelu_", "aten.hardswish_", "aten.leaky_relu_")
"""Activations that return small numbers smaller than they were."""

LARGE = 20.0
"""Numbers from here on are so large that these activations return them as they are in every format."""


def _in_place_kept_finite(
    operator: Any, positional: list[Any], by_name: dict[str, Any], call: KernelCall
) -> Callable[[], Any]:
    """Keeps the results of repeated in-place operators normal: in-place sums grow, and products and some
    activations shrink their inputs, and infinite or subnormal numbers take longer. Repeated on the same
    numbers, `silu_` took 11 times as long as on others on an Ice Lake core.

    A sum alternates its sign. A product gets factors of size 1. An activation gets large inputs, which it
    returns as they are.
    """
    if call.name in _SHRINKING:
        positional = [positional[0].abs().add(LARGE), *positional[1:]]
    if call.name in ("aten.mul_", "aten.div_"):
        positional = [positional[0], *(_signs(value) for value in positional[1:])]
    if call.name in ("aten.add_", "aten.sub_") and len(positional) > 1 and isinstance(positional[1], Tensor):
        first, second = positional[0], positional[1]
        negative = torch.neg(second)
        state = [second, negative]

        def alternate() -> Any:
            state.reverse()
            return operator(first, state[0])

        return alternate
    return lambda: operator(*positional, **by_name)


def _signs(value: Any) -> Any:
    return value.sign() if isinstance(value, Tensor) else value
