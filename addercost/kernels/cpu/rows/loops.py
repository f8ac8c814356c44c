"""The loop of L1 distances between a few rows of inputs and rows of weights, in LLVM IR.

Its vectors run along the channels, so weights are read in the order in which they are stored.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

from addercost.kernels.cpu.ir.build import FLOAT, I64, POINTER, at, compiled, counted, function, least, loaded
from addercost.kernels.cpu.ir.halves import STORED, load, store
from addercost.kernels.cpu.ir.vectors import absolute, lane_sum, lanes_below, vector


class RowSizes(NamedTuple):
    """The number of weight rows and channels, and strides in elements. x_row: of x by row. weight_row: of the
    weights by row. out_row, out_weight: of the output by row of x and by row of weights."""

    rows: int
    channels: int
    x_row: int
    weight_row: int
    out_row: int
    out_weight: int


@cache
def distances(lanes: int, batch: int, together: int, dtype: torch.dtype = torch.float32) -> Any:
    """A function void distances(x, weights, out, sizes) that computes -Σ|x - w| for `batch` rows of x and
    each row of weights. Operands and output are of this format; sums are in fp32.

    lanes: of a vector of fp32. together: how many rows of weights are read at once. There must be at least
    that many; the last ones are moved back to end at the last row.
    """
    code = function(f"distances_{lanes}_{batch}_{together}", *(POINTER,) * 4)
    stored = STORED[dtype]
    x, weights, out, numbers = code.function.args
    sizes = loaded(code, RowSizes, numbers)
    floats = vector(FLOAT, lanes)
    pairs = [(row, b) for row in range(together) for b in range(batch)]
    whole = code.and_(sizes.channels, I64(-lanes))
    mask = lanes_below(code, code.sub(sizes.channels, whole), lanes)
    # LLVM keeps these stack slots in registers.
    sums = [code.alloca(floats) for _ in pairs]
    with counted(code, sizes.rows, together) as block:
        first = least(code, block, code.sub(sizes.rows, I64(together)))
        rows = [code.add(first, I64(row)) for row in range(together)]
        weight_rows = [at(code, stored, weights, (row, sizes.weight_row)) for row in rows]
        x_rows = [at(code, stored, x, (b, sizes.x_row)) for b in range(batch)]
        # The channels left over after whole vectors come first, so they can initialise the sums.
        w, values = (
            [load(code, dtype, lanes, at(code, stored, row, (whole, 1)), mask) for row in of]
            for of in (weight_rows, x_rows)
        )
        starts = [absolute(code, code.fsub(values[b], w[row])) for row, b in pairs]
        for place, start in zip(sums, starts, strict=True):
            code.store(start, place)
        with counted(code, whole, lanes) as channel:
            w, values = (
                [load(code, dtype, lanes, at(code, stored, row, (channel, 1))) for row in of]
                for of in (weight_rows, x_rows)
            )
            for place, (row, b) in zip(sums, pairs, strict=True):
                distance = absolute(code, code.fsub(values[b], w[row]))
                code.store(code.fadd(code.load(place, typ=floats), distance), place)
        for place, (row, b) in zip(sums, pairs, strict=True):
            total = code.fneg(lane_sum(code, code.load(place, typ=floats)))
            to = at(code, stored, out, (b, sizes.out_row), (rows[row], sizes.out_weight))
            store(code, dtype, total, to)
    code.ret_void()
    return compiled(code)
