"""Draws kernels that statically quantised networks run, with the shapes that networks have.

A kernel on codes is made of the floating-point kernel with the same shapes. The kernels between which torch
converts to floating point and back are drawn as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from addercost.cost.calibrated.codes import CODES
from addercost.cost.calibrated.features import sizes_of
from addercost.counts.kernel_calls import KernelArgument, KernelCall, Operand
from addercost.measure.kernel_times.draw import CONTIGUOUS, SHARES, Drawing, convolution_call, draw

WEIGHTS = "qint8"

_SHARES: Mapping[str, float] = {
    **{name: share for name, share in SHARES.items() if "convolution" in name},
    "depthwise convolution": 14, "slow depthwise convolution": 14, "grouped convolution": 9, "linear": 12,
    "batch norm": 4, "layer norm": 3, "maximum pool": 8, "average pool": 4, "mean": 5, "elementwise": 16,
    "broadcast": 8, "special": 8, "copy": 3, "shuffle": 4, "concatenation": 7, "rounding": 12,
    "floating point": 8,
}  # fmt: skip
"""How often each family is drawn, relative to the others."""

_FLOATING = {"special": 5.0, "elementwise": 2.0, "attention": 3.0, "softmax": 1.0, "product": 1.0}
"""The families that are drawn in floating point."""

_CODED = {"relu", "relu_", "hardtanh_", "sigmoid", "tanh", "hardsigmoid", "clone", "cat", "mean"}
"""Operators of torch that take codes as they take numbers."""

_SCALE, _ZERO = 0.05, 64

_MOST_SLOW_SITES = 2e7
"""The most multiply-adds of a slow depthwise convolution. Networks have fewer, and many take seconds."""


def draw_codes(count: int, seed: int) -> Iterator[KernelCall]:
    """Draws `count` kernels. A longer drawing begins with the kernels of a shorter one."""
    chance = random.Random(seed)
    families, weights = zip(*_SHARES.items(), strict=True)
    drawn = {name: _without_end(name, seed) for name in families}
    for _ in range(count):
        yield next(drawn[chance.choices(families, weights)[0]])


def _without_end(family: str, seed: int) -> Iterator[KernelCall]:
    """Kernels of one family. Those that have no form on codes are passed over."""
    chance = random.Random(f"{family} {seed}")
    shares = _FLOATING if family == "floating point" else {_SHAPED_AS.get(family, family): 1.0}
    for call in draw(1 << 30, chance.randrange(1 << 30), Drawing("float32", shares)):
        if family == "floating point":
            yield call
        elif family == "rounding":
            yield rounding(call.outputs[0].shape, back=chance.random() < 0.4)
        elif family == "shuffle":
            yield shuffle(call.outputs[0].shape)
        elif family == "slow depthwise convolution":
            if sizes_of(call).sites <= _MOST_SLOW_SITES:
                yield _convolution(slowed(call, chance), "_relu" if chance.random() < 0.6 else "")
        elif (made := of_codes(call, chance.random() < 0.6)) is not None:
            yield made


_SHAPED_AS = {
    "rounding": "elementwise",
    "shuffle": "concatenation",
    "slow depthwise convolution": "depthwise convolution",
}
"""The family of `draw` whose shapes a family of kernels on codes takes, where their names differ."""


def rounding(shape: tuple[int, ...], back: bool) -> KernelCall:
    """Numbers to codes, with the scale in a tensor as in a quantised network; or codes `back` to numbers."""
    numbers, codes = Operand(shape, "float32"), Operand(shape, CODES)
    if back:
        return KernelCall("aten.dequantize.self", (("self", codes),), (numbers,))
    scale, zero = Operand((), "float32", True), Operand((), "int64", True)
    return KernelCall(
        "aten.quantize_per_tensor.tensor_qparams",
        (("self", numbers), ("scale", scale), ("zero_point", zero), ("dtype", CODES)),
        (codes,),
    )


def shuffle(shape: tuple[int, ...]) -> KernelCall:
    """The copy by which a network mixes two groups of channels; shape: that of the images."""
    n, c, h, w = shape
    x = Operand((n, max(c // 2, 1), 2, h, w), CODES)
    return KernelCall("aten.clone.default", (("self", x), ("memory_format", CONTIGUOUS)), (x,))


def slowed(call: KernelCall, chance: random.Random) -> KernelCall:
    """A depthwise convolution that `is_slow_depthwise` names, with about the shapes of `call`: half of them
    have a dilation, the others a number of channels that is no multiple of eight.
    """
    x, weight, bias = call.argument("input"), call.argument("weight"), call.argument("bias")
    assert isinstance(x, Operand) and isinstance(weight, Operand)
    n, c, h, w = x.shape
    taps, stride, dilation = weight.shape[-1], call.argument("stride"), chance.choice((1, 2))
    assert isinstance(stride, tuple) and isinstance(stride[0], int)
    if dilation == 1:
        c = c // 8 * 8 + chance.randint(1, 7)
    return convolution_call(
        replace(x, shape=(n, c, h, w)),
        replace(weight, shape=(c, 1, taps, taps)),
        replace(bias, shape=(c,)) if isinstance(bias, Operand) else None,
        stride=stride[0],
        padding=dilation * (taps // 2),
        dilation=dilation,
        groups=c,
    )


def of_codes(call: KernelCall, relu: bool) -> KernelCall | None:
    """The kernel on codes with the shapes of a floating-point kernel; None where torch has none. relu: a
    convolution, a linear layer or a sum does a ReLU in the same kernel.
    """
    name = call.name.split(".", 1)[1]
    made = _MADE.get(name)
    if made is not None:
        return made(call, "_relu" if relu else "")
    return _coded(call) if name in _CODED else None


def _coded(call: KernelCall) -> KernelCall:
    return KernelCall(
        call.op,
        tuple((name, _as_codes(value)) for name, value in call.arguments),
        tuple(Operand(o.shape, CODES) for o in call.outputs),
    )


def _as_codes(value: KernelArgument) -> KernelArgument:
    if isinstance(value, Operand):
        return replace(value, dtype=CODES)
    if isinstance(value, tuple):
        return tuple(_as_codes(item) for item in value)
    return value


def _packed(weight: KernelArgument, outputs: int) -> KernelArgument:
    assert isinstance(weight, Operand)
    return replace(weight, dtype=WEIGHTS), Operand((outputs,), "float32", True)


def _scaled(op: str, call: KernelCall, *arguments: tuple[str, KernelArgument]) -> KernelCall:
    scale: tuple[tuple[str, KernelArgument], ...] = (("output_scale", _SCALE), ("output_zero_point", _ZERO))
    return KernelCall(op, (*arguments, *scale), (Operand(call.outputs[0].shape, CODES),))


def _convolution(call: KernelCall, relu: str) -> KernelCall:
    packed = _packed(call.argument("weight"), call.outputs[0].shape[1])
    x = _as_codes(call.argument("input"))
    made = _scaled(f"quantized.conv2d{relu}.new", call, ("qx", x), ("packed_weight", packed))
    place = [(name, call.argument(name)) for name in ("stride", "padding", "dilation", "groups")]
    return replace(made, arguments=(*made.arguments, *place))


def _linear(call: KernelCall, relu: str) -> KernelCall:
    x, turned = call.argument("mat1") or call.argument("self"), call.argument("mat2")
    assert isinstance(turned, Operand)
    weight = replace(turned, shape=turned.shape[::-1])
    return KernelCall(
        f"quantized.linear{relu}.default",
        (
            ("X", _as_codes(x)),
            ("W_prepack", _packed(weight, weight.shape[0])),
            ("Y_scale_i", _SCALE),
            ("Y_zero_point_i", _ZERO),
        ),
        (Operand(call.outputs[0].shape, CODES),),
    )


def _joined(call: KernelCall, relu: str) -> KernelCall | None:
    """A sum or product, with the larger operand first. Of those with a smaller one, networks have products
    with a factor for each channel of an image.
    """
    first, second = sorted(call.operands(), key=lambda operand: -operand.n_bytes)
    if first.shape != second.shape and ("mul" not in call.name or second.shape[2:] != (1, 1)):
        return None
    name = "mul" if "mul" in call.name else f"add{relu}"
    operands = ("qa", _as_codes(first)), ("qb", _as_codes(second))
    return KernelCall(
        f"quantized.{name}.default",
        (*operands, ("scale", _SCALE), ("zero_point", _ZERO)),
        (Operand(call.outputs[0].shape, CODES),),
    )


def _batch_norm(call: KernelCall, relu: str) -> KernelCall:
    names = {"weight": "weight", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    row = [(mine, call.argument(name)) for name, mine in names.items()]
    x = _as_codes(call.argument("input"))
    return _scaled(f"quantized.batch_norm2d{relu}.default", call, ("qx", x), *row, ("eps", 1e-5))


def _layer_norm(call: KernelCall, relu: str) -> KernelCall:
    same = [(name, call.argument(name)) for name in ("normalized_shape", "weight", "bias", "eps")]
    return _scaled("quantized.layer_norm.default", call, ("input", _as_codes(call.argument("input"))), *same)


def _activation(call: KernelCall, relu: str) -> KernelCall:
    x = _as_codes(call.argument("self"))
    return _scaled("quantized.hardswish.default", call, ("input", x))


def _maximum_pool(call: KernelCall, relu: str) -> KernelCall:
    made = _coded(call)
    return replace(made, op="aten.quantized_max_pool2d.default", outputs=made.outputs[:1])


def _average_pool(call: KernelCall, relu: str) -> KernelCall:
    """Half of them pool whole images, which is how networks end and how they squeeze."""
    made = _coded(call)
    if not relu:
        return made
    x = made.argument("self")
    assert isinstance(x, Operand)
    out = Operand((*x.shape[:2], 1, 1), CODES)
    arguments: tuple[tuple[str, KernelArgument], ...] = (("self", x), ("output_size", (1, 1)))
    return KernelCall("aten._adaptive_avg_pool2d.default", arguments, (out,))


_MADE: Mapping[str, Callable[[KernelCall, str], KernelCall | None]] = {
    "convolution": _convolution, "addmm": _linear, "mm": _linear,
    "native_batch_norm": _batch_norm, "native_layer_norm": _layer_norm,
    "max_pool2d_with_indices": _maximum_pool, "avg_pool2d": _average_pool,
    "hardswish": _activation, "hardswish_": _activation,
    **dict.fromkeys(("add", "add_", "mul"), _joined),
}  # fmt: skip
