"""Converts between the shape of a layer and the kernel call that computes it in inference.

Our 8-bit and packed layers and torch's 8-bit layers keep weights in special forms. Their kernels are
described by the shape of the layer, and are run as `bench` runs that shape.
"""

from __future__ import annotations

import math

import torch

from addercost.arithmetic import Arithmetic
from addercost.counts.kernel_calls import KernelArgument, KernelCall, Operand
from addercost.layers.packed import pack_binary
from addercost.measure.case import LayerCase
from addercost.measure.contenders.layer_module import layer_with

BYTES, PACKED = "addercost.adder_conv2d_u8.default", "addercost.binary_conv2d_packed.default"

Arguments = tuple[tuple[str, KernelArgument], ...]
"""The arguments of a kernel, by their names in the operator's schema."""


def torch_kernel(case: LayerCase, dtype: str) -> KernelCall:
    """The kernel of torch for a layer. dtype: torch's name of the format; `int8` means 8-bit inputs, weights
    and outputs.
    """
    x, out = Operand(case.input_shape, dtype), Operand(case.output_shape, dtype)
    if case.linear:
        weight = Operand(case.weight_shape[::-1], dtype, True)
        return KernelCall("aten.mm.default", (("self", x), ("mat2", weight)), (out,))
    arguments: Arguments = (
        ("input", x),
        ("weight", Operand(case.weight_shape, dtype, True)),
        ("bias", None),
        *_place(case, ("transposed", False), ("output_padding", (0, 0))),
    )
    return KernelCall("aten.convolution.default", arguments, (out,))


def own_kernel(case: LayerCase, arithmetic: str) -> KernelCall:
    """The kernel of our layer in fp32. arithmetic: `adder`, `binary` or `shift`, as in the operators'
    names.
    """
    x, w = Operand(case.input_shape, "float32"), Operand(case.weight_shape, "float32", True)
    tensors: Arguments = (("input", x), ("weight", w), ("bias", None))
    place = () if case.linear else _place(case)
    op = f"addercost.{arithmetic}_{'linear' if case.linear else 'conv2d'}.default"
    return KernelCall(op, (*tensors, *place), (Operand(case.output_shape, "float32"),))


def byte_kernel(case: LayerCase) -> KernelCall:
    """The kernel of an adder layer of bytes. A linear layer is an image with a pixel for each row."""
    case = as_image(case)
    x, w = Operand(case.input_shape, "uint8"), Operand(case.weight_shape, "uint8", True)
    arguments: Arguments = (("input", x), ("weight", w), ("pad_value", 0), *_place(case))
    return KernelCall(BYTES, arguments, (Operand(case.output_shape, "int32"),))


def packed_kernel(case: LayerCase) -> KernelCall:
    """The kernel of a binary layer whose signs were packed beforehand. A linear layer is an image with a
    pixel for each row.
    """
    case = as_image(case)
    layer = pack_binary(layer_with(Arithmetic.XNOR, case, torch.ones(case.weight_shape)))
    words, factors = (
        Operand(tuple(t.shape), str(t.dtype).removeprefix("torch."), True)
        for t in map(dict(layer.named_buffers()).__getitem__, ("words", "factors"))
    )
    arguments: Arguments = (
        ("input", Operand(case.input_shape, "float32")),
        ("words", words),
        ("factors", factors),
        ("weight_shape", case.weight_shape),
        *_place(case),
    )
    return KernelCall(PACKED, arguments, (Operand(case.output_shape, "float32"),))


def as_image(case: LayerCase) -> LayerCase:
    """A linear layer as a 1×1 convolution of an image with a pixel for each row."""
    if not case.linear:
        return case
    return LayerCase(images=1, channels=case.channels, filters=case.filters, size=(1, case.images))


def _place(case: LayerCase, *before_groups: tuple[str, KernelArgument]) -> Arguments:
    return (
        ("stride", case.stride),
        ("padding", case.padding),
        ("dilation", case.dilation),
        *before_groups,
        ("groups", case.groups),
    )


def case_of(call: KernelCall) -> LayerCase:
    """The shape of the layer that a kernel computes: a convolution, or a product with a weight."""
    weight = call.argument("weight")
    if call.name in ("aten.mm", "aten.addmm"):
        x = call.argument("self" if call.name == "aten.mm" else "mat1")
        turned = call.argument("mat2")
        assert isinstance(x, Operand) and isinstance(turned, Operand)
        return LayerCase(images=x.shape[0], channels=x.shape[1], filters=turned.shape[1], linear=True)
    x = call.argument("input")
    assert isinstance(x, Operand)
    shape = weight.shape if isinstance(weight, Operand) else call.argument("weight_shape")
    assert isinstance(shape, tuple)
    if isinstance(weight, Operand) and len(weight.shape) == 2:
        filters, channels = weight.shape
        rows = math.prod(x.shape[:-1])
        return LayerCase(images=rows, channels=channels, filters=filters, linear=True)
    k, _, r, s = (size for size in shape if isinstance(size, int))
    stride, padding, dilation = (_pair(call.argument(name)) for name in ("stride", "padding", "dilation"))
    groups = call.argument("groups")
    assert isinstance(groups, int) and len(x.shape) == 4
    n, c, height, width = x.shape
    return LayerCase(n, c, k, (height, width), (r, s), stride, padding, dilation, groups)


def _pair(value: KernelArgument) -> tuple[int, int]:
    assert isinstance(value, tuple)
    one, *others = (size for size in value if isinstance(size, int))
    return one, others[0] if others else one
