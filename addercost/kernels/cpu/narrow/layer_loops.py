"""The loops around the product of a ternary layer, in LLVM IR: inputs are rounded to int8 before it, and sums
are scaled behind it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I8,
    I32,
    I64,
    POINTER,
    at,
    call,
    compiled,
    counted,
    function,
    loaded,
    repeated,
)
from addercost.kernels.cpu.ir.vectors import (
    absolute,
    constant,
    lanes_below,
    masked_load,
    masked_store,
    picked_of,
    splat,
    vector,
    zeros,
)

_LEAST = float(np.float32(1e-5))
"""The least |x| that a step is made from; see `addercost.kernels.narrow.round_rows`."""


class RoundedSizes(NamedTuple):
    """rows: of x. features: of a row. padded: of a row of codes, whole vectors."""

    rows: Any
    features: Any
    padded: Any


@cache
def rounded_rows(lanes: int) -> Any:
    """A function (x, codes, steps, sizes): `round_rows` of rows of fp32. Codes behind a row's features are 0.

    lanes: of a vector of fp32.
    """
    code = function(f"rounded_rows_{lanes}", *(POINTER,) * 4)
    x, codes, steps, numbers = code.function.args
    sizes = loaded(code, RoundedSizes, numbers)
    floats = vector(FLOAT, lanes)
    vectors = code.sdiv(code.add(sizes.features, I64(lanes - 1)), I64(lanes))
    with counted(code, sizes.rows) as row:

        def values(first: Any) -> Any:
            mask = lanes_below(code, code.sub(sizes.features, first), lanes)
            return masked_load(code, floats, at(code, FLOAT, x, (row, sizes.features), (first, 1)), mask, 4)

        with repeated(code, vectors, zeros(floats)) as turn:
            magnitudes = absolute(code, values(code.mul(turn.index, I64(lanes))))
            turn.following = [_maximum(code, turn.values[0], magnitudes)]
        largest = turn.following[0]
        while largest.type.count > 1:
            half = largest.type.count // 2
            halves = (picked_of(code, largest, range(i, i + half)) for i in (0, half))
            largest = _maximum(code, *halves)
        largest = _maximum(code, largest, constant(largest.type, _LEAST))
        step = code.fdiv(code.extract_element(largest, I64(0)), FLOAT(127.0))
        code.store(step, at(code, FLOAT, steps, (row, 1)), align=4)
        divisor = splat(code, step, lanes)
        with counted(code, sizes.padded, lanes) as first:
            scaled = code.fdiv(values(first), divisor)
            rounded = call(code, f"llvm.rint.v{lanes}f32", floats, scaled)
            # A number that is not finite makes the step so, and the whole row of the result.
            words = vector(I32, lanes)
            whole = call(code, f"llvm.fptosi.sat.v{lanes}i32.v{lanes}f32", words, rounded)
            place = at(code, I8, codes, (row, sizes.padded), (first, 1))
            code.store(code.trunc(whole, vector(I8, lanes)), place, align=1)
    code.ret_void()
    return compiled(code)


def _maximum(code: Any, a: Any, b: Any) -> Any:
    """The larger numbers; NaN where one is NaN."""
    return call(code, f"llvm.maximum.v{a.type.count}f32", a.type, a, b)


class SumSizes(NamedTuple):
    """rows: of the output. columns: of a row. row: elements from one row to the next."""

    rows: Any
    columns: Any
    row: Any


@cache
def scaled_sums(lanes: int, has_bias: bool) -> Any:
    """A function (scale, steps, bias, sums, sizes) that replaces sums of int32 by fp32: sum · (step · scale)
    + bias. A row has a step, and a column has a bias; the address of the bias is not read without one.
    """
    code = function(f"scaled_sums_{lanes}_{has_bias}", *(POINTER,) * 5)
    scale, steps, bias, sums, numbers = code.function.args
    sizes = loaded(code, SumSizes, numbers)
    floats, words = vector(FLOAT, lanes), vector(I32, lanes)
    of_layer = code.load(scale, typ=FLOAT, align=4)
    with counted(code, sizes.rows) as row:
        step = code.load(at(code, FLOAT, steps, (row, 1)), typ=FLOAT, align=4)
        factor = splat(code, code.fmul(step, of_layer), lanes)
        with counted(code, sizes.columns, lanes) as first:
            mask = lanes_below(code, code.sub(sizes.columns, first), lanes)
            place = at(code, FLOAT, sums, (row, sizes.row), (first, 1))
            value = code.fmul(code.sitofp(masked_load(code, words, place, mask, 4), floats), factor)
            if has_bias:
                of_columns = at(code, FLOAT, bias, (first, 1))
                value = code.fadd(value, masked_load(code, floats, of_columns, mask, 4))
            masked_store(code, value, place, mask, 4)
    code.ret_void()
    return compiled(code)
