"""Backward passes of pooling, interpolation and windows as loops."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.accumulation import accumulated, add_at
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, plain

aten = torch.ops.aten


@case("aten.avg_pool2d_backward")
def avg_pool(draw: Draw) -> Case:
    k, s = draw(sizes(1, 3)), draw(sizes(1, 2))
    x = normal(1, 2, draw(sizes(3, 4)), 3)
    g = torch.randn_like(torch.nn.functional.avg_pool2d(x, k, s))

    def run(g: Tensor, x: Tensor) -> Tensor:
        return aten.avg_pool2d_backward(g, x, [k, k], [s, s], [0, 0], False, True, None)

    def loop(g: Array, x: Array) -> Array:
        result = np.full(x.shape, 0.0, dtype=object)
        for n, c, p, q in np.ndindex(*g.shape):
            share = g[n, c, p, q] / k**2
            for r, t in np.ndindex(k, k):
                add_at(result, (n, c, p * s + r, q * s + t), share)
        return result

    return Case(run, (g, x), loop)


@case("aten._adaptive_avg_pool2d_backward")
def adaptive_pool(draw: Draw) -> Case:
    x = normal(1, 2, draw(sizes(1, 4)), draw(sizes(1, 4)))
    out = (draw(sizes(2, 3)), draw(sizes(1, 3)))

    def loop(g: Array, x: Array) -> Array:
        result = np.full(x.shape, 0.0, dtype=object)
        for n, c, p, q in np.ndindex(*g.shape):
            spans = [
                range(i * h // o, math.ceil((i + 1) * h / o))
                for i, h, o in zip((p, q), x.shape[2:], out, strict=True)
            ]
            share = g[n, c, p, q] / (len(spans[0]) * len(spans[1]))
            for i in spans[0]:
                for j in spans[1]:
                    add_at(result, (n, c, i, j), share)
        return result

    return Case(lambda g, x: aten._adaptive_avg_pool2d_backward(g, x), (normal(1, 2, *out), x), loop)


@case("aten.max_pool2d_with_indices_backward")
def max_pool(draw: Draw) -> Case:
    x = normal(1, 1, draw(sizes(3, 4)), 4)
    out, at = torch.nn.functional.max_pool2d(x, 2, 1, return_indices=True)

    def run(g: Tensor, x: Tensor, at: Tensor) -> Tensor:
        return aten.max_pool2d_with_indices_backward(g, x, [2, 2], [1, 1], [0, 0], [1, 1], False, at)

    def loop(g: Array, x: Array, at: Array) -> Array:
        result = np.full(x.shape, 0.0, dtype=object)
        for index in np.ndindex(*g.shape):
            add_at(result, (0, 0, *divmod(plain(at[index]), x.shape[3])), g[index])
        return result

    return Case(run, (torch.randn_like(out), x, at), loop)


@case("aten.upsample_nearest2d_backward")
def nearest(draw: Draw) -> Case:
    h, f = draw(sizes()), draw(sizes(1, 3))

    def loop(g: Array) -> Array:
        result = np.full((1, 1, h, h), 0.0, dtype=object)
        for _, _, p, q in np.ndindex(*g.shape):
            add_at(result, (0, 0, p // f, q // f), g[0, 0, p, q])
        return result

    def run(g: Tensor) -> Tensor:
        return aten.upsample_nearest2d_backward(g, [h * f, h * f], [1, 1, h, h])

    return Case(run, (normal(1, 1, h * f, h * f),), loop)


@case("aten.upsample_bilinear2d_backward")
def bilinear(draw: Draw) -> Case:
    h, f = draw(sizes(2, 3)), 2

    def weights(i: int) -> list[tuple[int, float]]:
        place = max((i + 0.5) / f - 0.5, 0.0)
        low = min(int(place), h - 1)
        return [(low, 1 - (place - low)), (min(low + 1, h - 1), place - low)]

    def loop(g: Array) -> Array:
        result = np.full((1, 1, h, h), 0.0, dtype=object)
        for _, _, p, q in np.ndindex(*g.shape):
            for row, a in weights(p):
                spread = g[0, 0, p, q] * a
                for column, b in weights(q):
                    add_at(result, (0, 0, row, column), spread * b)
        return result

    def run(g: Tensor) -> Tensor:
        return aten.upsample_bilinear2d_backward(g, [h * f, h * f], [1, 1, h, h], False)

    return Case(run, (normal(1, 1, h * f, h * f),), loop)


@case("aten.select_backward", "aten.unfold_backward")
def placed(draw: Draw) -> Case:
    n = draw(sizes(3, 5))
    if draw(st.booleans()):
        return Case(lambda g: aten.select_backward(g, [n, 2], 0, 1), (normal(2),), lambda g: None)

    def loop(g: Array) -> Array:
        sums = accumulated((i + j, g[i, j]) for i, j in np.ndindex(n - 1, 2))
        return np.array([sums[i] for i in range(n)], dtype=object)

    return Case(lambda g: aten.unfold_backward(g, [n], 0, 2, 1), (normal(n - 1, 2),), loop)


@case("aten.col2im")
def fold(draw: Draw) -> Case:
    h = draw(sizes(2, 4))

    def loop(x: Array) -> Array:
        result = np.full((1, 1, h, h), 0.0, dtype=object)
        for r, t, p, q in np.ndindex(2, 2, h - 1, h - 1):
            add_at(result, (0, 0, p + r, q + t), x[0, r * 2 + t, p * (h - 1) + q])
        return result

    return Case(lambda x: torch.nn.functional.fold(x, h, 2), (normal(1, 4, (h - 1) ** 2),), loop)
