"""Interpolation, sampling, indexed accumulation, distances and narrow products as loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.matmul import product
from tests.counts.cases.pooling import largest
from tests.counts.cases.reductions import running_joins
from tests.counts.oracle import Case, Draw, case, normal, positive, sizes
from tests.counts.scalar import Array, Number, exp, plain, site, sqrt, total, transcendental

power = transcendental(math.pow)


def between(i: int, size: int, out: int) -> tuple[int, int, float]:
    """(lower neighbour, upper neighbour, weight of the upper) of output i, corners not aligned."""
    place = max((i + 0.5) * size / out - 0.5, 0.0)
    low = min(int(place), size - 1)
    return low, min(low + 1, size - 1), place - low


@case("aten.upsample_linear1d", "aten.upsample_bilinear2d", "aten.upsample_trilinear3d")
def linear(draw: Draw) -> Case:
    """Each output on its own: 2^d corners joined pair by pair."""
    axes = draw(sizes(1, 3))
    size = [draw(sizes(2, 3)) for _ in range(axes)]
    out = [draw(sizes(2, 4)) for _ in range(axes)]
    mode = ("linear", "bilinear", "trilinear")[axes - 1]

    def loop(x: Array) -> Array:
        result = np.empty((1, 1, *out), dtype=object)
        for p in np.ndindex(*out):
            near = [between(i, h, o) for i, h, o in zip(p, size, out, strict=True)]
            corners = np.empty([2] * axes, dtype=object)
            for corner in np.ndindex(*corners.shape):
                corners[corner] = x[(0, 0, *(n[c] for n, c in zip(near, corner, strict=True)))]
            for _, _, t in reversed(near):
                joined = np.empty(corners.shape[:-1], dtype=object)
                for index in np.ndindex(*joined.shape):
                    joined[index] = corners[(*index, 0)] * (1 - t) + corners[(*index, 1)] * t
                corners = joined
            result[(0, 0, *p)] = corners[()]
        return result

    return Case(lambda x: F.interpolate(x, out, mode=mode), (normal(1, 1, *size),), loop)


def cubic(t: float) -> list[float]:
    """Keys' kernel with a = -0.75 at -1-t, -t, 1-t and 2-t."""
    a = -0.75

    def near(u: float) -> float:
        return ((a + 2) * u - (a + 3)) * u * u + 1

    def far(u: float) -> float:
        return ((a * u - 5 * a) * u + 8 * a) * u - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@case("aten.upsample_bicubic2d")
def bicubic(draw: Draw) -> Case:
    h, p = draw(sizes(2, 4)), draw(sizes(2, 4))

    def loop(x: Array) -> Array:
        result = np.empty((1, 1, p, p), dtype=object)
        for i, j in np.ndindex(p, p):
            places = [(k + 0.5) * h / p - 0.5 for k in (i, j)]
            (low, t), (left, u) = [(math.floor(place), place - math.floor(place)) for place in places]
            rows = []
            for r in range(-1, 3):
                row = min(max(low + r, 0), h - 1)
                columns = [min(max(left + c, 0), h - 1) for c in range(-1, 3)]
                rows.append(total(x[0, 0, row, c] * w for c, w in zip(columns, cubic(u), strict=True)))
            result[0, 0, i, j] = total(v * w for v, w in zip(rows, cubic(t), strict=True))
        return result

    return Case(lambda x: F.interpolate(x, (p, p), mode="bicubic"), (normal(1, 1, h, h),), loop)


@case("aten._upsample_bilinear2d_aa")
def antialiased(draw: Draw) -> Case:
    h, p = draw(sizes(2, 6)), draw(sizes(2, 4))

    def taps(i: int) -> list[tuple[int, float]]:
        scale = h / p
        reach = max(scale, 1.0)
        centre = scale * (i + 0.5)
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), h)
        weights = [max(1 - abs((k - centre + 0.5) / reach), 0.0) for k in range(first, last)]
        return [(k, w / sum(weights)) for k, w in zip(range(first, last), weights, strict=True)]

    def loop(x: Array) -> Array:
        rows = [[total(x[0, 0, r, k] * w for k, w in taps(j)) for j in range(p)] for r in range(h)]
        out = [[total(rows[k][j] * w for k, w in taps(i)) for j in range(p)] for i in range(p)]
        return np.array(out, dtype=object).reshape(1, 1, p, p)

    def run(x: Tensor) -> Tensor:
        return F.interpolate(x, (p, p), mode="bilinear", antialias=True)

    return Case(run, (normal(1, 1, h, h),), loop)


@case("aten.grid_sampler_2d")
def grid_sample(draw: Draw) -> Case:
    h, c, p, aligned = draw(sizes(2, 3)), draw(sizes(1, 2)), draw(sizes(1, 2)), draw(st.booleans())
    grid = torch.rand(1, p, p, 2, dtype=torch.float64) * 1.6 - 0.8

    def coordinate(g: Any) -> tuple[int, Any, Any]:
        place = (g + 1) * ((h - 1) / 2 if aligned else h / 2)
        place = place if aligned else place - 0.5
        low = place.apply("add", math.floor)
        upper = place - low
        return plain(low), 1 - upper, upper

    def loop(x: Array, grid: Array) -> Array:
        result = np.empty((1, c, p, p), dtype=object)
        for i, j in np.ndindex(p, p):
            left, *across = coordinate(grid[0, i, j, 0])
            top, *down = coordinate(grid[0, i, j, 1])
            weights = {(r, s): down[r] * across[s] for r, s in np.ndindex(2, 2)}
            for k in range(c):
                terms = []
                for (r, s), w in weights.items():
                    row, column = top + r, left + s
                    inside = 0 <= row < h and 0 <= column < h
                    terms.append(w * (x[0, k, row, column] if inside else 0.0))
                result[0, k, i, j] = total(iter(terms))
        return result

    def run(x: Tensor, grid: Tensor) -> Tensor:
        return F.grid_sample(x, grid, align_corners=aligned)

    return Case(run, (normal(1, c, h, h), grid), loop)


