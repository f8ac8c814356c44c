"""Reductions as loops, over one axis or all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.cases.normalization import moments
from tests.counts.cases.pooling import largest
from tests.counts.oracle import Case, Draw, case, normal, shapes, sizes
from tests.counts.scalar import Array, Number, exp, log, sqrt, total, transcendental

power = transcendental(math.pow)


def along(x: Array, axis: int | None, function: Callable[[Any], Any]) -> Array:
    if axis is None:
        result = np.empty((), dtype=object)
        result[()] = function(list(x.ravel()))
        return result
    shape = [*x.shape[:axis], *x.shape[axis + 1 :]]
    result = np.empty(shape, dtype=object)
    for index in np.ndindex(*shape):
        result[index] = function(list(x[(*index[:axis], slice(None), *index[axis:])]))
    return result


def smallest(values: Any) -> Any:
    result = values[0]
    for value in values[1:]:
        result = min(result, value)
    return result


def multiplied(values: Any) -> Any:
    result = values[0]
    for value in values[1:]:
        result = result * value
    return result


def position(values: Any) -> int:
    best, at = values[0], 0
    for i, value in enumerate(values[1:], 1):
        if value > best:
            best, at = value, i
    return at


def variance(values: Any) -> Any:
    _, differences, _ = moments_without_division(values)
    return total(d * d for d in differences) / (len(values) - 1)


def moments_without_division(values: Any) -> Any:
    mean = total(iter(values)) / len(values)
    return mean, [value - mean for value in values], None


REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[[Any], Any]]] = {
    "aten.sum": (torch.sum, lambda v: total(iter(v))),
    "aten.mean": (torch.mean, lambda v: total(iter(v)) / len(v)),
    "aten.prod": (torch.prod, multiplied),
    "aten.amax": (torch.amax, largest),
    "aten.argmax": (torch.argmax, position),
    "aten.var": (torch.var, variance),
    "aten.std": (torch.std, lambda v: sqrt(variance(v))),
}


def _reduction(name: str) -> None:
    function, over = REDUCTIONS[name]

    def make(draw: Draw) -> Case:
        shape = draw(shapes(low=2))
        axis = draw(st.integers(0, len(shape) - 1))
        if draw(st.booleans()):
            return Case(lambda x: function(x), (normal(*shape),), lambda x: along(x, None, over))
        return Case(lambda x: function(x, dim=axis), (normal(*shape),), lambda x: along(x, axis, over))

    make.__name__ = name.removeprefix("aten.")
    case(name)(make)


for _name in REDUCTIONS:
    _reduction(_name)


@case("aten.max", "aten.min")
def extremum(draw: Draw) -> Case:
    shape = draw(shapes())
    functions: Any = ((torch.max, largest), (torch.min, smallest))
    function, over = draw(st.sampled_from(functions))
    return Case(lambda x: function(x, 0)[0], (normal(*shape),), lambda x: along(x, 0, over))


@case("aten.aminmax")
def both_extrema(draw: Draw) -> Case:
    def loop(x: Array) -> Array:
        low = along(x, None, smallest)
        along(x, None, largest)
        return low

    return Case(lambda x: torch.aminmax(x)[0], (normal(*draw(shapes())),), loop)


@case("aten.all", "aten.any")
def truth(draw: Draw) -> Case:
    shape = draw(shapes())
    every = draw(st.booleans())
    x = torch.rand(shape) > 0.5

    def joined(values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = result & value if every else result | value
        return result

    return Case(torch.all if every else torch.any, (x,), lambda x: along(x, None, joined))


@case("aten.cumsum", "aten.cumprod")
def running(draw: Draw) -> Case:
    shape = draw(shapes())
    axis = draw(st.integers(0, len(shape) - 1))
    adds = draw(st.booleans())

    def loop(x: Array) -> Array:
        result = x.copy()
        moved = np.moveaxis(result, axis, 0)
        for i in range(1, len(moved)):
            for index in np.ndindex(*moved.shape[1:]):
                before, value = moved[(i - 1, *index)], moved[(i, *index)]
                moved[(i, *index)] = before + value if adds else before * value
        return result

    function = torch.cumsum if adds else torch.cumprod
    return Case(lambda x: function(x, axis), (normal(*shape),), loop)


def running_joins(x: Array, join: Callable[[Any, Any], Any]) -> Array:
    result = x.copy()
    for i in range(1, len(result)):
        result[i] = join(result[i - 1], result[i])
    return result


@case("aten.logsumexp")
def logsumexp(draw: Draw) -> Case:
    def over(values: Any) -> Any:
        high = largest(values)
        return log(total(exp(value - high) for value in values)) + high

    return Case(
        lambda x: torch.logsumexp(x, 1), (normal(draw(sizes()), draw(sizes())),), lambda x: along(x, 1, over)
    )


@case("aten.linalg_vector_norm")
def vector_norm(draw: Draw) -> Case:
    order: float = draw(st.sampled_from([1, 2, 3, math.inf, 0]))

    def over(values: Any) -> Any:
        if order == 2:
            return sqrt(total(v * v for v in values))
        if order == 1:
            return total(abs(v) for v in values)
        if order == math.inf:
            return largest([abs(v) for v in values])
        if order == 0:
            return _nonzero(values)
        return power(total(power(abs(v), order) for v in values), 1 / order)

    shape = (draw(sizes()), draw(sizes()))
    return Case(
        lambda x: torch.linalg.vector_norm(x, order, 1), (normal(*shape),), lambda x: along(x, 1, over)
    )


def _nonzero(values: Any) -> Any:
    """How many are not zero: a comparison each, their truth values added."""
    return total(Number(float(bool(v != 0)), v.tally) for v in values)


@case("aten.var_mean", "aten.std_mean")
def moments_together(draw: Draw) -> Case:
    shape = (draw(sizes()), draw(sizes(2, 3)))
    function = draw(st.sampled_from([torch.var_mean, torch.std_mean]))

    def over(values: Any) -> Any:
        result = moments(values)[2]
        return sqrt(result) if function is torch.std_mean else result

    return Case(lambda x: function(x, 1, correction=0)[0], (normal(*shape),), lambda x: along(x, 1, over))


@case("aten.trace")
def trace(draw: Draw) -> Case:
    n, m = draw(sizes()), draw(sizes())

    def loop(x: Array) -> Array:
        return along(np.diagonal(x), None, lambda v: total(iter(v)))

    return Case(torch.trace, (normal(n, m),), loop)


@case("aten.mean")
def mean_of_several_axes(draw: Draw) -> Case:
    shape = draw(shapes(3, 3))

    def loop(x: Array) -> Array:
        return along(x.reshape(x.shape[0], -1), 1, lambda v: total(iter(v)) / len(v))

    def run(x: Tensor) -> Tensor:
        return x.mean((1, 2))

    return Case(run, (normal(*shape),), loop)
