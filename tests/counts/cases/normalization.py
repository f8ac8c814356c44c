"""Normalisations, softmax and its logarithm as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from addercost.trace.record import OpCall, TensorSpec
from tests.counts.cases.matmul import softmax_row
from tests.counts.oracle import Case, Draw, case, normal, positive, shapes, sizes
from tests.counts.scalar import Array, exp, log, sqrt, total

EPSILON = 1e-5


def moments(row: Any) -> tuple[Any, list[Any], Any]:
    """(mean, differences from it, variance) of one row."""
    mean = total(iter(row)) / len(row)
    differences = [value - mean for value in row]
    return mean, differences, total(d * d for d in differences) / len(row)


@case("aten.native_batch_norm")
def batch_norm(draw: Draw) -> Case:
    n, c = draw(sizes(2, 3)), draw(sizes())
    rest = draw(shapes(0, 2))
    trains, affine = draw(st.booleans()), draw(st.booleans())
    tensors = [normal(n, c, *rest), normal(c), positive(c)]
    if affine:
        tensors += [normal(c), normal(c)]

    def run(x: Tensor, mean: Tensor, var: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        mean, var = mean.clone(), var.clone()
        return torch.nn.functional.batch_norm(x, mean, var, w, b, trains, 0.1, EPSILON)

    def loop(x: Array, mean: Array, var: Array, w: Any = None, b: Any = None) -> Array:
        result = np.empty(x.shape, dtype=object)
        for k in range(c):
            plane = x[:, k]
            m, v = mean[k], var[k]
            if trains:
                m, _, v = moments(plane.ravel())
                mean[k] = mean[k] * 0.9 + m * 0.1
                var[k] = var[k] * 0.9 + v * 0.1
            scale = 1 / sqrt(v + EPSILON)
            if w is not None:
                scale = scale * w[k]
            offset = b[k] - m * scale if b is not None else -(m * scale)
            for index in np.ndindex(*plane.shape):
                result[(index[0], k, *index[1:])] = plane[index] * scale + offset
        return result

    return Case(run, tuple(tensors), loop)


def normalized(row: Any, w: Any, b: Any) -> list[Any]:
    _, differences, variance = moments(row)
    inverse = 1 / sqrt(variance + EPSILON)
    result = [d * inverse for d in differences]
    if w is not None:
        result = [value * scale for value, scale in zip(result, w, strict=True)]
    return result if b is None else [value + shift for value, shift in zip(result, b, strict=True)]


@case("aten.native_layer_norm")
def layer_norm(draw: Draw) -> Case:
    rows, shape = draw(sizes()), draw(shapes(1, 2))
    tensors = [normal(rows, *shape)]
    tensors += [normal(*shape) for _ in range(draw(sizes(0, 2)))]

    def loop(x: Array, w: Any = None, b: Any = None) -> Array:
        out = [
            normalized(row.ravel(), None if w is None else w.ravel(), None if b is None else b.ravel())
            for row in x
        ]
        return np.array(out, dtype=object).reshape(x.shape)

    def run(x: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        return torch.nn.functional.layer_norm(x, shape, w, b, EPSILON)

    return Case(run, tuple(tensors), loop)


@case("aten.native_group_norm")
def group_norm(draw: Draw) -> Case:
    n, groups, per_group = draw(sizes()), draw(sizes(1, 2)), draw(sizes(1, 2))
    rest = draw(shapes(1, 2, 2))
    affine = draw(st.booleans())
    c = groups * per_group
    tensors = [normal(n, c, *rest), *([normal(c), normal(c)] if affine else [])]

    def loop(x: Array, w: Any = None, b: Any = None) -> Array:
        inner = x[0, 0].size
        result = np.empty(x.shape, dtype=object).reshape(n, groups, -1)
        for i, g in np.ndindex(n, groups):
            row = x[i, g * per_group : (g + 1) * per_group].ravel()
            per_channel = [
                None if p is None else np.repeat(p[g * per_group : (g + 1) * per_group], inner)
                for p in (w, b)
            ]
            result[i, g] = normalized(row, *per_channel)
        return result.reshape(x.shape)

    def run(x: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        return torch.nn.functional.group_norm(x, groups, w, b, EPSILON)

    return Case(run, tuple(tensors), loop)


@case("aten._fused_rms_norm")
def rms_norm(draw: Draw) -> Case:
    rows, n = draw(sizes()), draw(sizes())
    scaled = draw(st.booleans())
    tensors = (normal(rows, n), normal(n)) if scaled else (normal(rows, n),)

    def run(x: Tensor, w: Tensor | None = None) -> Tensor:
        return torch.rms_norm(x, [n], w, EPSILON)

    def loop(x: Array, w: Any = None) -> Array:
        result = []
        for row in x:
            inverse = 1 / sqrt(total(v * v for v in row) / n + EPSILON)
            out = [v * inverse for v in row]
            result.append(out if w is None else [v * s for v, s in zip(out, w, strict=True)])
        return np.array(result, dtype=object)

    specs = tuple(TensorSpec(tuple(t.shape), "float64") for t in tensors)
    args = {"input": specs[0], "normalized_shape": (n,), "weight": specs[1] if scaled else None}
    kept_whole = OpCall("aten._fused_rms_norm.default", "", args, specs[:1], 0)
    return Case(run, tensors, loop, whole=kept_whole)


@case("aten._softmax")
def softmax(draw: Draw) -> Case:
    shape = draw(shapes())
    axis = draw(st.integers(-len(shape), len(shape) - 1))

    def loop(x: Array) -> Array:
        return np.apply_along_axis(lambda row: np.array(softmax_row(row), dtype=object), axis, x)

    return Case(lambda x: torch.softmax(x, axis), (normal(*shape),), loop)


@case("aten._log_softmax")
def log_softmax(draw: Draw) -> Case:
    rows, n = draw(sizes()), draw(sizes())

    def row_of(row: Array) -> list[Any]:
        largest = row[0]
        for value in row[1:]:
            largest = max(largest, value)
        shift = log(total(exp(value - largest) for value in row)) + largest
        return [value - shift for value in row]

    def loop(x: Array) -> Array:
        return np.array([row_of(row) for row in x], dtype=object)

    return Case(lambda x: torch.log_softmax(x, 1), (normal(rows, n),), loop)
