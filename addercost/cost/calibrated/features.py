"""The properties of a kernel that decide how long it takes, as numbers: its family, sizes, work and bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from addercost.cost.calibrated.codes import is_of_codes, main_name
from addercost.cost.calibrated.families import (
    FAMILIES,
    PRODUCTS,
    family_of,
    filters_of,
    image_of,
    rows_of,
)
from addercost.counts.kernel_calls import KernelCall, Operand

_OPERATORS = (
    "gelu", "silu", "sigmoid", "hardswish", "hardsigmoid", "tanh", "relu", "add", "mul", "sub", "clone",
    "cat", "roll", "constant_pad_nd", "copy", "mm", "addmm", "hardtanh", "div", "pow", "masked_fill",
    "quantize_per_tensor", "dequantize",
)  # fmt: skip


class Sizes(NamedTuple):
    """A kernel's sizes, in the letters of a convolution. A size that the kernel does not have is 1."""

    family: str
    sites: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    n: int = 1
    c: int = 1
    k: int = 1
    h: int = 1
    w: int = 1
    p: int = 1
    q: int = 1
    r: int = 1
    s: int = 1
    groups: int = 1
    stride: int = 1

    @property
    def bytes(self) -> int:
        return self.input_bytes + self.weight_bytes + self.output_bytes


def weight_bytes(call: KernelCall) -> int:
    """Bytes of the parameters that the kernel reads."""
    return sum(read.n_bytes for read in _read(call, family_of(call)) if read.is_weight)


def _read(call: KernelCall, family: str) -> list[Operand]:
    """The operands as far as they are read. A look-up reads no more of its table than it puts out."""
    operands = list(call.operands())
    if family == "lookup" and call.outputs:
        table, out = operands[0], call.outputs[0]
        if out.n_bytes < table.n_bytes:
            operands[0] = replace(table, shape=out.shape)
    return operands


def sizes_of(call: KernelCall) -> Sizes:
    family = family_of(call)
    operands = _read(call, family)
    moved = (
        sum(o.n_bytes for o in operands if not o.is_weight),
        sum(o.n_bytes for o in operands if o.is_weight),
        sum(o.n_bytes for o in call.outputs),
    )
    out = call.outputs[0] if call.outputs else Operand((0,), "float32")
    if "convolution" in family:
        return _convolution(call, family, out, moved)
    if family.endswith(" linear"):
        return _own_linear(call, family, moved)
    if family in PRODUCTS:
        rows, depth, width = rows_of(out), _multiplied(call).shape[-1], out.shape[-1]
        return Sizes(family, max(rows * depth * width, 1), *moved, c=depth, k=width, h=rows, p=rows)
    if family == "product":
        a, b = operands[-2], operands[-1]
        groups, rows, depth, width = math.prod(a.shape[:-2]), a.shape[-2], a.shape[-1], b.shape[-1]
        sites = groups * rows * depth * width
        return Sizes(family, sites, *moved, c=depth, k=width, h=rows, p=rows, groups=groups)
    if family == "attention":
        q, k = operands[0], operands[1]
        groups, rows, columns, width = math.prod(q.shape[:-2]), q.shape[-2], k.shape[-2], q.shape[-1]
        sites = 2 * groups * rows * columns * width
        return Sizes(
            family, sites, *moved, c=width, k=width, h=rows, w=columns, p=rows, q=columns, groups=groups
        )
    if family in ("maximum pool", "average pool"):
        return _pool(call, family, out, moved)
    largest = max((*operands, out), key=lambda o: math.prod(o.shape))
    shape = largest.shape or (1,)
    channels = shape[1] if len(shape) == 4 else shape[-1]
    return Sizes(
        family,
        max(math.prod(shape), 1),
        *moved,
        n=shape[0],
        c=channels,
        k=channels,
        h=shape[-2] if len(shape) > 1 else 1,
        w=shape[-1],
        p=out.shape[-2] if len(out.shape) > 1 else 1,
        q=out.shape[-1] if out.shape else 1,
    )


_INPUTS = {"aten.addmm": "mat1", "aten.mm": "self", "aten.linear": "input"}
"""For each product with a weight, the name of the argument that the weight is multiplied by. Of other
products, which are quantised, it is the first tensor among the arguments.
"""


def _multiplied(call: KernelCall) -> Operand:
    x = call.argument(_INPUTS[call.name]) if call.name in _INPUTS else next(call.operands())
    assert isinstance(x, Operand)
    return x


