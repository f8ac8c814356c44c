"""Loops in LLVM IR: sums over the channels of a pixel, sums over windows of pixels, and a search for NaN."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch

from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I32,
    I64,
    POINTER,
    at,
    compiled,
    counted,
    function,
    loaded,
)
from addercost.kernels.cpu.ir.halves import STORED, load
from addercost.kernels.cpu.ir.vectors import (
    absolute,
    addresses,
    any_set,
    constant,
    lane_sum,
    lanes_below,
    masked_gather,
    masked_load,
    masked_store,
    splat,
    vector,
    zeros,
)

_ALIGN = 4
_FEW_ROUNDS = 4
"""Vectors that the search for NaN joins before it looks at the result."""


class ChannelSums(NamedTuple):
    """Sizes, and strides in elements: of the input by image, group, row, column and channel; of the sums by
    image, group and row. magnitudes: from the sums of values to those of magnitudes.
    """

    images: int
    groups: int
    rows: int
    columns: int
    channels: int
    image: int
    group: int
    row: int
    column: int
    channel: int
    to_image: int
    to_group: int
    to_row: int
    magnitudes: int


class WindowSums(NamedTuple):
    """Sizes, and strides in elements: of the source by plane, by row of the output and of the window, and by
    column of both; of the target by plane and row.
    """

    planes: int
    rows: int
    columns: int
    filter_y: int
    filter_x: int
    plane: int
    row: int
    column: int
    filter_row: int
    filter_column: int
    to_plane: int
    to_row: int


@cache
def sums_of_pixels(lanes: int, dtype: torch.dtype) -> Any:
    """A function void f(source, target, `ChannelSums`) that sums the channels of each pixel, and their
    magnitudes. The channels of a pixel must be neighbours in memory. The source is of this format, and the
    sums are in fp32.
    """
    code, stored = function(f"sums_of_pixels_{lanes}", *(POINTER,) * 3), STORED[dtype]
    source, target, numbers = code.function.args
    sizes = loaded(code, ChannelSums, numbers)
    floats = vector(FLOAT, lanes)
    sums = code.alloca(floats), code.alloca(floats)
    whole = code.and_(sizes.channels, I64(-lanes))
    mask = lanes_below(code, code.sub(sizes.channels, whole), lanes)
    with (
        counted(code, sizes.images) as n,
        counted(code, sizes.groups) as g,
        counted(code, sizes.rows) as y,
        counted(code, sizes.columns) as x,
    ):
        terms = (n, sizes.image), (g, sizes.group), (y, sizes.row), (x, sizes.column)
        pixel = at(code, stored, source, *terms)
        rest = load(code, dtype, lanes, at(code, stored, pixel, (whole, 1)), mask)
        for place, start in zip(sums, (rest, absolute(code, rest)), strict=True):
            code.store(start, place)
        with counted(code, whole, lanes) as c:
            values = load(code, dtype, lanes, at(code, stored, pixel, (c, 1)))
            for place, added in zip(sums, (values, absolute(code, values)), strict=True):
                code.store(code.fadd(code.load(place, typ=floats), added), place)
        to = at(code, FLOAT, target, (n, sizes.to_image), (g, sizes.to_group), (y, sizes.to_row), (x, 1))
        for place, total in zip((to, at(code, FLOAT, to, (sizes.magnitudes, 1))), sums, strict=True):
            code.store(lane_sum(code, code.load(total, typ=floats)), place)
    code.ret_void()
    return compiled(code)


@cache
def sums_of_planes(lanes: int, together: int, dtype: torch.dtype) -> Any:
    """The same as `sums_of_pixels` where the pixels of a row are neighbours in memory.

    together: how many vectors of pixels are summed at a time.
    """
    code, stored = function(f"sums_of_planes_{lanes}_{together}", *(POINTER,) * 3), STORED[dtype]
    source, target, numbers = code.function.args
    sizes = loaded(code, ChannelSums, numbers)
    floats = vector(FLOAT, lanes)
    sums = [(code.alloca(floats), code.alloca(floats)) for _ in range(together)]
    with (
        counted(code, sizes.images) as n,
        counted(code, sizes.groups) as g,
        counted(code, sizes.rows) as y,
        counted(code, sizes.columns, lanes * together) as x,
    ):
        starts = [code.add(x, I64(lanes * i)) for i in range(together)]
        masks = [lanes_below(code, code.sub(sizes.columns, start), lanes) for start in starts]
        for place in (place for pair in sums for place in pair):
            code.store(zeros(floats), place)
        row = at(code, stored, source, (n, sizes.image), (g, sizes.group), (y, sizes.row))
        with counted(code, sizes.channels) as c:
            channel = at(code, stored, row, (c, sizes.channel))
            for (total, magnitude), start, mask in zip(sums, starts, masks, strict=True):
                values = load(code, dtype, lanes, at(code, stored, channel, (start, 1)), mask)
                for place, added in ((total, values), (magnitude, absolute(code, values))):
                    code.store(code.fadd(code.load(place, typ=floats), added), place)
        to = at(code, FLOAT, target, (n, sizes.to_image), (g, sizes.to_group), (y, sizes.to_row))
        for (total, magnitude), start, mask in zip(sums, starts, masks, strict=True):
            place = at(code, FLOAT, to, (start, 1))
            masked_store(code, code.load(total, typ=floats), place, mask, _ALIGN)
            place = at(code, FLOAT, place, (sizes.magnitudes, 1))
            masked_store(code, code.load(magnitude, typ=floats), place, mask, _ALIGN)
    code.ret_void()
    return compiled(code)


@cache
def sums_of_windows(lanes: int, strided: bool) -> Any:
    """A function void f(source, target, `WindowSums`) that sums the elements of a plane under each window.

    strided: `WindowSums.column` is not 1.
    """
    code = function(f"sums_of_windows_{lanes}_{strided}", *(POINTER,) * 3)
    source, target, numbers = code.function.args
    sizes = loaded(code, WindowSums, numbers)
    floats = vector(FLOAT, lanes)
    total = code.alloca(floats)
    steps = vector(I64, lanes)
    offsets = code.mul(constant(steps, range(lanes)), splat(code, sizes.column, lanes))
    with (
        counted(code, sizes.planes) as plane,
        counted(code, sizes.rows) as row,
        counted(code, sizes.columns, lanes) as column,
    ):
        mask = lanes_below(code, code.sub(sizes.columns, column), lanes)
        terms = (plane, sizes.plane), (row, sizes.row), (column, sizes.column)
        first = at(code, FLOAT, source, *terms)
        code.store(zeros(floats), total)
        with counted(code, sizes.filter_y) as r, counted(code, sizes.filter_x) as s:
            place = at(code, FLOAT, first, (r, sizes.filter_row), (s, sizes.filter_column))
            if strided:
                places = addresses(code, FLOAT, place, offsets)
                values = masked_gather(code, floats, places, mask, _ALIGN, zeros(floats))
            else:
                values = masked_load(code, floats, place, mask, _ALIGN)
            code.store(code.fadd(code.load(total, typ=floats), values), total)
        to = at(code, FLOAT, target, (plane, sizes.to_plane), (row, sizes.to_row), (column, 1))
        masked_store(code, code.load(total, typ=floats), to, mask, _ALIGN)
    code.ret_void()
    return compiled(code)


@cache
def search_for_nan(lanes: int, dtype: torch.dtype) -> Any:
    """A function int f(source, unused, [elements]) that returns 1 if an element is NaN, otherwise 0. The
    elements are of this format.
    """
    code, stored = function(f"search_for_nan_{lanes}", *(POINTER,) * 3, result=I32), STORED[dtype]
    source, _, numbers = code.function.args
    elements = code.load(numbers, typ=I64)
    found = code.function.append_basic_block("found")
    run = lanes * _FEW_ROUNDS
    whole = code.and_(elements, I64(-run))

    def leave_on_nan(values: list[Any]) -> None:
        masks = [code.fcmp_unordered("uno", value, value) for value in values]
        while len(masks) > 1:
            masks = [code.or_(a, b) for a, b in zip(masks[::2], masks[1::2], strict=True)]
        following = code.append_basic_block("following")
        code.cbranch(any_set(code, masks[0]), found, following)
        code.position_at_end(following)

    with counted(code, whole, run) as first:
        places = [at(code, stored, source, (first, 1), (i, lanes)) for i in range(_FEW_ROUNDS)]
        leave_on_nan([load(code, dtype, lanes, place) for place in places])
    rest = code.sub(elements, whole)
    with counted(code, rest, lanes) as first:
        mask = lanes_below(code, code.sub(rest, first), lanes)
        place = at(code, stored, source, (whole, 1), (first, 1))
        leave_on_nan([load(code, dtype, lanes, place, mask)])
    code.ret(I32(0))
    code.position_at_end(found)
    code.ret(I32(1))
    return compiled(code)
