"""Other backward passes as loops, called through the operators that autograd calls."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.accumulation import add_at
from tests.counts.cases.convolution_gradients import sign
from tests.counts.oracle import Case, Draw, case, normal, positive, shapes, sizes
from tests.counts.scalar import Array, exp, plain, site, total

aten = torch.ops.aten


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
                add_at(result, (i, c), share * (difference if p == 2 else sign(difference)))
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