def _own_linear(call: KernelCall, family: str, moved: tuple[int, int, int]) -> Sizes:
    x, w = call.argument("input"), call.argument("weight")
    assert isinstance(x, Operand) and isinstance(w, Operand)
    rows, (width, depth) = math.prod(x.shape[:-1]), w.shape
    return Sizes(family, max(rows * depth * width, 1), *moved, c=depth, k=width, h=rows, p=rows)


def _convolution(call: KernelCall, family: str, out: Operand, moved: tuple[int, int, int]) -> Sizes:
    x, filters = image_of(call), filters_of(call)
    pairs = (x if call.argument("transposed") else out).shape
    groups, stride = call.argument("groups"), call.argument("stride")
    assert isinstance(groups, int)
    return Sizes(
        family,
        max(math.prod(pairs) * math.prod(filters[1:]), 1),
        *moved,
        n=x.shape[0],
        c=x.shape[1],
        k=out.shape[1],
        h=x.shape[2],
        w=x.shape[-1],
        p=out.shape[2],
        q=out.shape[-1],
        r=filters[2],
        s=filters[-1],
        groups=groups,
        stride=_first(stride),
    )


def _pool(call: KernelCall, family: str, out: Operand, moved: tuple[int, int, int]) -> Sizes:
    x = next(call.operands())
    kernel = _first(call.argument("kernel_size")) or max(1, x.shape[-1] // max(out.shape[-1], 1))
    stride = _first(call.argument("stride")) or kernel
    return Sizes(
        family,
        max(math.prod(out.shape) * kernel * kernel, 1),
        *moved,
        n=x.shape[0],
        c=x.shape[1],
        k=x.shape[1],
        h=x.shape[-2],
        w=x.shape[-1],
        p=out.shape[-2],
        q=out.shape[-1],
        r=kernel,
        s=kernel,
        stride=stride,
    )


def _first(value: object) -> int:
    """The first of several sizes; 0 where there is none."""
    item = value[0] if isinstance(value, tuple) and value else value
    return item if isinstance(item, int) else 0


CATEGORIES = (0, 1)
"""The columns of `features` that are categories, encoded as numbers."""


UNITS = (1, 8, 16)
"""How many filters a kernel may compute at once: one, or the fp32 numbers in a vector of 256 or 512 bits."""

_FP32_BYTES = 4

WEIGHT_BYTES, OTHER_BYTES = len(UNITS) + 1, len(UNITS) + 2
"""The columns of the factors of laws that have bytes."""


def features(calls: Sequence[KernelCall]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """([calls, features] with sizes as logarithms, [calls, 6] with the factors of laws). The factors are 1,
    sites with the filters of a group rounded up to each of `UNITS`, bytes of weights, and other bytes.
    """
    sizes = [sizes_of(call) for call in calls]
    rows = [_row(call, z) for call, z in zip(calls, sizes, strict=True)]
    return np.array(rows, dtype=np.float64), np.array([_factors(z) for z in sizes], dtype=np.float64)


def _factors(z: Sizes) -> list[float]:
    filters = max(z.k // z.groups, 1)
    sites = [z.sites * (-(-filters // unit) * unit) / filters for unit in UNITS]
    return [1.0, *sites, z.weight_bytes, z.bytes - z.weight_bytes + _unfolded_bytes(z)]


def _unfolded_bytes(z: Sizes) -> int:
    """Bytes of the image's windows, which torch's own convolution writes one beside the other and reads
    again.
    """
    if z.family != "native dense convolution":
        return 0
    return 2 * _FP32_BYTES * z.n * z.p * z.q * z.c * z.r * z.s


def _row(call: KernelCall, z: Sizes) -> list[float]:
    name = main_name(call).rstrip("_")
    depth, width = z.c / z.groups, z.k / z.groups
    biased = any(key == "bias" and value is not None for key, value in call.arguments)
    small = min((math.prod(o.shape) for o in call.operands() if o.shape), default=0)
    sizes = (
        z.sites, z.input_bytes, z.weight_bytes, z.output_bytes, z.bytes, z.n, z.c, z.k, z.h * z.w, z.p * z.q,
        z.w, z.q, z.groups, depth, width, z.n * z.p * z.q, small,
    )  # fmt: skip
    return [
        FAMILIES.index(z.family),
        _OPERATORS.index(name) if name in _OPERATORS else len(_OPERATORS),
        *(math.log(max(size, 1)) for size in sizes),
        math.log(max(z.sites, 1) / max(z.bytes, 1)),
        z.r,
        z.s,
        z.stride,
        call.name.endswith("_"),
        biased,
        depth % 8 == 0,
        width % 8 == 0,
        z.c % 16 == 0,
        z.k % 16 == 0,
        z.q % 16,
        min(depth, 64),
        min(width, 64),
        len(list(call.operands())),
        is_of_codes(call),
    ]