@case("aten.grid_sampler_2d_backward")
def grid_sample_backward(draw: Draw) -> Case:
    h, c, p, aligned = draw(sizes(2, 3)), draw(sizes(1, 2)), draw(sizes(1, 2)), draw(st.booleans())
    grid = torch.rand(1, p, p, 2, dtype=torch.float64) * 1.6 - 0.8
    wanted = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
    scale = (h - 1) / 2 if aligned else h / 2
    mode, border = draw(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]))

    def place_of(g: Any) -> Any:
        place = (g + 1) * scale
        place = place if aligned else place - 0.5
        if border:
            place = Number(0.0, place.tally) if place < 0 else place
            place = Number(float(h - 1), place.tally) if place > h - 1 else place
        return place

    def is_held(g: Any) -> bool:
        place = (plain(g) + 1) * scale - (0 if aligned else 0.5)
        return border == 1 and not 0 < place < h - 1

    def shares(g: Any) -> tuple[int, Any, Any]:
        place = place_of(g)
        low = place.apply("add", math.floor)
        upper = place - low
        return plain(low), 1 - upper, upper

    def nearest(grad: Array, grid: Array) -> Array:
        of_input = np.full((c, h + 2, h + 2), Number(0.0, grad[0, 0, 0, 0].tally), dtype=object)
        for i, j in np.ndindex(p, p):
            column, row = (plain(place_of(g).apply("add", round)) for g in grid[0, i, j])
            for k in range(c):
                add_at(of_input, (k, row + 1, column + 1), grad[0, k, i, j])
        return of_input[None, :, 1:-1, 1:-1]

    def loop(grad: Array, x: Array, grid: Array) -> Array:
        zero = Number(0.0, grad[0, 0, 0, 0].tally)
        if mode == 1:
            return nearest(grad, grid) if wanted[0] else np.full((1, p, p, 2), zero, dtype=object)
        around = np.full((c, h + 2, h + 2), zero, dtype=object)
        around[:, 1:-1, 1:-1] = x[0]
        of_input = np.full((c, h + 2, h + 2), zero, dtype=object)
        of_grid = np.empty((1, p, p, 2), dtype=object)
        for i, j in np.ndindex(p, p):
            left, *across = shares(grid[0, i, j, 0])
            top, *down = shares(grid[0, i, j, 1])
            if wanted[0]:
                weights = {(r, s): down[r] * across[s] for r, s in np.ndindex(2, 2)}
                for k, ((r, s), w) in itertools.product(range(c), weights.items()):
                    add_at(of_input, (k, top + r + 1, left + s + 1), w * grad[0, k, i, j])
            if wanted[1]:
                pixels = around[:, top + 1 : top + 3, left + 1 : left + 3]
                slopes = [
                    [total((v[r, 1] - v[r, 0]) * down[r] for r in range(2)) for v in pixels],
                    [total((v[1, s] - v[0, s]) * across[s] for s in range(2)) for v in pixels],
                ]
                for axis, slope in enumerate(slopes):
                    found = total(slope[k] * grad[0, k, i, j] for k in range(c)) * scale
                    of_grid[0, i, j, axis] = zero if is_held(grid[0, i, j, axis]) else found
        return of_input[None, :, 1:-1, 1:-1] if wanted[0] else of_grid

    def run(grad: Tensor, x: Tensor, grid: Tensor) -> Any:
        given = grad, x, grid, mode, border, aligned, wanted
        of_input, of_grid = torch.ops.aten.grid_sampler_2d_backward(*given)
        return of_input if wanted[0] else of_grid

    return Case(run, (normal(1, c, p, p), normal(1, c, h, h), grid), loop)


def add_at(result: Array, index: Any, value: Any) -> None:
    result[index] = result[index] + value


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


@case("aten.fake_quantize_per_tensor_affine_cachemask")
def fake_quantized(draw: Draw) -> Case:
    n = draw(sizes(1, 4))

    def loop(x: Array) -> Array:
        out = []
        for v in x:
            rounded = (v * 10.0).apply("add", lambda a: float(round(a)))
            level = max(Number(plain(min(rounded + 0.0, 127.0)), v.tally), -128.0)
            out.append((Number(plain(level), v.tally) - 0.0) * 0.1)
        return np.array(out, dtype=object)

    def run(x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127)

    return Case(run, (torch.randn(n),), loop, tolerance=1e-5)


@case()
def gated(draw: Draw) -> Case:
    n = draw(sizes())

    def loop(x: Array) -> Array:
        return np.array([a * (1 / (1 + exp(-b))) for a, b in zip(x[:n], x[n:], strict=True)], dtype=object)

    return Case(lambda x: F.glu(x, 0), (normal(2 * n),), loop)


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
