"""Backward passes of norms and softmax as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.oracle import Case, Draw, case, normal, positive, sizes
from tests.counts.scalar import Array, exp, sqrt, total

aten = torch.ops.aten


@case("aten.native_batch_norm_backward")
def batch_norm(draw: Draw) -> Case:
    n, c, h = draw(sizes(2, 3)), draw(sizes()), draw(sizes(2, 3))
    trains = draw(st.booleans())
    g, x, w = normal(n, c, h), normal(n, c, h), normal(c)
    mean, var = (x.mean((0, 2)), x.var((0, 2), unbiased=False)) if trains else (normal(c), positive(c))
    inverse = 1 / torch.sqrt(var + 1e-5)

    def run(g: Tensor, x: Tensor, w: Tensor, mean: Tensor, other: Tensor) -> Tensor:
        running = (None, None) if trains else (mean, other)
        saved = (mean, other) if trains else (None, None)
        return aten.native_batch_norm_backward(g, x, w, *running, *saved, trains, 1e-5, [True] * 3)[0]

    def loop(g: Array, x: Array, w: Array, mean: Array, other: Array) -> Array:
        result = np.empty(x.shape, dtype=object)
        m = n * h
        for k in range(c):
            gs, xs = g[:, k].ravel(), x[:, k].ravel()
            r = other[k] if trains else 1 / sqrt(other[k] + 1e-5)
            hats = [(v - mean[k]) * r for v in xs]
            for_w = total(a * b for a, b in zip(gs, hats, strict=True))
            for_b = total(iter(gs))
            scale = w[k] * r
            if trains:
                a, b = for_b / m, for_w / m
                out = [(v - a - hat * b) * scale for v, hat in zip(gs, hats, strict=True)]
            else:
                out = [v * scale for v in gs]
            result[:, k] = np.array(out, dtype=object).reshape(n, h)
        return result

    return Case(run, (g, x, w, mean, inverse if trains else var), loop)


def _row(g: Any, hats: Any, w: Any, r: Any) -> list[Any]:
    n = len(hats)
    h = [a * b for a, b in zip(g, w, strict=True)] if w is not None else list(g)
    a = total(iter(h)) / n
    b = total(u * v for u, v in zip(h, hats, strict=True)) / n
    return [(u - a - hat * b) * r for u, hat in zip(h, hats, strict=True)]


@case("aten.native_layer_norm_backward")
def layer_norm(draw: Draw) -> Case:
    rows, n = draw(sizes()), draw(sizes(2, 3))
    g, x, w, b = normal(rows, n), normal(rows, n), normal(n), normal(n)
    mean = x.mean(1, keepdim=True)
    inverse = 1 / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + 1e-5)

    def run(g: Tensor, x: Tensor, mean: Tensor, r: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return aten.native_layer_norm_backward(g, x, [n], mean, r, w, b, [True] * 3)[0]

    def loop(g: Array, x: Array, mean: Array, r: Array, w: Array, b: Array) -> Array:
        out, hats = [], []
        for i in range(rows):
            hats.append([(v - mean[i, 0]) * r[i, 0] for v in x[i]])
            out.append(_row(g[i], hats[-1], w, r[i, 0]))
        for j in range(n):
            total(g[i, j] * hats[i][j] for i in range(rows))
            total(g[i, j] for i in range(rows))
        return np.array(out, dtype=object)

    return Case(run, (g, x, mean, inverse, w, b), loop)


@case("aten.native_group_norm_backward")
def group_norm(draw: Draw) -> Case:
    n, groups, h = draw(sizes(1, 2)), draw(sizes(1, 2)), draw(sizes(1, 3))
    c = 2 * groups
    g, x, w = normal(n, c, h), normal(n, c, h), normal(c)
    rows = x.reshape(n, groups, -1)
    mean = rows.mean(2)
    inverse = 1 / torch.sqrt(rows.var(2, unbiased=False) + 1e-5)

    def run(g: Tensor, x: Tensor, mean: Tensor, r: Tensor, w: Tensor) -> Tensor:
        return aten.native_group_norm_backward(g, x, mean, r, w, n, c, h, groups, [True] * 3)[0]

    def loop(g: Array, x: Array, mean: Array, r: Array, w: Array) -> Array:
        result, hats = np.empty(x.shape, dtype=object), np.empty(x.shape, dtype=object)
        for i, k in np.ndindex(n, groups):
            part = (i, slice(2 * k, 2 * k + 2))
            flat = [(v - mean[i, k]) * r[i, k] for v in x[part].ravel()]
            hats[part] = np.array(flat, dtype=object).reshape(2, h)
            weights = np.repeat(w[2 * k : 2 * k + 2], h)
            result[part] = np.array(_row(g[part].ravel(), flat, weights, r[i, k]), dtype=object).reshape(2, h)
        for k in range(c):
            total(g[i, k, j] * hats[i, k, j] for i, j in np.ndindex(n, h))
            total(g[i, k, j] for i, j in np.ndindex(n, h))
        return result

    return Case(run, (g, x, mean, inverse, w), loop)


@case("aten._fused_rms_norm_backward")
def rms_norm(draw: Draw) -> Case:
    rows, n = draw(sizes()), draw(sizes(1, 3))
    g, x, w = normal(rows, n), normal(rows, n), normal(n)
    inverse = 1 / torch.sqrt(x.square().mean(1, keepdim=True) + 1e-5)

    def run(g: Tensor, x: Tensor, r: Tensor, w: Tensor) -> Tensor:
        return aten._fused_rms_norm_backward(g, x, [n], r, w, [True, True])[0]

    def loop(g: Array, x: Array, r: Array, w: Array) -> Array:
        out, hats = [], []
        for i in range(rows):
            hat = [v * r[i, 0] for v in x[i]]
            h = [a * b for a, b in zip(g[i], w, strict=True)]
            b = total(u * v for u, v in zip(h, hat, strict=True)) / n
            out.append([(u - v * b) * r[i, 0] for u, v in zip(h, hat, strict=True)])
            hats.append(hat)
        for j in range(n):
            total(g[i, j] * hats[i][j] for i in range(rows))
        return np.array(out, dtype=object)

    def reference(g: Tensor, x: Tensor, r: Tensor, w: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.clone().requires_grad_()
            return torch.autograd.grad(torch.rms_norm(leaf, [n], w, 1e-5), leaf, g)[0]

    return Case(run, (g, x, inverse, w), loop, reference=reference)


@case("aten._softmax_backward_data", "aten._log_softmax_backward_data")
def softmax(draw: Draw) -> Case:
    rows, n = draw(sizes()), draw(sizes())
    logarithmic = draw(st.booleans())
    g, x = normal(rows, n), normal(rows, n)
    operator = aten._log_softmax_backward_data if logarithmic else aten._softmax_backward_data
    y = torch.log_softmax(x, 1) if logarithmic else torch.softmax(x, 1)

    def row(g: Any, y: Any) -> list[Any]:
        if logarithmic:
            whole = total(iter(g))
            return [a - exp(b) * whole for a, b in zip(g, y, strict=True)]
        whole = total(a * b for a, b in zip(g, y, strict=True))
        return [b * (a - whole) for a, b in zip(g, y, strict=True)]

    def loop(g: Array, y: Array) -> Array:
        return np.array([row(a, b) for a, b in zip(g, y, strict=True)], dtype=object)

    return Case(lambda g, y: operator(g, y, 1, torch.float64), (g, y), loop)
