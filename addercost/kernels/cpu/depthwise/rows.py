"""Depthwise convolution of channels-first images, which are read in place. A vector holds pixels of one row.

The rows of a filter are unrolled: a row of the image is read once for all sums of the tile that need it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from addercost.kernels.cpu.depthwise.tile import DepthwiseLoop, TileCode
from addercost.kernels.cpu.ir.build import FLOAT, I8, I32, I64, at, counted, least
from addercost.kernels.cpu.ir.halves import align_of, as_fp32, as_stored
from addercost.kernels.cpu.ir.vectors import (
    addresses,
    constant,
    lanes_below,
    masked_gather,
    masked_load,
    masked_store,
    picked_of,
    splat,
    vector,
    zeros,
)


@cache
def along_rows(loop: DepthwiseLoop) -> Any:
    """The loop for channels-first images. A tile is some neighbouring rows of the output. Its weights are [C,
    R, S].
    """
    made = TileCode(loop)
    code, numbers, term = made.code, made.numbers, made.term
    with made.images() as (source, stationary, target), counted(code, numbers.length) as number:
        channel = code.add(number, numbers.begin)
        weights = at(code, term.weight_element, made.weights, (channel, made.filter_size))
        plane = at(code, term.element, source, (channel, numbers.sc))
        plane_target = at(code, term.result, target, (channel, numbers.tc))
        factors = made.factors(channel, of_one=True)
        fill = code.trunc(numbers.fill, I8)
        with counted(code, numbers.p, loop.tile) as row, counted(code, numbers.q, loop.lanes) as column:
            p = least(code, row, code.sub(numbers.p, I64(loop.tile)))
            q = least(code, column, code.sub(numbers.q, I64(loop.lanes if loop.whole else 1)))
            x = made.first(q, I64(loop.stride_x), numbers.padding_x)
            y = made.first(p, I64(loop.stride_y), numbers.padding_y)
            masks = {offset: _mask(made, x, offset) for offset in _offsets(loop)}
            made.clear()
            kept = None if loop.whole else lanes_below(code, code.sub(numbers.q, q), loop.lanes)
            own = _stationary(made, stationary, channel, p, q, kept) if term.stationary else []
            taps = _Taps(made, weights, plane, x, y, masks, own, fill)
            if loop.stride_x > 2:
                taps.add(masked=True)
            else:
                # All columns from the first to the last that is read must be inside the image.
                last = code.add(x, I64(max(masks) + loop.stride_x * loop.lanes - 1))
                left = code.icmp_signed(">=", x, I64(0))
                right = code.icmp_signed("<", last, numbers.w)
                with code.if_else(code.and_(left, right)) as (inside, at_the_border):
                    with inside:
                        taps.add(masked=False)
                    with at_the_border:
                        taps.add(masked=True)
            out = at(code, term.result, plane_target, (p, numbers.ty), (q, 1))
            for u in range(loop.tile):
                value = as_stored(code, term.output, made.finished(u, factors))
                place, align = at(code, term.result, out, (numbers.ty, u)), align_of(term.output)
                if kept is None:
                    code.store(value, place, align=align)
                else:
                    masked_store(code, value, place, kept, align=align)
    return made.compiled()


def _stationary(made: TileCode, stationary: Any, channel: Any, p: Any, q: Any, kept: Any) -> list[Any]:
    """The stationary operands of a tile, one vector for each row."""
    code, numbers, operands = made.code, made.numbers, []
    floats = vector(FLOAT, made.loop.lanes)
    for u in range(made.loop.tile):
        row = code.add(p, I64(u))
        place = at(code, FLOAT, stationary, (channel, numbers.hc), (row, numbers.hy), (q, 1))
        if kept is None:
            operands.append(code.load(place, align=4, typ=floats))
        else:
            operands.append(masked_load(code, floats, place, kept, align=4))
    return operands


def _offset(loop: DepthwiseLoop, s: int) -> int:
    """Where the vector of tap s is read, in columns from the first. At a stride of 2, an even tap and the
    next one are the two halves of one vector, which is read once."""
    column = s * loop.dilation_x
    return column - column % 2 if loop.stride_x == 2 else column


def _offsets(loop: DepthwiseLoop) -> list[int]:
    return sorted({_offset(loop, s) for s in range(loop.filter_x)})


def _size(loop: DepthwiseLoop) -> int:
    """Elements of a vector as it is read from the image."""
    return loop.lanes * (2 if loop.stride_x == 2 else 1)


def _mask(made: TileCode, x: Any, offset: int) -> Any:
    """Which of the columns that are read at `offset` from column x are inside the image."""
    code, loop, size = made.code, made.loop, _size(made.loop)
    apart = loop.stride_x if loop.stride_x > 2 else 1
    starts = splat(code, code.trunc(x, I32), size)
    widths = splat(code, code.trunc(made.numbers.w, I32), size)
    columns = constant(vector(I32, size), [lane * apart + offset for lane in range(size)])
    return code.icmp_unsigned("<", code.add(starts, columns), widths)


def _pairs(loop: DepthwiseLoop) -> dict[int, list[tuple[int, int]]]:
    """For each row, counted from a tile's first: pairs of a row of the tile and the row of the filter that
    reads it. The filter rows of each tile row are in order."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for u in range(loop.tile):
        for r in range(loop.filter_rows):
            pairs.setdefault(u * loop.stride_y + r * loop.dilation_y, []).append((u, r))
    return pairs


