"""Interpolation and sampling at places between pixels, as loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.accumulation import add_at
from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, Number, plain, total


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
