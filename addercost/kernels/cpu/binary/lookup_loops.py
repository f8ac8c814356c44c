"""The loop that sums signs by table look-up, in LLVM IR. One shuffle of bytes looks up four channels of 32
filters.

A byte of the image holds the signs of eight channels. For each of its two halves, `TABLE` has 16 bytes: entry
v says in how many of its four signs the half differs from v. A weight's half byte is the index v.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I8,
    I16,
    I32,
    I64,
    POINTER,
    at,
    call,
    compiled,
    counted,
    function,
    least,
    loaded,
    repeated,
)
from addercost.kernels.cpu.ir.vectors import constant, picked, picked_of, splat, vector, zeros

LANES = 32
"""Filters in a vector."""
_BYTES, _HALVES, _FLOATS = vector(I8, LANES), vector(I16, LANES), vector(FLOAT, LANES)
_HALF_BYTES = 16
_MOST_BYTES = 31
"""Bytes of an image that are looked up before the sums are widened to 16 bits: 31 bytes of eight signs give
at most 248, which fits a byte.
"""
MOST_TERMS = (1 << 16) - 1
"""The most signs that a 16-bit sum can count."""

TABLE = bytes(
    ((byte >> shift & 15) ^ other).bit_count()
    for byte in range(256)
    for shift in (0, 4)
    for other in range(16)
)


class LookupNumbers(NamedTuple):
    """What the loop needs to know besides its pointers.

    images, rows, columns: of the output. blocks: groups of as many filters as the function computes at once.
    filter_rows: rows of a filter. run: bytes of the image that one row of a filter covers. terms: signs in a
    sum. by_pixel, by_row, by_image: bytes of the source from one output pixel, row or image to the next.
    by_filter_row: bytes of the source from one row of a filter to the next. by_output_image, by_output_pixel:
    elements of the target from one image or pixel to the next. by_output: the same from one filter to the
    next, or from one word of filters. filters: of the layer. before: elements of the whole output before the
    target. least, most: the limits of an output, as the bits of an fp32."""

    images: int
    rows: int
    columns: int
    blocks: int
    filter_rows: int
    run: int
    terms: int
    by_pixel: int
    by_row: int
    by_image: int
    by_filter_row: int
    by_output_image: int
    by_output_pixel: int
    by_output: int
    filters: int
    before: int
    least: int
    most: int


@cache
def lookup_sums(
    vectors: int,
    pixels: int,
    channels_last: bool = True,
    signs: bool = False,
    adds: bool = False,
    limits: bool = False,
) -> Any:
    """A function (weights, factors, table, shortcut, source, target, numbers) that computes tiles of
    `vectors` vectors of filters and `pixels` pixels. A row of the output must have at least `pixels` pixels.

    weights: bytes [block, row of a filter, byte of the run, half, filter]. factors: [2, filters] fp32.
    shortcut: with `adds`, what is added to the output, in its layout. limits: whether outputs have limits.
    target: fp32 [image, row, column, filter], or [image, filter, row, column] with four pixels stored at a
    time. With `signs` the target is int32, where a word has the signs of 32 filters. The last tile of a row
    is moved left so that it ends where the row ends.
    """
    code = function(f"lookup_{vectors}_{pixels}", *(POINTER,) * 7)
    weights, factors, table, shortcut, source, target, numbers = code.function.args
    n = loaded(code, LookupNumbers, numbers)
    block_filters = vectors * LANES
    block_bytes = code.mul(code.mul(n.filter_rows, n.run), I64(2 * block_filters))
    sums = [code.alloca(_HALVES) for _ in range(vectors * pixels)]
    with (
        counted(code, n.blocks) as block,
        counted(code, n.images) as image,
        counted(code, n.rows) as row,
        counted(code, n.columns, pixels) as begin,
    ):
        of_block = at(code, I8, weights, (block, block_bytes))
        first = least(code, begin, code.sub(n.columns, I64(pixels)))
        read = at(code, I8, source, (image, n.by_image), (row, n.by_row), (first, n.by_pixel))
        for place in sums:
            code.store(zeros(_HALVES), place)
        with counted(code, n.filter_rows) as filter_row, counted(code, n.run, _MOST_BYTES) as start:
            count = least(code, code.sub(n.run, start), I64(_MOST_BYTES))
            before = code.add(code.mul(filter_row, n.run), start)
            found = _looked_up(
                code, vectors, pixels, count, at(code, I8, of_block, (before, 2 * block_filters)),
                at(code, I8, read, (filter_row, n.by_filter_row), (start, 1)), n.by_pixel, table,
            )  # fmt: skip
            for place, value in zip(sums, found, strict=True):
                code.store(code.add(code.load(place, typ=_HALVES), code.zext(value, _HALVES)), place)
        terms = splat(code, code.uitofp(n.terms, FLOAT), LANES)
        pixel = code.add(code.mul(row, n.columns), first)
        to = at(code, FLOAT, target, (image, n.by_output_image))
        added = at(code, FLOAT, shortcut, (n.before, 1), (image, n.by_output_image)) if adds else None
        store = _Store(code, to, added, (n.least, n.most) if limits else ())
        for i in range(vectors):
            filters = (block, block_filters), (i, LANES)
            factor = code.load(at(code, FLOAT, factors, *filters), align=4, typ=_FLOATS)
            addend = code.load(at(code, FLOAT, factors, (1, n.filters), *filters), align=4, typ=_FLOATS)
            values = []
            for place in sums[i * pixels : (i + 1) * pixels]:
                differing = code.uitofp(code.load(place, typ=_HALVES), _FLOATS)
                total = code.fsub(terms, code.fmul(constant(_FLOATS, 2.0), differing))
                values.append(code.fadd(code.fmul(total, factor), addend))
            if signs or channels_last:
                number = code.add(code.mul(block, I64(vectors)), I64(i))
                of_vector = (number, n.by_output) if signs else (code.mul(number, I64(LANES)), 1)
                for offset, value in enumerate(values):
                    place = (pixel, n.by_output_pixel), (offset, n.by_output_pixel), of_vector
                    if signs:
                        below = code.fcmp_ordered("<", value, zeros(_FLOATS))
                        code.store(code.bitcast(below, I32), at(code, FLOAT, to, *place), align=4)
                    else:
                        store(value, *place)
                continue
            of_filter = code.add(code.mul(block, I64(block_filters)), I64(i * LANES))
            for offset in range(0, pixels, 4):
                place = (of_filter, n.by_output), (pixel, 1), (offset, 1)
                for number, four in _turned(code, values[offset : offset + 4]):
                    store(four, *place, (number, n.by_output))
    code.ret_void()
    return compiled(code)


class _Store:
    """Stores vectors of outputs: with what a shortcut adds to them, and within limits, if there are any.

    limits: the bits of the least and the largest output, or nothing."""

    def __init__(self, code: Any, target: Any, shortcut: Any | None, limits: tuple[Any, ...]) -> None:
        self._code, self._target, self._shortcut = code, target, shortcut
        self._limits = [code.bitcast(code.trunc(bits, I32), FLOAT) for bits in limits]

    def __call__(self, value: Any, *place: tuple[Any, Any]) -> None:
        """Stores the vector `value` at the element Σ index · stride of the target."""
        code, count = self._code, value.type.count
        if self._shortcut is not None:
            added = code.load(at(code, FLOAT, self._shortcut, *place), align=4, typ=value.type)
            value = code.fadd(value, added)
        # A comparison with NaN is false, so NaN stays NaN.
        for limit, beyond in zip(self._limits, (">", "<"), strict=False):
            limits = splat(code, limit, count)
            value = code.select(code.fcmp_ordered(beyond, limits, value), limits, value)
        code.store(value, at(code, FLOAT, self._target, *place), align=4)


def _turned(code: Any, values: list[Any]) -> Iterator[tuple[int, Any]]:
    """Each filter's number, and its values at four pixels side by side."""
    for begin in range(0, LANES, 8):
        a, b, c, d = (picked_of(code, value, range(begin, begin + 8)) for value in values)
        for odd in range(2):
            # The first shuffle takes lanes 0, 1, 4 and 5 of each pair, the second lanes 2, 3, 6 and 7.
            lanes = [lane + 8 * second for lane in (0, 1, 4, 5) for second in range(2)]
            left, right = (
                picked(code, x, y, [lane + 2 * odd for lane in lanes]) for x, y in ((a, b), (c, d))
            )
            for high in range(2):
                both = [
                    lane + pixel + 2 * high + 8 * second
                    for lane in (0, 4)
                    for second in range(2)
                    for pixel in range(2)
                ]
                turned = picked(code, left, right, both)
                for half in range(2):
                    here = picked_of(code, turned, range(4 * half, 4 * half + 4))
                    number = begin + 2 * odd + high + 4 * half
                    yield number, here