class _Taps:
    """The loop over a filter's rows, for the tile whose first tap is at column x and row y of a plane."""

    def __init__(
        self,
        made: TileCode,
        weights: Any,
        plane: Any,
        x: Any,
        y: Any,
        masks: dict[int, Any],
        stationary: list[Any],
        fill: Any,
    ) -> None:
        self.made, self.weights, self.plane, self.x, self.y = made, weights, plane, x, y
        self.masks, self.stationary, self.fill = masks, stationary, fill

    def add(self, masked: bool) -> None:
        """Adds the terms of all taps. `masked`: some columns may be outside the image."""
        made, code, loop = self.made, self.made.code, self.made.loop
        with counted(code, made.numbers.r, loop.filter_rows) as row, made.sums() as sums:
            weights = self._weights(row)
            top = code.add(self.y, code.mul(row, I64(loop.dilation_y)))
            for j, pairs in sorted(_pairs(loop).items()):
                inputs = self._inputs(code.add(top, I64(j)), masked)
                for s, x in enumerate(inputs):
                    made.watch(x, j * loop.filter_x + s)
                for u, r in pairs:
                    for s, x in enumerate(inputs):
                        sums[u] = made.added(sums, u, x, weights[r * loop.filter_x + s], self.stationary)

    def _weights(self, row: Any) -> list[Any]:
        """The weights of the unrolled filter rows that begin at `row`, each copied to every lane."""
        made, code, loop = self.made, self.made.code, self.made.loop
        element = made.term.weight_element
        start = at(code, element, self.weights, (row, loop.filter_x))
        places = [at(code, element, start, (tap, 1)) for tap in range(loop.filter_rows * loop.filter_x)]
        return [splat(code, code.load(place, align=1, typ=element), loop.lanes) for place in places]

    def _inputs(self, y: Any, masked: bool) -> list[Any]:
        """For each tap of a filter's row, the inputs under it in row y of the plane."""
        made, code, loop = self.made, self.made.code, self.made.loop
        there = code.icmp_unsigned("<", y, made.numbers.h)
        start = at(code, made.term.element, self.plane, (y, made.numbers.sy))
        start = at(code, made.term.element, code.select(there, start, made.blank), (self.x, 1))
        read = {offset: self._read(start, offset, masked) for offset in self.masks}
        inputs = [read[_offset(loop, s)] for s in range(loop.filter_x)]
        if loop.stride_x == 2:
            firsts = [s * loop.dilation_x % 2 for s in range(loop.filter_x)]
            inputs = [
                picked_of(code, both, range(first, 2 * loop.lanes, 2))
                for first, both in zip(firsts, inputs, strict=True)
            ]
        return [as_fp32(code, made.term.input, x) for x in inputs]

    def _read(self, start: Any, offset: int, masked: bool) -> Any:
        """The columns at `offset` from `start`. With `masked`, columns outside the image are the fill
        value.
        """
        code, loop, element = self.made.code, self.made.loop, self.made.term.element
        kind = vector(element, _size(loop))
        place = at(code, element, start, (offset, 1))
        if not masked:
            return code.load(place, align=1, typ=kind)
        fill = splat(code, self.fill, kind.count) if element == I8 else zeros(kind)
        mask = self.masks[offset]
        if loop.stride_x <= 2:
            return masked_load(code, kind, place, mask, 1, fill)
        apart = constant(vector(I64, kind.count), [lane * loop.stride_x for lane in range(kind.count)])
        return masked_gather(code, kind, addresses(code, element, place, apart), mask, 1, fill)
