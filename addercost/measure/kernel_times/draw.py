"""Draws at random the kernels that a calibration times: operators and shapes that networks have.

Sizes are drawn evenly on a logarithmic scale. Limits on the work and on the bytes of a kernel keep them
realistic. The shares of the families were raised where predictions were poor: convolutions decide a network's
time, and convolutions on maps of one pixel, pools and broadcast products follow laws of their own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from addercost.cost.calibrated.families import MOST_NATIVE_INPUTS
from addercost.counts.kernel_calls import KernelArgument, KernelCall, Operand, attention_call

MOST_ELEMENTS, MOST_WEIGHTS = 4_000_000, 10_000_000
LEAST_SITES, MOST_SITES = 2e4, 2e9
CONTIGUOUS = "torch.contiguous_format"


@dataclass(frozen=True, slots=True)
class Drawing:
    """The settings of a drawing. dtype: torch's name of the floating-point format. shares: how often each
    family is drawn, relative to the others.
    """

    dtype: str
    shares: Mapping[str, float]


SHARES: Mapping[str, float] = {
    "dense convolution": 24, "small convolution": 12, "pointwise convolution": 20,
    "convolution of one pixel": 8, "depthwise convolution": 16, "grouped convolution": 5, "linear": 16,
    "product": 6, "attention": 4,
    "batch norm": 5, "layer norm": 4, "softmax": 3, "maximum pool": 6, "average pool": 3, "mean": 5,
    "elementwise": 16, "broadcast": 8, "special": 12, "copy": 6, "concatenation": 4, "lookup": 3,
}  # fmt: skip


def draw(count: int, seed: int, drawing: Drawing) -> Iterator[KernelCall]:
    """Draws `count` kernels. A longer drawing begins with the kernels of a shorter one."""
    chance = random.Random(seed)
    families, weights = zip(*drawing.shares.items(), strict=True)
    for _ in range(count):
        family = chance.choices(families, weights)[0]
        yield _FAMILIES[family](chance, drawing.dtype)


def _between(chance: random.Random, low: float, high: float) -> int:
    return round(math.exp(chance.uniform(math.log(low), math.log(high))))


def _channels(chance: random.Random, low: int, high: int) -> int:
    """A number of channels, mostly a multiple of eight, as in most networks."""
    n = _between(chance, low, high)
    return max(8, n // 8 * 8) if chance.random() < 0.8 and n >= 8 else n


def _batch(chance: random.Random) -> int:
    return 1 if chance.random() < 0.8 else _between(chance, 2, 16)


def _call(op: str, outputs: tuple[Operand, ...], **arguments: KernelArgument) -> KernelCall:
    return KernelCall(op, tuple(arguments.items()), outputs)


def convolution_call(
    x: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> KernelCall:
    n, _, h, w = x.shape
    k, _, r, s = weight.shape
    out = tuple(
        (size + 2 * padding - dilation * (taps - 1) - 1) // stride + 1 for size, taps in ((h, r), (w, s))
    )
    output = Operand((n, k, *out), x.dtype)
    common: dict[str, KernelArgument] = {
        "input": x, "weight": weight, "bias": bias,
        "stride": (stride, stride), "padding": (padding, padding), "dilation": (dilation, dilation),
        "transposed": False, "output_padding": (0, 0),
    }  # fmt: skip
    return _call("aten.convolution.default", (output,), **common, groups=groups)


def _convolution(
    chance: random.Random,
    dtype: str,
    sizes: tuple[int, ...],
    groups: str = "one",
    map_size: int | None = None,
    is_small: bool = False,
) -> KernelCall:
    """is_small: one image, of at most as many elements as those that torch may convolve without oneDNN."""
    least_sites = LEAST_SITES if groups == "one" and map_size is None and not is_small else LEAST_SITES / 50
    while True:
        n, c, k = _batch(chance), _channels(chance, 3, 2048), _channels(chance, 8, 2048)
        size = _between(chance, 4, 230) if map_size is None else map_size
        if is_small:
            n, c, size = 1, _channels(chance, 1, 512), _between(chance, 2, 64)
            if c * size * size > MOST_NATIVE_INPUTS:
                continue
        taps = chance.choice(sizes)
        stride = 1 if map_size == 1 or chance.random() < 0.72 else 2
        if chance.random() < 0.04 and taps > 3:
            stride = taps
        number = 1
        if groups == "all":
            k, number = c, c
        elif groups == "some":
            number = chance.choice((2, 4, 8, 16, 24, 32, 48, 64))
            depth = chance.choice((4, 8, 8, 16, 16, 24, 32, 48, 64, 112))
            c = depth * number
            k = c * (1 if chance.random() < 0.8 else 2)
        padding = 0 if stride == taps and taps > 1 else taps // 2
        out = (size + 2 * padding - taps) // stride + 1
        weights = k * (c // number) * taps * taps
        sites = n * out * out * weights
        if (
            n * c * size * size <= MOST_ELEMENTS
            and n * k * out * out <= MOST_ELEMENTS
            and weights <= MOST_WEIGHTS
            and least_sites <= sites <= MOST_SITES
        ):
            bias = Operand((k,), dtype, True) if chance.random() < 0.4 else None
            return convolution_call(
                Operand((n, c, size, size), dtype),
                Operand((k, c // number, taps, taps), dtype, True),
                bias,
                stride,
                padding,
                1,
                number,
            )


def _linear(chance: random.Random, dtype: str) -> KernelCall:
    while True:
        rows = 1 if chance.random() < 0.3 else _between(chance, 2, 8192)
        k, m = _channels(chance, 16, 4608), _channels(chance, 10, 4608)
        if rows * max(k, m) <= MOST_ELEMENTS and k * m <= MOST_WEIGHTS and rows * k * m <= MOST_SITES:
            mat1, mat2 = Operand((rows, k), dtype), Operand((k, m), dtype, True)
            output = (Operand((rows, m), dtype),)
            if chance.random() < 0.85:
                bias = Operand((m,), dtype, True)
                return _call("aten.addmm.default", output, self=bias, mat1=mat1, mat2=mat2, beta=1, alpha=1)
            return _call("aten.mm.default", output, self=mat1, mat2=mat2)


def _rounded_linear(chance: random.Random, dtype: str) -> KernelCall:
    """A linear layer with int8 weights that rounds its inputs itself. Half of them are products of one row,
    since each token of a language model computes these; some are as wide as a vocabulary.
    """
    while True:
        rows = 1 if chance.random() < 0.5 else _between(chance, 2, 4096)
        k, m = _channels(chance, 16, 8192), _channels(chance, 16, 65536)
        if rows * max(k, m) <= MOST_ELEMENTS and k * m <= 4 * MOST_WEIGHTS and rows * k * m <= MOST_SITES:
            return _call(
                "aten.mm.default",
                (Operand((rows, m), "float32"),),
                self=Operand((rows, k), dtype),
                mat2=Operand((k, m), dtype, True),
            )


def _product(chance: random.Random, dtype: str) -> KernelCall:
    while True:
        batch, n, k, m = (
            _between(chance, low, high) for low, high in ((1, 512), (8, 512), (8, 256), (8, 512))
        )
        if (
            batch * n * k <= MOST_ELEMENTS
            and batch * k * m <= MOST_ELEMENTS
            and batch * n * m <= MOST_ELEMENTS
        ):
            return _call(
                "aten.bmm.default",
                (Operand((batch, n, m), dtype),),
                self=Operand((batch, n, k), dtype),
                mat2=Operand((batch, k, m), dtype),
            )


def _attention(chance: random.Random, dtype: str) -> KernelCall:
    while True:
        batch, heads = _batch(chance), _between(chance, 1, 32)
        length, width = _between(chance, 16, 2048), chance.choice((16, 24, 32, 48, 64, 80, 96, 128))
        if (
            batch * heads * length * width <= MOST_ELEMENTS
            and batch * heads * length * length <= 4 * MOST_ELEMENTS
        ):
            x = Operand((batch, heads, length, width), dtype)
            return attention_call(x, x, x, None, x)


def _map(chance: random.Random) -> tuple[int, int, int, int]:
    while True:
        n, c, size = _batch(chance), _channels(chance, 8, 2048), _between(chance, 1, 230)
        if 64 <= n * c * size * size <= MOST_ELEMENTS:
            return n, c, size, size


def _rows(chance: random.Random) -> tuple[int, int, int]:
    while True:
        n, length, width = _batch(chance), _between(chance, 1, 4096), _channels(chance, 16, 4096)
        if 64 <= n * length * width <= MOST_ELEMENTS:
            return n, length, width


def _any_shape(chance: random.Random) -> tuple[int, ...]:
    return _map(chance) if chance.random() < 0.7 else _rows(chance)


def _batch_norm(chance: random.Random, dtype: str) -> KernelCall:
    shape = _map(chance)
    channel = Operand((shape[1],), dtype, True)
    return _call(
        "aten.native_batch_norm.default",
        (Operand(shape, dtype), Operand((0,), dtype), Operand((0,), dtype)),
        input=Operand(shape, dtype), weight=channel, bias=channel, running_mean=channel, running_var=channel,
        training=False, momentum=0.1, eps=1e-5,
    )  # fmt: skip


def _layer_norm(chance: random.Random, dtype: str) -> KernelCall:
    shape = _rows(chance)
    row = Operand(shape[-1:], dtype, True)
    moments = Operand((*shape[:-1], 1), dtype)
    return _call(
        "aten.native_layer_norm.default",
        (Operand(shape, dtype), moments, moments),
        input=Operand(shape, dtype), normalized_shape=shape[-1:], weight=row, bias=row, eps=1e-5,
    )  # fmt: skip


def _softmax(chance: random.Random, dtype: str) -> KernelCall:
    x = Operand(_rows(chance), dtype)
    return _call("aten._softmax.default", (x,), self=x, dim=-1, half_to_float=False)


def _pool(chance: random.Random, dtype: str, average: bool) -> KernelCall:
    while True:
        shape = _map(chance)
        taps, stride = chance.choice((2, 3)), chance.choice((1, 2, 2))
        if shape[-1] > 4:
            break
    size = (shape[-1] + 2 * (taps // 2) - taps) // stride + 1
    x, out = Operand(shape, dtype), Operand((*shape[:2], size, size), dtype)
    common: dict[str, KernelArgument] = {
        "self": x, "kernel_size": (taps, taps), "stride": (stride, stride), "padding": (taps // 2, taps // 2),
    }  # fmt: skip
    if average:
        return _call("aten.avg_pool2d.default", (out,), **common)
    outputs = (out, Operand(out.shape, "int64"))
    return _call("aten.max_pool2d_with_indices.default", outputs, **common, dilation=(1, 1), ceil_mode=False)


def _mean(chance: random.Random, dtype: str) -> KernelCall:
    shape = _map(chance)
    x, out = Operand(shape, dtype), Operand((*shape[:2], 1, 1), dtype)
    return _call("aten.mean.dim", (out,), self=x, dim=(-1, -2), keepdim=True, dtype=None)


def _elementwise(chance: random.Random, dtype: str) -> KernelCall:
    x = Operand(_any_shape(chance), dtype)
    op = chance.choice(("aten.relu_.default", "aten.relu.default", "aten.add_.Tensor", "aten.add.Tensor",
                        "aten.mul.Tensor", "aten.hardtanh_.default"))  # fmt: skip
    if "Tensor" in op:
        scale: dict[str, KernelArgument] = {"alpha": 1} if "add" in op else {}
        return _call(op, (x,), self=x, other=x, **scale)
    return _call(op, (x,), self=x)


def _broadcast(chance: random.Random, dtype: str) -> KernelCall:
    """A broadcast product: a factor for each channel, as in squeeze-and-excitation, or a row for all rows."""
    shape = _any_shape(chance)
    small = (*shape[:2], 1, 1) if len(shape) == 4 else (1, *shape[1:])
    x, y = Operand(shape, dtype), Operand(small, dtype)
    if chance.random() < 0.7:
        return _call("aten.mul.Tensor", (x,), self=y, other=x)
    return _call("aten.add.Tensor", (x,), self=x, other=y, alpha=1)


_SPECIAL = ("gelu", "silu_", "silu", "sigmoid", "hardswish_", "hardswish", "hardsigmoid", "tanh")


def _special(chance: random.Random, dtype: str) -> KernelCall:
    x = Operand(_any_shape(chance), dtype)
    name = chance.choice(_SPECIAL)
    extra: dict[str, KernelArgument] = {"approximate": "none"} if name == "gelu" else {}
    return _call(f"aten.{name}.default", (x,), self=x, **extra)


def _copy(chance: random.Random, dtype: str) -> KernelCall:
    shape = _rows(chance)
    x = Operand(shape, dtype)
    kind = chance.choice(("clone", "pad", "roll"))
    if kind == "clone":
        return _call("aten.clone.default", (x,), self=x, memory_format=CONTIGUOUS)
    if kind == "pad":
        out = Operand((shape[0], shape[1] + 2, shape[2]), dtype)
        return _call("aten.constant_pad_nd.default", (out,), self=x, pad=(0, 0, 1, 1), value=0.0)
    return _call("aten.roll.default", (x,), self=x, shifts=(3,), dims=(1,))


def _concatenation(chance: random.Random, dtype: str) -> KernelCall:
    n, c, h, w = _map(chance)
    parts = chance.choice((2, 2, 3, 4, 8))
    c = max(c // parts, 1)
    tensors = (Operand((n, c, h, w), dtype),) * parts
    return _call("aten.cat.default", (Operand((n, c * parts, h, w), dtype),), tensors=tensors, dim=1)


def _lookup(chance: random.Random, dtype: str) -> KernelCall:
    rows, width, indices = _between(chance, 16, 30000), _channels(chance, 3, 1024), _between(chance, 1, 4096)
    width = min(width, MOST_WEIGHTS // rows)
    return _call(
        "aten.embedding.default",
        (Operand((1, indices, width), dtype),),
        weight=Operand((rows, width), dtype, True),
        indices=Operand((1, indices), "int64"),
    )


Family = Callable[[random.Random, str], KernelCall]
_FAMILIES: Mapping[str, Family] = {
    "dense convolution": lambda chance, dtype: _convolution(chance, dtype, (3, 3, 3, 5, 7, 2, 4, 16)),
    "small convolution": lambda chance, dtype: _convolution(
        chance, dtype, (3, 3, 3, 3, 5, 2, 7), is_small=True
    ),
    "pointwise convolution": lambda chance, dtype: _convolution(chance, dtype, (1,)),
    "convolution of one pixel": lambda chance, dtype: _convolution(chance, dtype, (1,), map_size=1),
    "depthwise convolution": lambda chance, dtype: _convolution(chance, dtype, (3, 3, 5, 5, 7), "all"),
    "grouped convolution": lambda chance, dtype: _convolution(chance, dtype, (3, 3, 1), "some"),
    "linear": _linear,
    "rounded linear": _rounded_linear,
    "product": _product,
    "attention": _attention,
    "batch norm": _batch_norm,
    "layer norm": _layer_norm,
    "softmax": _softmax,
    "maximum pool": lambda chance, dtype: _pool(chance, dtype, False),
    "average pool": lambda chance, dtype: _pool(chance, dtype, True),
    "mean": _mean,
    "elementwise": _elementwise,
    "broadcast": _broadcast,
    "special": _special,
    "copy": _copy,
    "concatenation": _concatenation,
    "lookup": _lookup,
}
