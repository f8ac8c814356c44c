"""Convolutions as loops, adder, binary and shift layers included."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import addercost.layers  # noqa: F401  (defines the operators)
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import SITES, Array, Number, plain, site, total


def taps(x: Array, w: Array, place: Any) -> Any:
    """(output index, [(input element or 0 in the padding, weight element)]) of a direct convolution."""
    stride, padding, dilation, groups = place
    axes = w.ndim - 2
    k_per_group = w.shape[0] // groups
    out = [
        (x.shape[2 + a] + 2 * padding[a] - dilation[a] * (w.shape[2 + a] - 1) - 1) // stride[a] + 1
        for a in range(axes)
    ]
    for n, k, *p in np.ndindex(x.shape[0], w.shape[0], *out):
        first = k // k_per_group * w.shape[1]
        pairs = []
        for c, *r in np.ndindex(*w.shape[1:]):
            at = [p[a] * stride[a] + r[a] * dilation[a] - padding[a] for a in range(axes)]
            inside = all(0 <= i < size for i, size in zip(at, x.shape[2:], strict=True))
            pairs.append((x[(n, first + c, *at)] if inside else 0.0, w[(k, c, *r)]))
        yield (n, k, *p), pairs


def by_output(x: Array, w: Array, place: Any, sum_of: Callable[[int, Any], Any]) -> Array:
    found = {index: sum_of(index[1], pairs) for index, pairs in taps(x, w, place)}
    result = np.empty([max(i) + 1 for i in zip(*found, strict=True)], dtype=object)
    for index, value in found.items():
        result[index] = value
    return result


def geometry(draw: Draw, axes: int) -> Any:
    """(input, weight, (stride, padding, dilation, groups)) of a convolution that fits."""
    groups = draw(sizes(1, 2))
    c, k = draw(sizes(1, 2)), draw(sizes(1, 2))
    kernel = [draw(sizes(1, 2)) for _ in range(axes)]
    dilation = [draw(sizes(1, 2)) for _ in range(axes)]
    stride = [draw(sizes(1, 2)) for _ in range(axes)]
    padding = [draw(sizes(0, 1)) for _ in range(axes)]
    image = [draw(sizes(d * (r - 1) + 1, 4)) for d, r in zip(dilation, kernel, strict=True)]
    x = normal(draw(sizes(1, 2)), c * groups, *image)
    w = normal(k * groups, c, *kernel)
    return x, w, (stride, padding, dilation, groups)


@case("aten.convolution")
def convolution(draw: Draw) -> Case:
    axes = draw(sizes(1, 3))
    x, w, place = geometry(draw, axes)
    tensors = (x, w, normal(w.shape[0])) if draw(st.booleans()) else (x, w)

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        stride, padding, dilation, groups = place
        return torch.convolution(x, w, b, stride, padding, dilation, False, [0] * axes, groups)

    def loop(x: Array, w: Array, b: Array | None = None) -> Array:
        def dot(k: int, pairs: Any) -> Any:
            value = total(site(a, f) for a, f in pairs)
            return value if b is None else value + b[k]

        return by_output(x, w, place, dot)

    return Case(run, tensors, loop)


@case("aten.convolution")
def depthwise(draw: Draw) -> Case:
    channels, multiplier = draw(sizes()), draw(sizes(1, 2))
    x, w = normal(1, channels, 4, 3), normal(channels * multiplier, 1, 2, 3)

    def run(x: Tensor, w: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, w, groups=channels)

    def loop(x: Array, w: Array) -> Array:
        place = ([1, 1], [0, 0], [1, 1], channels)
        return by_output(x, w, place, lambda k, pairs: total(site(a, f) for a, f in pairs))

    return Case(run, (x, w), loop)


@case("aten.convolution")
def transposed(draw: Draw) -> Case:
    """Every input scatters into a window; positions that nothing reaches stay zero, a border is cropped."""
    axes, groups = draw(sizes(1, 2)), draw(sizes(1, 2))
    c, k = draw(sizes(1, 2)), draw(sizes(1, 2))
    kernel = [draw(sizes(1, 3)) for _ in range(axes)]
    stride = [draw(sizes(1, 3)) for _ in range(axes)]
    dilation = [draw(sizes(1, 2)) for _ in range(axes)]
    extra = [draw(sizes(0, max(max(s, d) - 1, 0))) for s, d in zip(stride, dilation, strict=True)]
    image = [draw(sizes(1, 3)) for _ in range(axes)]
    full = [(h - 1) * s + d * (r - 1) + 1 for h, s, d, r in zip(image, stride, dilation, kernel, strict=True)]
    padding = [draw(sizes(0, min(1, (size - 1) // 2))) for size in full]
    biased = draw(st.booleans())
    x, w = normal(draw(sizes(1, 2)), c * groups, *image), normal(c * groups, k, *kernel)
    tensors = (x, w, normal(k * groups)) if biased else (x, w)

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return torch.convolution(x, w, b, stride, padding, dilation, True, extra, groups)

    def loop(x: Array, w: Array, b: Array | None = None) -> Array:
        sums: dict[tuple[int, ...], Any] = {}
        for n, ci, *h in np.ndindex(*x.shape):
            for ki, *r in np.ndindex(*w.shape[1:]):
                at = [h[a] * stride[a] + r[a] * dilation[a] for a in range(axes)]
                index = (n, ci // c * k + ki, *at)
                term = site(x[(n, ci, *h)], w[(ci, ki, *r)])
                sums[index] = sums[index] + term if index in sums else term
        out = [size - 2 * pad + e for size, pad, e in zip(full, padding, extra, strict=True)]
        result = np.empty([x.shape[0], k * groups, *out], dtype=object)
        for n, ki, *p in np.ndindex(*result.shape):
            value = sums.get((n, ki, *(i + pad for i, pad in zip(p, padding, strict=True))), 0.0)
            result[(n, ki, *p)] = value if b is None else value + b[ki]
        return result

    return Case(run, tensors, loop)


def _layer(draw: Draw) -> Any:
    x, w, place = geometry(draw, 2)
    bias = normal(w.shape[0]) if draw(st.booleans()) else None
    return (x, w) if bias is None else (x, w, bias), place


@case("addercost.adder_conv2d")
def adder_convolution(draw: Draw) -> Case:
    tensors, place = _layer(draw)

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return torch.ops.addercost.adder_conv2d(x, w, b, *place)

    def loop(x: Array, w: Array, b: Array | None = None) -> Array:
        return by_output(x, w, place, lambda k, pairs: l1(pairs, None if b is None else b[k]))

    return Case(run, tensors, loop)


def l1(pairs: Any, start: Any) -> Any:
    """start - Σ|x - w|, the first term negated where there is no start."""
    value = start
    for a, f in pairs:
        f.tally[SITES] += 1
        term = abs(a - f)
        value = -term if value is None else value - term
    return value


@case("addercost.adder_linear")
def adder_linear(draw: Draw) -> Case:
    rows, c, k = draw(sizes()), draw(sizes()), draw(sizes())
    biased = draw(st.booleans())
    tensors = (normal(rows, c), normal(k, c), normal(k)) if biased else (normal(rows, c), normal(k, c))

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return torch.ops.addercost.adder_linear(x, w, b)

    def loop(x: Array, w: Array, b: Array | None = None) -> Array:
        result = np.empty((rows, k), dtype=object)
        for i, j in itertools.product(range(rows), range(k)):
            result[i, j] = l1(list(zip(x[i], w[j], strict=True)), None if b is None else b[j])
        return result

    return Case(run, tensors, loop)


def signs(x: Array) -> Array:
    """One comparison an input: its sign as a bit."""
    result = np.empty(x.shape, dtype=object)
    for index in np.ndindex(*x.shape):
        result[index] = x[index] >= 0
    return result


def agreement(pairs: Any, alpha: float, start: Any) -> Any:
    """alpha·(2·popcount(xnor) - K) + start on bits; weights' signs and alpha are known beforehand."""
    ones: Any = None
    for a, f in pairs:
        f.tally[SITES] += 1
        f.tally["xnor"] += 1
        f.tally["popcount"] += 1
        same = int((plain(a) if isinstance(a, Number) else True) == (plain(f) >= 0))
        ones = Number((0 if ones is None else ones.value) + same, f.tally)
    value = ((ones << 1) - len(pairs)) * alpha
    return value if start is None else value + start


