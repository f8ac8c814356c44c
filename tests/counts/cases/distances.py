"""Distances and norms as loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.pooling import largest
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, Number, sqrt, total, transcendental

power = transcendental(math.pow)


@case("aten._cdist_forward")
def cdist(draw: Draw) -> Case:
    n, m, k = draw(sizes()), draw(sizes()), draw(sizes())
    p: float = draw(st.sampled_from([1.0, 2.0, 3.0, math.inf]))

    def norm(values: list[Any]) -> Any:
        if p == 2:
            return sqrt(total(v * v for v in values))
        if p == 1:
            return total(abs(v) for v in values)
        if p == math.inf:
            return largest([abs(v) for v in values])
        return power(total(power(abs(v), p) for v in values), 1 / p)

    def loop(a: Array, b: Array) -> Array:
        result = np.empty((n, m), dtype=object)
        for i, j in np.ndindex(n, m):
            result[i, j] = norm([x - y for x, y in zip(a[i], b[j], strict=True)])
        return result

    def run(a: Tensor, b: Tensor) -> Tensor:
        return torch.cdist(a, b, p, compute_mode="donot_use_mm_for_euclid_dist")

    return Case(run, (normal(n, k), normal(m, k)), loop, tolerance=1e-7)


@case("aten._pdist_forward")
def pdist(draw: Draw) -> Case:
    n, k = draw(sizes(2, 4)), draw(sizes())

    def loop(x: Array) -> Array:
        pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
        out = [sqrt(total(d * d for d in [a - b for a, b in zip(x[i], x[j], strict=True)])) for i, j in pairs]
        return np.array(out, dtype=object)

    return Case(torch.pdist, (normal(n, k),), loop)


@case("aten.dist")
def distance(draw: Draw) -> Case:
    n = draw(sizes())

    def loop(a: Array, b: Array) -> Array:
        return np.array(sqrt(total(d * d for d in [x - y for x, y in zip(a, b, strict=True)])), dtype=object)

    return Case(torch.dist, (normal(n), normal(n)), loop)


@case("aten.renorm")
def renorm(draw: Draw) -> Case:
    n, k = draw(sizes()), draw(sizes())

    def loop(x: Array) -> Array:
        rows = []
        for row in x:
            norm = sqrt(total(v * v for v in row))
            small = norm > 1.0
            factor = 1.0 / (norm + 1e-7)
            factor = factor if small else Number(1.0, factor.tally)
            rows.append([v * factor for v in row])
        return np.array(rows, dtype=object)

    return Case(lambda x: torch.renorm(x, 2, 0, 1.0), (normal(n, k),), loop, tolerance=1e-6)
