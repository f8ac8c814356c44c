"""thop: hooks on modules of the classes that it knows, in its versions of 2020 (0.0.31) and of 2022
(0.1.1).
"""

from __future__ import annotations

import math

from addercost.counts.counting_tools.seen import (
    ADAPTIVE_AVERAGES,
    AVERAGES,
    BATCH_NORM_LAYERS,
    CONVOLUTIONS,
    LAYERS,
    LEFT_OUT,
    NORM_LAYERS,
    RECURRENT,
    SHARED,
    UPSAMPLERS,
    Differences,
    NotModelled,
    Recurrent,
    Seen,
    layer_of,
)
from addercost.counts.norm_operators import BATCH_NORMS, ROW_NORMS

_RESIZED = {"upsample_linear1d": 5, "upsample_bilinear2d": 11, "upsample_bicubic2d": 259}
_NEAREST = tuple(f"upsample_nearest{axes}d" for axes in (1, 2, 3))


def old(one: Seen) -> Differences:
    """The version of 2020. A model that is itself a single layer has 0, because the sum is over the modules
    inside it.
    """
    if one.call.module == "" and one.leaf and one.type in LAYERS | RECURRENT | NORM_LAYERS:
        yield "the model itself, which is not inside a module", -one.sites
        return
    yield from _both(one, flat_average=True)
    if one.type in CONVOLUTIONS and one.sites:
        yield "convolution bias: 1 an output", one.biases
    if one.type in CONVOLUTIONS and "Transpose" in one.type and one.sites:
        yield from _transposed(one)
    if one.type in BATCH_NORM_LAYERS and one.call.name in BATCH_NORMS:
        yield "batch norm: 2 an element", 2 * one.elements
    if one.type == "LeakyReLU" and one.is_op("leaky_relu", "leaky_relu_"):
        yield "leaky ReLU: 1 an element", one.elements


def new(one: Seen) -> Differences:
    yield from _both(one, flat_average=False)
    if one.type in CONVOLUTIONS and "Transpose" in one.type and one.sites:
        yield from _transposed(one)
    if one.type in NORM_LAYERS - {"GroupNorm"} and one.call.name in (*BATCH_NORMS, *ROW_NORMS):
        scaled = one.call.optional_tensor("weight") is not None
        yield "norms: 4 an element", (4 if scaled else 2) * one.elements
    if one.type == "PReLU" and one.is_op("_prelu_kernel"):
        yield "PReLU: 1 an element", one.elements
    if one.type == "Softmax" and one.is_op("_softmax"):
        dim = one.call.args.get("dim")
        rows = one.elements // max(one.call.shape("self")[dim], 1) if isinstance(dim, int) else 0
        yield "softmax: 3 an element less 1 a row", 3 * one.elements - rows
    if one.type in UPSAMPLERS and one.is_op(*_NEAREST):
        yield "upsampling", one.call.output.numel


def _both(one: Seen, flat_average: bool) -> Differences:
    if one.shared:
        raise NotModelled(SHARED)
    if one.type in RECURRENT:
        yield LEFT_OUT, -one.sites
        if one.first:
            layer = layer_of(one)
            yield (
                "recurrent layers: its own formula",
                layer.rows * sum(_cell(layer, *cell) for cell in layer.cells),
            )
        return
    if one.sites and one.type not in LAYERS:
        yield LEFT_OUT, -one.sites
    if one.type in CONVOLUTIONS and one.has_unsqueezed:
        raise NotModelled("a convolution without a batch axis")
    out = one.call.output.numel
    if one.type in AVERAGES and "avg_pool" in one.name:
        yield "average pooling: 1 an output", out
    elif one.type in ADAPTIVE_AVERAGES and ("avg_pool" in one.name or one.is_op("mean")):
        yield "adaptive pooling: its window and 1 an output", _adaptive(one, flat_average)
    elif one.type in UPSAMPLERS and one.name in _RESIZED:
        yield "upsampling", _RESIZED[one.name] * out


def _adaptive(one: Seen, whole: bool) -> int:
    """For each output, the inputs of its window plus 1. whole: the sides of a window are rounded down."""
    axes = int(one.type[-2])
    before, after = one.call.tensors()[0].shape[-axes:], one.call.output.shape[-axes:]
    if one.type == "AdaptiveAvgPool1d":
        raise NotModelled("adaptive pooling of one axis")
    sides = [a // b if whole else a / b for a, b in zip(before, after, strict=True)]
    return int((math.prod(sides) + 1) * one.call.output.numel)


def _transposed(one: Seen) -> Differences:
    """thop counts every tap at each output, but a transposed convolution uses every tap at each input."""
    weight, groups = one.call.optional_tensor("weight"), one.call.args.get("groups")
    if weight is None or not isinstance(groups, int):
        raise NotModelled("a transposed convolution that is not torch's own")
    taps = weight.shape[0] // groups * math.prod(weight.shape[2:])
    yield "transposed convolutions by their outputs", one.call.output.numel * taps - one.sites


def _cell(layer: Recurrent, inputs: int, hidden: int, biased: bool) -> int:
    gate = hidden * (inputs + hidden) + hidden + (2 * hidden if biased else 0)
    return {"RNN": gate, "GRU": 3 * gate + 4 * hidden, "LSTM": 4 * gate + 4 * hidden}[layer.kind]