def _looked_up(
    code: Any, vectors: int, pixels: int, count: Any, weights: Any, source: Any, by_pixel: Any, table: Any
) -> list[Any]:
    """The sums of `count` bytes of each pixel, as bytes: all pixels of the first vector, then all of the
    second, and so on.
    """
    with repeated(code, count, *[zeros(_BYTES)] * (vectors * pixels)) as turn:
        read = at(code, I8, weights, (turn.index, 2 * vectors * LANES))
        places = [
            [
                code.load(at(code, I8, read, (half * vectors + i, LANES)), align=1, typ=_BYTES)
                for i in range(vectors)
            ]
            for half in range(2)
        ]
        turn.following = list(turn.values)
        for pixel in range(pixels):
            byte = code.load(at(code, I8, source, (pixel, by_pixel), (turn.index, 1)), align=1, typ=I8)
            entries = at(code, I8, table, (code.zext(byte, I64), 2 * _HALF_BYTES))
            for half in range(2):
                sixteen = code.load(
                    at(code, I8, entries, (half, _HALF_BYTES)), align=_HALF_BYTES, typ=vector(I8, _HALF_BYTES)
                )
                both = picked_of(code, sixteen, [*range(_HALF_BYTES)] * 2)
                for i in range(vectors):
                    here = i * pixels + pixel
                    differing = call(code, "llvm.x86.avx2.pshuf.b", _BYTES, both, places[half][i])
                    turn.following[here] = code.add(turn.following[here], differing)
    return turn.following
