"""The matrix-product family as loops, through the functions people call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, exp, site, total


def product(a: Array, b: Array) -> Array:
    """[n, k]·[k, m]."""
    result = np.empty((a.shape[0], b.shape[1]), dtype=object)
    for i, j in np.ndindex(*result.shape):
        result[i, j] = total(site(x, w) for x, w in zip(a[i], b[:, j], strict=True))
    return result


def each(a: Array, function: Callable[[Any], Any]) -> Array:
    result = np.empty(a.shape, dtype=object)
    for index in np.ndindex(*a.shape):
        result[index] = function(a[index])
    return result


def batched(a: Array, b: Array) -> Array:
    return np.array([product(x, y) for x, y in zip(a, b, strict=True)], dtype=object)


@case("aten.mm")
def mm(draw: Draw) -> Case:
    n, k, m = (draw(sizes()) for _ in range(3))
    return Case(torch.mm, (normal(n, k), normal(k, m)), product)


@case("aten.bmm")
def bmm(draw: Draw) -> Case:
    n, k, m, b = (draw(sizes()) for _ in range(4))
    return Case(torch.bmm, (normal(b, n, k), normal(b, k, m)), batched)


@case("aten.mv")
def mv(draw: Draw) -> Case:
    n, k = draw(sizes()), draw(sizes())
    return Case(torch.mv, (normal(n, k), normal(k)), lambda a, v: product(a, v[:, None])[:, 0])


@case("aten.dot", "aten.vdot")
def dot(draw: Draw) -> Case:
    k = draw(sizes())
    function = draw(st.sampled_from([torch.dot, torch.vdot]))
    return Case(function, (normal(k), normal(k)), lambda a, b: product(a[None], b[:, None])[0, 0])


def _added(draw: Draw, function: Any, c: Tensor, a: Tensor, b: Tensor, multiply: Any) -> Case:
    """β·c + α·(a·b): a factor of one is not multiplied by, β = 0 adds nothing."""
    beta, alpha = draw(st.sampled_from([0, 1, 0.5])), draw(st.sampled_from([1, 2.0]))

    def run(c: Tensor, a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = function(c, a, b, beta=beta, alpha=alpha)
        return out

    def loop(c: Array, a: Array, b: Array) -> Array:
        result = multiply(a, b)
        c = np.broadcast_to(c, result.shape)
        for index in np.ndindex(*result.shape):
            value = result[index] if alpha == 1 else result[index] * alpha
            if beta:
                value = value + (c[index] if beta == 1 else c[index] * beta)
            result[index] = value
        return result

    return Case(run, (c, a, b), loop)


@case("aten.addmm")
def addmm(draw: Draw) -> Case:
    n, k, m = (draw(sizes()) for _ in range(3))
    return _added(draw, torch.addmm, normal(m), normal(n, k), normal(k, m), product)


@case("aten.baddbmm")
def baddbmm(draw: Draw) -> Case:
    n, k, m, b = (draw(sizes()) for _ in range(4))
    return _added(draw, torch.baddbmm, normal(b, n, m), normal(b, n, k), normal(b, k, m), batched)


@case("aten.addbmm")
def addbmm(draw: Draw) -> Case:
    n, k, m, b = (draw(sizes()) for _ in range(4))

    def multiply(x: Array, y: Array) -> Array:
        return product(np.concatenate(list(x), axis=1), np.concatenate(list(y), axis=0))

    return _added(draw, torch.addbmm, normal(n, m), normal(b, n, k), normal(b, k, m), multiply)


@case("aten.addmv")
def addmv(draw: Draw) -> Case:
    n, k = draw(sizes()), draw(sizes())
    return _added(
        draw, torch.addmv, normal(n), normal(n, k), normal(k), lambda a, v: product(a, v[:, None])[:, 0]
    )


@case()
def linear(draw: Draw) -> Case:
    """Over any number of leading axes, with and without bias."""
    lead = draw(st.lists(sizes(), max_size=2))
    c, k = draw(sizes()), draw(sizes())
    tensors = (normal(*lead, c), normal(k, c), normal(k))

    def loop(x: Array, w: Array, b: Array) -> Array:
        out = product(x.reshape(-1, c), w.T)
        for i, j in np.ndindex(*out.shape):
            out[i, j] = out[i, j] + b[j]
        return out.reshape(*lead, k)

    return Case(torch.nn.functional.linear, tensors, loop)


@case()
def matmul_broadcast(draw: Draw) -> Case:
    """[B, 1, n, k]·[C, k, m]: every product of the broadcast batch."""
    b, c, n, k, m = (draw(sizes(1, 2)) for _ in range(5))

    def loop(x: Array, y: Array) -> Array:
        result = np.empty((b, c, n, m), dtype=object)
        for i, j in itertools.product(range(b), range(c)):
            result[i, j] = product(x[i, 0], y[j])
        return result

    return Case(torch.matmul, (normal(b, 1, n, k), normal(c, k, m)), loop)


EINSUMS = ("ij,jk->ik", "bij,bjk->bik", "i,j->ij", "ij,ij->i", "...ij,...jk->...ik", "bhqd,bhkd->bhqk")
"""Products with no more than one multiplication a term, among them an outer product and an ellipsis."""


@case()
def einsum(draw: Draw) -> Case:
    equation = draw(st.sampled_from(EINSUMS))
    plain = equation.replace("...", "z")
    size = {letter: draw(sizes(2, 3)) for letter in sorted(set(plain) - set(",->"))}
    left, right = plain.split("->")[0].split(",")
    out = plain.split("->")[1]
    tensors = tuple(normal(*(size[letter] for letter in term)) for term in (left, right))
    summed = sorted(set(left + right) - set(out))

    def loop(x: Array, y: Array) -> Array:
        result = np.empty([size[letter] for letter in out], dtype=object)
        for index in np.ndindex(*result.shape):
            terms = []
            for inner in np.ndindex(*(size[letter] for letter in summed)):
                at = dict(zip([*out, *summed], [*index, *inner], strict=True))
                a, b = x[tuple(at[i] for i in left)], y[tuple(at[i] for i in right)]
                # An outer product sums nothing: it is element-wise work and has no MAC sites.
                terms.append(site(a, b) if summed else a * b)
            result[index] = total(terms)
        return result

    return Case(lambda x, y: torch.einsum(equation, x, y), tensors, loop)


def softmax_row(row: Array) -> list[Any]:
    largest = row[0]
    for value in row[1:]:
        largest = max(largest, value)
    terms = [exp(value - largest) for value in row]
    whole = total(iter(terms))
    return [term / whole for term in terms]


@case("aten._scaled_dot_product_flash_attention_for_cpu")
def attention(draw: Draw) -> Case:
    """softmax(q·kᵀ·scale + mask)·v for every head."""
    rows, columns, width = draw(sizes()), draw(sizes()), draw(sizes())
    masked = draw(st.booleans())
    tensors = (normal(1, 2, rows, width), normal(1, 2, columns, width), normal(1, 2, columns, width))
    if masked:
        tensors = (*tensors, normal(rows, columns))

    def run(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        out = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, False, attn_mask=mask)
        first: Tensor = out[0]
        return first

    def loop(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
        heads = []
        for h in range(2):
            scores = each(product(q[0, h], k[0, h].T), lambda score: score * width**-0.5)
            if mask is not None:
                scores = np.array(
                    [[s + m for s, m in zip(*pair, strict=True)] for pair in zip(scores, mask, strict=True)]
                )
            heads.append(product(np.array([softmax_row(row) for row in scores], dtype=object), v[0, h]))
        return np.array([heads], dtype=object)

    return Case(run, tensors, loop)


@case("aten._trilinear")
def bilinear(draw: Draw) -> Case:
    n, i, j, k = draw(sizes()), draw(sizes()), draw(sizes()), draw(sizes())

    def loop(x: Array, y: Array, w: Array) -> Array:
        result = np.empty((n, k), dtype=object)
        for b, o in np.ndindex(n, k):
            result[b, o] = total(site(x[b, p] * y[b, q], w[o, p, q]) for p, q in np.ndindex(i, j))
        return result

    def run(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        return torch.bilinear(x, y, w, None)

    return Case(run, (normal(n, i), normal(n, j), normal(k, i, j)), loop)


@case("aten._int_mm")
def integers(draw: Draw) -> Case:
    """Multiplied in eight bits, summed in thirty-two."""
    k = draw(sizes(1, 3)) * 8
    a, b = (torch.randint(-8, 8, shape, dtype=torch.int8) for shape in ((17, k), (k, 8)))
    return Case(torch._int_mm, (a, b), product)


@case("aten.linear", "aten.matmul")
def whole_products(draw: Draw) -> Case:
    rows, c, k = draw(sizes()), draw(sizes()), draw(sizes())
    biased = draw(st.booleans())
    tensors = (normal(rows, c), normal(k, c), normal(k)) if biased else (normal(rows, c), normal(c, k))

    def loop(x: Array, w: Array, b: Any = None) -> Array:
        out = product(x, w.T if biased else w)
        for i, j in np.ndindex(*out.shape):
            out[i, j] = out[i, j] if b is None else out[i, j] + b[j]
        return out

    return Case(F.linear if biased else torch.matmul, tensors, loop, whole=kept(tensors, biased, rows, k))


def kept(tensors: Any, biased: bool, rows: int, k: int) -> Any:
    from addercost.trace.record import OpCall, TensorSpec

    specs = [TensorSpec(tuple(t.shape), "float64") for t in tensors]
    out = (TensorSpec((rows, k), "float64"),)
    if biased:
        names = dict(zip(("input", "weight", "bias"), specs, strict=True))
        return OpCall("aten.linear.default", "", names, out, 0)
    return OpCall("aten.matmul.default", "", {"self": specs[0], "other": specs[1]}, out, 0)


@case("aten.addr")
def outer_added(draw: Draw) -> Case:
    n, m = draw(sizes()), draw(sizes())

    def loop(c: Array, a: Array, b: Array) -> Array:
        result = c.copy()
        for i, j in np.ndindex(n, m):
            result[i, j] = c[i, j] + site(a[i], b[j])
        return result

    return Case(torch.addr, (normal(n, m), normal(n), normal(m)), loop)
