"""Backward passes of convolutions and adder layers as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import addercost.layers  # noqa: F401  (defines the operators)
from tests.counts.cases.accumulation import accumulated
from tests.counts.cases.convolution import geometry
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, Number, plain, site, total

aten = torch.ops.aten


def padded_sites(x: Array, w: Array, g: Array, place: Any) -> Any:
    """(padded input index, weight index, output index, input or 0) of every site."""
    stride, padding, dilation, groups = place
    axes, k_per_group = w.ndim - 2, w.shape[0] // groups
    for n, k, *p in np.ndindex(*g.shape):
        for c, *r in np.ndindex(*w.shape[1:]):
            at = [p[a] * stride[a] + r[a] * dilation[a] for a in range(axes)]
            real = [i - pad for i, pad in zip(at, padding, strict=True)]
            channel = k // k_per_group * w.shape[1] + c
            inside = all(0 <= i < size for i, size in zip(real, x.shape[2:], strict=True))
            value = x[(n, channel, *real)] if inside else 0.0
            yield (n, channel, *at), (k, c, *r), (n, k, *p), value


def filled(sums: dict[Any, Any], shape: Any, offset: Any = None) -> Array:
    result = np.full(shape, 0.0, dtype=object)
    for index in np.ndindex(*shape):
        key = (
            index
            if offset is None
            else (*index[:2], *(i + o for i, o in zip(index[2:], offset, strict=True)))
        )
        if key in sums:
            result[index] = sums[key]
    return result


def _forward(draw: Draw) -> Any:
    x, w, place = geometry(draw, draw(sizes(1, 2)))
    stride, padding, dilation, groups = place
    out = torch.convolution(x, w, None, stride, padding, dilation, False, [0] * len(stride), groups)
    return x, w, torch.randn_like(out), place


@case("aten.convolution_backward")
def convolution_input(draw: Draw) -> Case:
    x, w, g, place = _forward(draw)

    def run(g: Tensor, x: Tensor, w: Tensor) -> Tensor:
        stride, padding, dilation, groups = place
        rest = (stride, padding, dilation, False, [0] * len(stride), groups, [True, False, False])
        return aten.convolution_backward(g, x, w, [0], *rest)[0]

    def loop(g: Array, x: Array, w: Array) -> Array:
        sums = accumulated((i, site(g[o], w[t])) for i, t, o, _ in padded_sites(x, w, g, place))
        return filled(sums, x.shape, place[1])

    return Case(run, (g, x, w), loop)


@case("aten.convolution_backward")
def convolution_weight_and_bias(draw: Draw) -> Case:
    x, w, g, place = _forward(draw)

    def run(g: Tensor, x: Tensor, w: Tensor) -> Tensor:
        stride, padding, dilation, groups = place
        rest = (stride, padding, dilation, False, [0] * len(stride), groups, [False, True, True])
        return aten.convolution_backward(g, x, w, [w.shape[0]], *rest)[1]

    def loop(g: Array, x: Array, w: Array) -> Array:
        sums = accumulated((t, site(v, g[o])) for _, t, o, v in padded_sites(x, w, g, place))
        for k in range(w.shape[0]):
            total(iter(g[:, k].ravel()))
        return filled(sums, w.shape)

    return Case(run, (g, x, w), loop)


@case("aten.convolution_backward")
def transposed_input(draw: Draw) -> Case:
    c, k, r, h, s = (draw(sizes(1, 3)) for _ in range(5))
    x, w = normal(1, c, h), normal(c, k, r)
    g = torch.randn_like(torch.conv_transpose1d(x, w, stride=s))

    def run(g: Tensor, x: Tensor, w: Tensor) -> Tensor:
        rest = ([s], [0], [1], True, [0], 1, [True, False, False])
        return aten.convolution_backward(g, x, w, [0], *rest)[0]

    def loop(g: Array, x: Array, w: Array) -> Array:
        result = np.empty(x.shape, dtype=object)
        for n, ci, i in np.ndindex(*x.shape):
            pairs = [(g[n, ki, i * s + t], w[ci, ki, t]) for ki, t in np.ndindex(k, r)]
            result[n, ci, i] = total(site(a, b) for a, b in pairs)
        return result

    return Case(run, (g, x, w), loop)


def clamped(value: Any) -> Any:
    below = Number(plain(min(value, 1.0)), value.tally)
    return max(below, -1.0)


def sign(value: Any) -> Any:
    return (value > 0) - (value < 0)


def _adder(draw: Draw, for_input: bool) -> Case:
    x, w, place = geometry(draw, 2)
    kind = draw(st.sampled_from(["full", "sign"]))
    g = torch.randn_like(torch.ops.addercost.adder_conv2d(x, w, None, *place))
    operators = torch.ops.addercost
    operator = operators.adder_conv2d_input_gradient if for_input else operators.adder_conv2d_weight_gradient

    def term(v: Any, weight: Any) -> Any:
        difference = weight - v if for_input else v - weight
        if kind == "sign":
            return sign(difference)
        return clamped(difference) if for_input else difference

    def loop(g: Array, x: Array, w: Array) -> Array:
        found = padded_sites(x, w, g, place)
        if for_input:
            sums = accumulated((i, site(term(v, w[t]), g[o])) for i, t, o, v in found)
            return filled(sums, x.shape, place[1])
        return filled(accumulated((t, site(term(v, w[t]), g[o])) for _, t, o, v in found), w.shape)

    return Case(lambda g, x, w: operator(g, x, w, *place, kind), (g, x, w), loop)


@case("addercost.adder_conv2d_input_gradient")
def adder_input(draw: Draw) -> Case:
    return _adder(draw, True)


@case("addercost.adder_conv2d_weight_gradient")
def adder_weight(draw: Draw) -> Case:
    return _adder(draw, False)