def scale(w: Array) -> float:
    weights = [abs(plain(value)) for value in w.ravel()]
    return float(sum(weights) / len(weights))


@case("addercost.binary_conv2d")
def binary_convolution(draw: Draw) -> Case:
    tensors, place = _layer(draw)

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return torch.ops.addercost.binary_conv2d(x, w, b, *place)

    def loop(x: Array, w: Array, b: Array | None = None) -> Array:
        return by_output(
            signs(x), w, place, lambda k, pairs: agreement(pairs, scale(w[k]), None if b is None else b[k])
        )

    return Case(run, tensors, loop)


@case("addercost.binary_linear")
def binary_linear(draw: Draw) -> Case:
    rows, c, k = draw(sizes()), draw(sizes()), draw(sizes())

    def run(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.ops.addercost.binary_linear(x, w, b)

    def loop(x: Array, w: Array, b: Array) -> Array:
        bits = signs(x)
        result = np.empty((rows, k), dtype=object)
        for i, j in itertools.product(range(rows), range(k)):
            result[i, j] = agreement(list(zip(bits[i], w[j], strict=True)), scale(w[j]), b[j])
        return result

    return Case(run, (normal(rows, c), normal(k, c), normal(k)), loop)


def shifted(x: Any, w: Any) -> Any:
    """x·2^e by shifting, for a weight of ±2^e; its sign turns the addition into a subtraction for nothing."""
    w.tally[SITES] += 1
    w.tally["shift"] += 1
    return Number(plain(x) * plain(w), w.tally)


@case("addercost.shift_conv2d")
def shift_convolution(draw: Draw) -> Case:
    tensors, place = _layer(draw)
    tensors = (tensors[0], torch.exp2(torch.randint(-2, 2, tensors[1].shape).double()), *tensors[2:])

    def run(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return torch.ops.addercost.shift_conv2d(x, w, b, *place)

    def loop(x: Array, w: Array, b: Array | None = None) -> Array:
        def dot(k: int, pairs: Any) -> Any:
            value = total(shifted(a, f) for a, f in pairs)
            return value if b is None else value + b[k]

        return by_output(x, w, place, dot)

    return Case(run, tensors, loop)


@case("addercost.shift_linear")
def shift_linear(draw: Draw) -> Case:
    rows, c, k = draw(sizes()), draw(sizes()), draw(sizes())
    w = -torch.exp2(torch.randint(-2, 2, (k, c)).double())

    def run(x: Tensor, w: Tensor) -> Tensor:
        return torch.ops.addercost.shift_linear(x, w, None)

    def loop(x: Array, w: Array) -> Array:
        result = np.empty((rows, k), dtype=object)
        for i, j in itertools.product(range(rows), range(k)):
            result[i, j] = total(shifted(a, f) for a, f in zip(x[i], w[j], strict=True))
        return result

    return Case(run, (normal(rows, c), w), loop)


@case("aten.conv_tbc")
def convolution_over_time(draw: Draw) -> Case:
    steps, batch, c, k = draw(sizes(2, 4)), draw(sizes(1, 2)), draw(sizes(1, 2)), draw(sizes(1, 3))
    taps, padding = draw(sizes(1, 2)), draw(sizes(0, 1))
    tensors = normal(steps, batch, c), normal(taps, c, k), normal(k)

    def loop(x: Array, w: Array, b: Array) -> Array:
        result = np.empty((steps + 2 * padding - taps + 1, batch, k), dtype=object)
        for t, n, f in np.ndindex(*result.shape):
            result[t, n, f] = total(
                site(x[t + r - padding, n, i] if 0 <= t + r - padding < steps else 0.0, w[r, i, f])
                for r in range(taps)
                for i in range(c)
            )
            result[t, n, f] = result[t, n, f] + b[f]
        return result

    return Case(lambda x, w, b: torch.conv_tbc(x, w, b, padding), tensors, loop)
