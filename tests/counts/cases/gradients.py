"""Backward passes as loops, called through the operators that autograd calls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

import addercost.layers  # noqa: F401  (defines the operators)
from tests.counts.cases.convolution import geometry
from tests.counts.oracle import Case, Draw, case, normal, positive, shapes, sizes
from tests.counts.scalar import Array, Number, exp, plain, site, sqrt, total

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


def accumulated(terms: Any) -> dict[Any, Any]:
    sums: dict[Any, Any] = {}
    for index, term in terms:
        sums[index] = sums[index] + term if index in sums else term
    return sums


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


def _add_to(result: Array, index: Any, value: Any) -> None:
    result[index] = result[index] + value


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
                _add_to(result, (n, c, p * s + r, q * s + t), share)
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
                    _add_to(result, (n, c, i, j), share)
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
            _add_to(result, (0, 0, *divmod(plain(at[index]), x.shape[3])), g[index])
        return result

    return Case(run, (torch.randn_like(out), x, at), loop)


@case("aten.upsample_nearest2d_backward")
def nearest(draw: Draw) -> Case:
    h, f = draw(sizes()), draw(sizes(1, 3))

    def loop(g: Array) -> Array:
        result = np.full((1, 1, h, h), 0.0, dtype=object)
        for _, _, p, q in np.ndindex(*g.shape):
            _add_to(result, (0, 0, p // f, q // f), g[0, 0, p, q])
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
                    _add_to(result, (0, 0, row, column), spread * b)
        return result

    def run(g: Tensor) -> Tensor:
        return aten.upsample_bilinear2d_backward(g, [h * f, h * f], [1, 1, h, h], False)

    return Case(run, (normal(1, 1, h * f, h * f),), loop)


@case("aten.nll_loss_backward")
def nll_loss(draw: Draw) -> Case:
    rows, n = draw(sizes(1, 4)), draw(sizes())
    x, target = normal(rows, n), torch.randint(0, n, (rows,))

    def run(g: Tensor, x: Tensor, target: Tensor) -> Tensor:
        count = torch.tensor(float(rows), dtype=torch.float64)
        return aten.nll_loss_backward(g, x, target, None, 1, -100, count)

    def loop(g: Array, x: Array, target: Array) -> Array:
        result = np.full(x.shape, 0.0, dtype=object)
        for i in range(rows):
            result[i, plain(target[i])] = -g[()] / rows
        return result

    return Case(run, (normal(), x, target), loop)


@case("aten._cdist_backward")
def cdist(draw: Draw) -> Case:
    n, m, k = draw(sizes()), draw(sizes()), draw(sizes())
    p = draw(st.sampled_from([1.0, 2.0]))
    a, b = normal(n, k), normal(m, k)
    distance = torch.ops.aten._cdist_forward(a, b, p, 2)

    def run(g: Tensor, a: Tensor, b: Tensor, d: Tensor) -> Tensor:
        return aten._cdist_backward(g, a, b, p, d)

    def loop(g: Array, a: Array, b: Array, d: Array) -> Array:
        result = np.full(a.shape, 0.0, dtype=object)
        for i, j in np.ndindex(n, m):
            share = g[i, j] / d[i, j] if p == 2 else g[i, j]
            for c in range(k):
                difference = a[i, c] - b[j, c]
                _add_to(result, (i, c), share * (difference if p == 2 else sign(difference)))
        return result

    return Case(run, (normal(n, m), a, b, distance), loop)


@case("aten._prelu_kernel_backward")
def prelu(draw: Draw) -> Case:
    shape = draw(shapes())

    def loop(g: Array, x: Array, w: Array) -> Array:
        result = np.empty(x.shape, dtype=object)
        for i in np.ndindex(*x.shape):
            scaled, _ = g[i] * w[i], g[i] * x[i]
            result[i] = g[i] if x[i] > 0 else scaled
        return result

    return Case(aten._prelu_kernel_backward, (normal(*shape), normal(*shape), positive(*shape)), loop)


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
            _add_to(result, (0, 0, p + r, q + t), x[0, r * 2 + t, p * (h - 1) + q])
        return result

    return Case(lambda x: torch.nn.functional.fold(x, h, 2), (normal(1, 4, (h - 1) ** 2),), loop)


@case("aten._scaled_dot_product_flash_attention_for_cpu_backward")
def attention(draw: Draw) -> Case:
    rows, columns, e = draw(sizes()), draw(sizes()), draw(sizes())
    q, k, v, g = (normal(1, 1, n, e) for n in (rows, columns, columns, rows))
    out, logs = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    scale = e**-0.5

    def run(g: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, logs: Tensor) -> Tensor:
        return aten._scaled_dot_product_flash_attention_for_cpu_backward(g, q, k, v, out, logs, 0.0, False)[0]

    def loop(g: Array, q: Array, k: Array, v: Array, out: Array, logs: Array) -> Array:
        g, q, k, v, out, logs = g[0, 0], q[0, 0], k[0, 0], v[0, 0], out[0, 0], logs[0, 0]
        p, ds = np.empty((rows, columns), dtype=object), np.empty((rows, columns), dtype=object)
        for i, j in np.ndindex(rows, columns):
            score = total(site(a, b) for a, b in zip(q[i], k[j], strict=True))
            p[i, j] = exp(score * scale - logs[i])
        for i in range(rows):
            dot = total(a * b for a, b in zip(g[i], out[i], strict=True))
            for j in range(columns):
                dp = total(site(a, b) for a, b in zip(g[i], v[j], strict=True))
                ds[i, j] = p[i, j] * (dp - dot) * scale
        for j, c in np.ndindex(columns, e):
            total(site(p[i, j], g[i, c]) for i in range(rows))
            total(site(ds[i, j], q[i, c]) for i in range(rows))
        result = np.empty((1, 1, rows, e), dtype=object)
        for i, c in np.ndindex(rows, e):
            result[0, 0, i, c] = total(site(ds[i, j], k[j, c]) for j in range(columns))
        return result

    return Case(run, (g, q, k, v, out, logs), loop, tolerance=1e-7)
