"""Extrema, sums and answers along a row, and searches in it, as loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

from tests.counts.cases.reductions import running_joins
from tests.counts.oracle import Case, Draw, case, normal, positive, sizes
from tests.counts.scalar import Array, Number, exp, total, transcendental


@case("aten.logcumsumexp")
def running_logsumexp(draw: Draw) -> Case:
    n = draw(sizes(1, 4))

    def join(a: Any, b: Any) -> Any:
        return max(a, b) + transcendental(math.log1p)(exp(-abs(a - b)))

    return Case(lambda x: torch.logcumsumexp(x, 0), (normal(n),), lambda x: running_joins(x, join))


@case("aten.cummax", "aten.cummin")
def running_extremum(draw: Draw) -> Case:
    highest = draw(st.booleans())
    function = torch.cummax if highest else torch.cummin
    join: Any = max if highest else min
    return Case(lambda x: function(x, 0)[0], (normal(draw(sizes(1, 4))),), lambda x: running_joins(x, join))


@case("aten.count_nonzero", "aten.equal", "aten.allclose")
def questions(draw: Draw) -> Case:
    n, which = draw(sizes(1, 4)), draw(sizes(0, 2))
    x = normal(n)

    def loop(x: Array, y: Array) -> Array:
        if which == 0:
            return np.array(total(Number(int(bool(v != 0)), v.tally) for v in x), dtype=object)
        if which == 1:
            answers = [a == b for a, b in zip(x, y, strict=True)]
        else:
            answers = [abs(a - b) <= abs(b) * 1e-5 + 1e-8 for a, b in zip(x, y, strict=True)]
        joined = answers[0]
        for answer in answers[1:]:
            joined = joined & answer
        return None

    functions: Any = (lambda a, b: a.count_nonzero(), torch.equal, torch.allclose)
    return Case(functions[which], (x, x.clone()), loop)


@case("aten.searchsorted")
def found(draw: Draw) -> Case:
    """Binary search among n sorted numbers: at most ⌈lg(n + 1)⌉ compares for each."""
    n = 2 ** draw(sizes(1, 3)) - 1

    def loop(edges: Array, x: Array) -> Array:
        out = []
        for v in x:
            low, high = 0, n
            while low < high:
                middle = (low + high) // 2
                low, high = (middle + 1, high) if edges[middle] < v else (low, middle)
            out.append(Number(low, x[0].tally))
        return np.array(out, dtype=object)

    return Case(torch.searchsorted, (torch.arange(n).double(), positive(2) * 3), loop)
