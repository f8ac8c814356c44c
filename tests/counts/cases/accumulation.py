"""Sums at places that other values name, as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.pooling import largest
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, plain, total


def add_at(result: Array, index: Any, value: Any) -> None:
    result[index] = result[index] + value


def accumulated(terms: Any) -> dict[Any, Any]:
    sums: dict[Any, Any] = {}
    for index, term in terms:
        sums[index] = sums[index] + term if index in sums else term
    return sums


@case("aten.index_add", "aten.scatter_add")
def accumulate(draw: Draw) -> Case:
    n, m = draw(sizes(1, 4)), draw(sizes())
    at = torch.randint(0, m, (n,))
    by_index = draw(st.booleans())

    def loop(x: Array, s: Array, at: Array) -> Array:
        result = x.copy()
        for i in range(n):
            add_at(result, plain(at[i]), s[i])
        return result

    def run(x: Tensor, s: Tensor, at: Tensor) -> Tensor:
        return x.index_add(0, at, s) if by_index else x.scatter_add(0, at, s)

    return Case(run, (normal(m), normal(n), at), loop)


@case("aten.scatter_reduce", "aten.index_put")
def reduce_at(draw: Draw) -> Case:
    n, m = draw(sizes(1, 4)), draw(sizes())
    kind = draw(st.sampled_from(["sum", "prod", "amax", "put"]))
    join: Any = {
        "sum": lambda a, b: a + b, "prod": lambda a, b: a * b, "amax": max, "put": lambda a, b: a + b,
    }[kind]  # fmt: skip

    def loop(x: Array, s: Array, at: Array) -> Array:
        result = x.copy()
        for i in range(n):
            result[plain(at[i])] = join(result[plain(at[i])], s[i])
        return result

    def run(x: Tensor, s: Tensor, at: Tensor) -> Tensor:
        if kind == "put":
            return x.index_put((at,), s, accumulate=True)
        return x.scatter_reduce(0, at, s, kind)

    return Case(run, (normal(m), normal(n), torch.randint(0, m, (n,))), loop)


@case("aten.scatter")
def scatter(draw: Draw) -> Case:
    n, multiplies = draw(sizes(1, 4)), draw(st.booleans())

    def loop(x: Array, s: Array) -> Array:
        return np.array([a * b for a, b in zip(x, s, strict=True)] if multiplies else list(s), dtype=object)

    def run(x: Tensor, s: Tensor) -> Tensor:
        at = torch.arange(n, device=x.device)
        return x.scatter(0, at, s, reduce="multiply") if multiplies else x.scatter(0, at, s)

    return Case(run, (normal(n), normal(n)), loop)


@case("aten._embedding_bag_forward_only")
def embedding_bag(draw: Draw) -> Case:
    bags, per_bag, d = draw(sizes()), draw(sizes()), draw(sizes(1, 2))
    mode = draw(st.sampled_from(["sum", "mean", "max"]))
    at = torch.randint(0, 4, (bags, per_bag))

    def loop(w: Array, at: Array) -> Array:
        result = np.empty((bags, d), dtype=object)
        for b, j in np.ndindex(bags, d):
            rows = [w[plain(at[b, i]), j] for i in range(per_bag)]
            result[b, j] = largest(rows) if mode == "max" else total(iter(rows))
            if mode == "mean":
                result[b, j] = result[b, j] / per_bag
        return result

    return Case(lambda w, at: F.embedding_bag(at, w, mode=mode), (normal(4, d), at), loop)
