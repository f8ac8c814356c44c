"""Depthwise convolution of channels-last images, which are read in place. A vector holds channels of one
pixel.

The taps of a filter's row are unrolled. Each pixel of the image under them is addressed, checked against the
border and loaded once for all taps.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from addercost.kernels.cpu.depthwise.tile import DepthwiseLoop, TileCode
from addercost.kernels.cpu.ir.build import FLOAT, I64, at, counted, least
from addercost.kernels.cpu.ir.halves import as_fp32, store
from addercost.kernels.cpu.ir.vectors import vector


@cache
def across_channels(loop: DepthwiseLoop) -> Any:
    """The loop for channels-last images of at least `lanes` channels. Its weights are [R, S, C]."""
    made = TileCode(loop)
    code, numbers, term = made.code, made.numbers, made.term
    filter_row = code.mul(numbers.c, I64(loop.filter_x))
    with made.images() as (source, stationary, target), counted(code, numbers.length) as number:
        p = code.add(number, numbers.begin)
        y = made.first(p, numbers.stride_y, numbers.padding_y)
        # All channels of a tile come before the next tile, so memory is read in order.
        with counted(code, numbers.q, loop.tile) as pixel:
            q = least(code, pixel, code.sub(numbers.q, I64(loop.tile)))
            x = made.first(q, I64(loop.stride_x), numbers.padding_x)
            with counted(code, numbers.c, loop.lanes) as block:
                channel = least(code, block, code.sub(numbers.c, I64(loop.lanes)))
                made.clear()
                own = _stationary(made, stationary, p, q, channel) if term.stationary else []
                with counted(code, numbers.r) as r:
                    weights = at(code, term.weight_element, made.weights, (r, filter_row), (channel, 1))
                    row = code.add(y, code.mul(r, numbers.dilation_y))
                    _add_row(made, source, row, x, channel, weights, own)
                factors = made.factors(channel)
                out = at(code, term.result, target, (p, numbers.ty), (q, numbers.tx), (channel, 1))
                for u in range(loop.tile):
                    value = made.finished(u, factors)
                    place = at(code, term.result, out, (numbers.tx, u))
                    store(code, term.output, value, place)
    return made.compiled()


def _stationary(made: TileCode, stationary: Any, p: Any, q: Any, channel: Any) -> list[Any]:
    """The stationary operands of a tile, one vector for each pixel."""
    code, numbers = made.code, made.numbers
    columns = [code.add(q, I64(u)) for u in range(made.loop.tile)]
    places = [
        at(code, FLOAT, stationary, (p, numbers.hy), (column, numbers.hx), (channel, 1)) for column in columns
    ]
    return [code.load(place, align=4, typ=vector(FLOAT, made.loop.lanes)) for place in places]


def _add_row(
    made: TileCode, source: Any, row: Any, x: Any, channel: Any, weights: Any, stationary: list[Any]
) -> None:
    """Adds the terms of one row of the filter and one row of the image, for a tile that begins at the image's
    column x.
    """
    code, numbers, loop, term = made.code, made.numbers, made.loop, made.term
    inside = code.icmp_unsigned("<", row, numbers.h)
    start = at(code, term.element, source, (row, numbers.sy), (channel, 1))
    start = code.select(inside, start, made.blank)
    step = code.select(inside, numbers.sx, I64(0))
    place = at(code, term.element, start, (x, step))
    taps = []
    for s in range(loop.filter_x):
        tap = at(code, term.weight_element, weights, (numbers.c, s))
        taps.append(code.load(tap, align=1, typ=vector(term.weight_element, loop.lanes)))
    before = 0
    with made.sums() as sums:
        for column, pairs in sorted(_pairs(loop).items()):
            place = at(code, term.element, place, (step, column - before))
            there = code.icmp_unsigned("<", code.add(x, I64(column)), numbers.w)
            readable = code.select(there, place, made.blank)
            value = code.load(readable, align=1, typ=vector(term.element, loop.lanes))
            value = as_fp32(code, term.input, value)
            made.watch(value, column)
            for u, s in pairs:
                sums[u] = made.added(sums, u, value, taps[s], stationary)
            before = column


def _pairs(loop: DepthwiseLoop) -> dict[int, list[tuple[int, int]]]:
    """For each column, counted from a tile's first: pairs of a pixel of the tile and the tap of the filter
    that reads the column for it. The taps of each pixel are in order."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for u in range(loop.tile):
        for s in range(loop.filter_x):
            pairs.setdefault(u * loop.stride_x + s * loop.dilation_x, []).append((u, s))
    return pairs
