"""Scaled dot-product attention and its gradients as loops, through the function that models call."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from addercost.trace.attention import _backward_operator
from tests.counts.cases.accumulation import accumulated
from tests.counts.cases.matmul import each, product, softmax_row
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, exp, site, total

KINDS = ("none", "numbers", "truth values", "causal")


def as_numbers(mask: Any) -> Any:
    """A mask of truth values as the numbers that are added."""
    return mask if isinstance(mask, float) else (0.0 if mask else -math.inf)


def masked(scores: Array, mask: Array | None, causal: bool) -> Array:
    """One head's scores with their mask added."""
    if mask is None and not causal:
        return scores
    result = np.empty(scores.shape, dtype=object)
    for i, j in np.ndindex(*scores.shape):
        bias = (0.0 if j <= i else -math.inf) if mask is None else mask[i, j]
        result[i, j] = scores[i, j] + bias
    return result


@case("aten.scaled_dot_product_attention")
def attention(draw: Draw) -> Case:
    """softmax(q·kᵀ·scale + mask)·v for every head; with groups, two heads of q share one of k and v."""
    rows, columns, width, depth = (draw(sizes()) for _ in range(4))
    grouped = draw(st.booleans())
    kind = draw(st.sampled_from(KINDS))
    heads = 1 if grouped else 2
    q, k, v = normal(1, 2, rows, width), normal(1, heads, columns, width), normal(1, heads, columns, depth)
    mask = normal(rows, columns)
    if kind == "truth values":
        mask = mask > 0
        mask[:, 0] = True  # a row without any key has no value
    tensors = (q, k, v) if kind in ("none", "causal") else (q, k, v, mask)
    causal = kind == "causal"

    def run(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, enable_gqa=grouped)

    def loop(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
        if mask is not None:
            mask = each(mask, lambda m: as_numbers(m.value))
        out = []
        for h in range(2):
            scores = each(product(q[0, h], k[0, h % heads].T), lambda score: score * width**-0.5)
            p = np.array([softmax_row(row) for row in masked(scores, mask, causal)], dtype=object)
            out.append(product(p, v[0, h % heads]))
        return np.array([out], dtype=object)

    return Case(run, tensors, loop)


@case("addercost.attention_backward")
def attention_backward(draw: Draw) -> Case:
    """Of two heads of q and one or two of k and v, with the gradient of a mask of numbers."""
    rows, columns, width, depth = (draw(sizes()) for _ in range(4))
    grouped, causal, biased = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    heads, scale = 1 if grouped else 2, width**-0.5
    q, k, v = normal(1, 2, rows, width), normal(1, heads, columns, width), normal(1, heads, columns, depth)
    mask = normal(rows, columns) if biased else None
    causal = causal and not biased
    out = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, enable_gqa=grouped)
    g = torch.randn_like(out)
    tensors = (g, q, k, v, out) if mask is None else (g, q, k, v, out, mask)

    def run(g: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, mask: Tensor | None = None) -> Any:
        found = _backward_operator()(
            g, q, k, v, mask, out, 0.0, causal, scale=None, enable_gqa=grouped, mask_gradient=biased
        )
        return found[0]

    def loop(g: Array, q: Array, k: Array, v: Array, out: Array, mask: Array | None = None) -> Array:
        result = np.empty((1, 2, rows, width), dtype=object)
        for_k, for_v, for_mask = [], [], []
        for h in range(2):
            keys, values = k[0, h % heads], v[0, h % heads]
            scores = each(product(q[0, h], keys.T), lambda score: score * scale)
            scores = masked(scores, mask, causal)
            # What the forward kept: the logarithm of each row's sum.
            logs = [math.log(sum(math.exp(s.value) for s in row)) for row in scores]
            for i in range(rows):
                dot = total(a * b for a, b in zip(g[0, h, i], out[0, h, i], strict=True))
                ds = []
                for j in range(columns):
                    p = exp(scores[i, j] - logs[i])
                    dp = total(site(a, b) for a, b in zip(g[0, h, i], values[j], strict=True))
                    whole = p * (dp - dot)
                    ds.append(whole * scale)
                    for_mask.append(((i, j), whole))
                    for_v += [((h % heads, j, c), site(p, g[0, h, i, c])) for c in range(depth)]
                    for_k += [((h % heads, j, c), site(ds[j], q[0, h, i, c])) for c in range(width)]
                for c in range(width):
                    result[0, h, i, c] = total(site(ds[j], keys[j, c]) for j in range(columns))
        accumulated(for_k)
        accumulated(for_v)
        if biased:
            accumulated(for_mask)
        return result

    return Case(run, tensors, loop, tolerance=1e-7)
