"""Pooling as loops over windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, total


def largest(values: Any) -> Any:
    result = values[0]
    for value in values[1:]:
        result = max(result, value)
    return result


def windows(x: Array, axes: int, kernel: int, stride: int, padding: int, outside: float) -> Any:
    """(output index, elements of its window) with `outside` in the padding."""
    lead = x.shape[: x.ndim - axes]
    out = [(size + 2 * padding - kernel) // stride + 1 for size in x.shape[x.ndim - axes :]]
    for index in np.ndindex(*lead, *out):
        elements = []
        for r in np.ndindex(*[kernel] * axes):
            at = [p * stride + i - padding for p, i in zip(index[len(lead) :], r, strict=True)]
            inside = all(0 <= i < size for i, size in zip(at, x.shape[len(lead) :], strict=True))
            elements.append(x[(*index[: len(lead)], *at)] if inside else outside)
        # A padded first element is a plain number; the operators that count are those of the others.
        yield index, sorted(elements, key=lambda element: isinstance(element, float))


def collected(pairs: Any, function: Callable[[Any], Any]) -> Array:
    found = {index: function(elements) for index, elements in pairs}
    result = np.empty([max(i) + 1 for i in zip(*found, strict=True)], dtype=object)
    for index, value in found.items():
        result[index] = value
    return result


def _window(draw: Draw) -> tuple[int, int, int, int, Tensor]:
    axes, kernel, stride = draw(sizes(1, 3)), draw(sizes(1, 3)), draw(sizes(1, 2))
    padding = draw(sizes(0, kernel // 2))
    return axes, kernel, stride, padding, normal(1, 2, *[draw(sizes(3, 4)) for _ in range(axes)])


@case("aten.max_pool2d_with_indices", "aten.max_pool3d_with_indices")
def max_pool(draw: Draw) -> Case:
    axes, kernel, stride, padding, x = _window(draw)
    functions: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)

    def loop(x: Array) -> Array:
        return collected(windows(x, axes, kernel, stride, padding, -math.inf), largest)

    return Case(lambda x: functions[axes - 1](x, kernel, stride, padding), (x,), loop)


@case("aten.avg_pool2d", "aten.avg_pool3d")
def avg_pool(draw: Draw) -> Case:
    axes, kernel, stride, padding, x = _window(draw)
    functions: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)

    def mean(elements: Any) -> Any:
        return total(iter(elements)) / kernel**axes

    def loop(x: Array) -> Array:
        return collected(windows(x, axes, kernel, stride, padding, 0.0), mean)

    return Case(lambda x: functions[axes - 1](x, kernel, stride, padding), (x,), loop)


def adaptive_windows(x: Array, out: list[int]) -> Any:
    """Output i of P covers ⌊i·H/P⌋ to ⌈(i+1)·H/P⌉ along each axis."""
    lead = x.shape[: x.ndim - len(out)]
    for index in np.ndindex(*lead, *out):
        cut = tuple(
            slice(i * h // p, math.ceil((i + 1) * h / p))
            for i, h, p in zip(index[len(lead) :], x.shape[len(lead) :], out, strict=True)
        )
        yield index, list(x[(*index[: len(lead)], *cut)].ravel())


@case("aten._adaptive_avg_pool2d", "aten._adaptive_avg_pool3d")
def adaptive_avg_pool(draw: Draw) -> Case:
    axes = draw(sizes(1, 3))
    out = [draw(sizes(2, 4)) for _ in range(axes)]
    functions: Any = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)
    x = normal(1, 2, *[draw(sizes(1, 5)) for _ in range(axes)])

    def loop(x: Array) -> Array:
        return collected(adaptive_windows(x, out), lambda e: total(iter(e)) / len(e))

    return Case(lambda x: functions[axes - 1](x, out), (x,), loop)


@case("aten.adaptive_max_pool2d", "aten.adaptive_max_pool3d")
def adaptive_max_pool(draw: Draw) -> Case:
    axes = draw(sizes(2, 3))
    out = [draw(sizes(1, 4)) for _ in range(axes)]
    functions: Any = (F.adaptive_max_pool2d, F.adaptive_max_pool3d)
    x = normal(1, 2, *[draw(sizes(1, 5)) for _ in range(axes)])

    def loop(x: Array) -> Array:
        return collected(adaptive_windows(x, out), largest)

    return Case(lambda x: functions[axes - 2](x, out), (x,), loop)


@case()
def pool_to_one(draw: Draw) -> Case:
    """The last layer of most networks: a mean over the whole image."""
    h = draw(st.integers(1, 4))

    def loop(x: Array) -> Array:
        out = [total(iter(plane.ravel())) / plane.size for plane in x[0]]
        return np.array(out, dtype=object).reshape(1, 2, 1, 1)

    return Case(lambda x: F.adaptive_avg_pool2d(x, 1), (normal(1, 2, h, 3),), loop)
