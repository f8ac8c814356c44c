"""The loops that quantise values and copy bytes into the layout of the 8-bit kernel, in LLVM IR.

All except `quantize` are functions void copy(source, target, numbers). `numbers` is an array of `CopyNumbers`
or `TransposeNumbers`: sizes first, then strides in bytes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import llvmlite.ir as ir

from addercost.kernels.codes import LEVELS
from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I1,
    I8,
    I64,
    POINTER,
    at,
    call,
    compiled,
    counted,
    function,
    least,
    loaded,
)
from addercost.kernels.cpu.ir.vectors import (
    addresses,
    constant,
    lanes_below,
    masked_load,
    masked_scatter,
    masked_store,
    picked,
    splat,
    vector,
    zeros,
)

WORD = 8
"""Channels whose differences one lane of the SAD instruction sums."""
TRANSPOSED_PIXELS = (16, 8)
"""Pixels that `transpose` handles at a time. Longer vectors take more steps in registers and are slower."""
FLOATS = 16
"""Values that `quantize` handles at a time."""
_CHUNK, _VECTOR = 64, 32
"""Bytes that `copy_runs` copies at a time: with a mask, and without one."""
_STRETCH = 256
"""Pixels of a row that `transpose` handles for all channels before it goes on, so that what it writes stays
in the cache."""


class CopyNumbers(NamedTuple):
    """n, h, w: images, rows and pixels of a row. run: bytes of a pixel. room: bytes that are written for a
    pixel. sn, sy, sx, tn, ty, tx: strides of source and target by image, row and pixel, in bytes."""

    n: int
    h: int
    w: int
    run: int
    room: int
    sn: int
    sy: int
    sx: int
    tn: int
    ty: int
    tx: int


class TransposeNumbers(NamedTuple):
    """n, h, w: images, rows and pixels of a row. groups: of channels. words: of eight channels in a group.
    channels: in a group. sn, sc, sy, sx: strides of the source by image, channel, row and pixel, in bytes.
    tn, ty, tx: strides of the target by image, row and pixel, in bytes."""

    n: int
    h: int
    w: int
    groups: int
    words: int
    channels: int
    sn: int
    sc: int
    sy: int
    sx: int
    tn: int
    ty: int
    tx: int


@cache
def quantize(few: bool) -> Any:
    """A function void quantize(source, target, count, scale, zero): fp32 values to byte codes, as
    `codes.quantize`.

    few: `count` is below `FLOATS`."""
    code = function("quantize", POINTER, POINTER, I64, FLOAT, FLOAT)
    source, target, count, scale, zero = code.function.args
    floats, nothing = vector(FLOAT, FLOATS), zeros(vector(FLOAT, FLOATS))
    scales, zero_codes = splat(code, scale, FLOATS), splat(code, zero, FLOATS)
    most = constant(floats, float(LEVELS))
    with counted(code, count, FLOATS) as i:
        # The last vector is moved back to end at the last value: a masked store takes longer than the rest of
        # the loop.
        fits = code.sub(count, I64(FLOATS))
        first = call(code, "llvm.smax.i64", I64, least(code, i, fits), I64(0))
        place, to = at(code, FLOAT, source, (first, 1)), at(code, I8, target, (first, 1))
        if few:
            mask = lanes_below(code, count, FLOATS)
            x = masked_load(code, floats, place, mask, align=4)
        else:
            x = code.load(place, align=4, typ=floats)
        rounded = call(code, f"llvm.roundeven.v{FLOATS}f32", floats, code.fdiv(x, scales))
        moved = code.fadd(rounded, zero_codes)
        # A comparison with NaN is false, so NaN gets code 0.
        above = code.select(code.fcmp_ordered(">", moved, nothing), moved, nothing)
        inside = code.select(code.fcmp_ordered("<", above, most), above, most)
        codes = code.fptoui(inside, vector(I8, FLOATS))
        if few:
            masked_store(code, codes, to, mask, align=1)
        else:
            code.store(codes, to, align=1)
    code.ret_void()
    return compiled(code)


@cache
def copy_runs(masked: bool) -> Any:
    """Copies the bytes of each pixel, which are neighbours, and writes zeros after them until there are
    `room` bytes.

    masked: the last bytes of a run are copied as one vector under a mask. Otherwise they are copied as words
    and single bytes.
    """
    code, source, target, numbers = _layout(CopyNumbers)
    n, h, w, run, room, sn, sy, sx, tn, ty, tx = numbers
    with counted(code, n) as image, counted(code, h) as y, counted(code, w) as pixel:
        place = at(code, I8, source, (image, sn), (y, sy), (pixel, sx))
        to = at(code, I8, target, (image, tn), (y, ty), (pixel, tx))
        if masked:
            with counted(code, room, _CHUNK) as byte:
                present = lanes_below(code, code.sub(run, byte), _CHUNK)
                written = lanes_below(code, code.sub(room, byte), _CHUNK)
                x = masked_load(code, vector(I8, _CHUNK), at(code, I8, place, (byte, 1)), present, align=1)
                masked_store(code, x, at(code, I8, to, (byte, 1)), written, align=1)
        else:
            done = I64(0)
            for kind, size in ((vector(I8, _VECTOR), _VECTOR), (I64, WORD), (I8, 1)):
                # The last whole vector, word or byte ends here.
                end = code.and_(run, I64(-size))
                with counted(code, code.sub(end, done), size) as byte:
                    at_byte = code.add(done, byte)
                    x = code.load(at(code, I8, place, (at_byte, 1)), align=1, typ=kind)
                    code.store(x, at(code, I8, to, (at_byte, 1)), align=1)
                done = end
            with counted(code, code.sub(room, run)) as byte:
                code.store(I8(0), at(code, I8, to, (code.add(run, byte), 1)), align=1)
    code.ret_void()
    return compiled(code)


@cache
def copy_words() -> Any:
    """As `copy_runs`, for short runs. It reads whole words, so the source must have all bytes of the last
    word.
    """
    code, source, target, numbers = _layout(CopyNumbers)
    n, h, w, run, room, sn, sy, sx, tn, ty, tx = numbers
    with (
        counted(code, n) as image,
        counted(code, h) as y,
        counted(code, room, WORD) as byte,
        counted(code, w) as pixel,
    ):
        place = at(code, I8, source, (image, sn), (y, sy), (pixel, sx), (byte, 1))
        to = at(code, I8, target, (image, tn), (y, ty), (pixel, tx), (byte, 1))
        x = code.load(place, align=1, typ=I64)
        left = code.sub(run, byte)
        whole = code.icmp_signed(">=", left, I64(WORD))
        below = code.sub(code.shl(I64(1), code.mul(left, I64(8))), I64(1))
        mask = code.select(whole, I64(-1), below)
        code.store(code.and_(x, mask), to, align=1)
    code.ret_void()
    return compiled(code)


@cache
def transpose(channels: int, pixels: int, divides: bool, masked: bool) -> Any:
    """Transposes the rows of `channels` channels, 8 or 16, into as many bytes of each pixel, for `pixels`
    pixels at a time.

    divides: the channels of a group are a multiple of `channels`. Otherwise `channels` is 8, and missing
    channels become zeros. masked: a row may have fewer than `pixels` pixels. Otherwise the last ones are
    moved back to end at the last pixel. Where pixels are less than eight bytes apart they are written in
    order, so that each overwrites the zeros of the one before it.
    """
    code, source, target, numbers = _layout(TransposeNumbers)
    n, h, w, groups, words, group_channels, sn, sc, sy, sx, tn, ty, tx = numbers
    row_type = vector(I8, pixels)
    with counted(code, n) as image, counted(code, h) as y, counted(code, w, _STRETCH) as stretch:
        steps = code.udiv(words, I64(channels // WORD))
        length = least(code, code.sub(w, stretch), I64(_STRETCH))
        with (
            counted(code, groups) as group,
            counted(code, steps) as step,
            counted(code, length, pixels) as within,
        ):
            pixel = code.add(stretch, within)
            if masked:
                inside = lanes_below(code, code.sub(w, pixel), pixels)
            else:
                pixel = least(code, pixel, code.sub(w, I64(pixels)))
            first = code.mul(step, I64(channels))
            channel = code.add(code.mul(group, group_channels), first)
            left = code.sub(group_channels, first)
            word = code.mul(group, words)
            place = at(code, I8, source, (image, sn), (y, sy), (pixel, sx), (channel, sc))
            to = at(code, I8, target, (image, tn), (y, ty), (pixel, tx), (word, WORD), (first, 1))
            rows = []
            for b in range(channels):
                there = I1(1) if divides else code.icmp_signed(">", left, I64(b))
                if masked:
                    mask = code.select(there, inside, zeros(vector(I1, pixels)))
                    rows.append(masked_load(code, row_type, at(code, I8, place, (sc, b)), mask, align=1))
                    continue
                # The group's first channel always exists. It is read in place of one that does not.
                row = at(code, I8, place, (sc, code.select(there, I64(b), I64(0))))
                x = code.load(row, align=1, typ=row_type)
                rows.append(code.select(there, x, zeros(row_type)))
            word_type = ir.IntType(8 * channels)
            transposed = code.bitcast(_interleaved(code, rows), vector(word_type, pixels))
            if masked:
                lanes = constant(vector(I64, pixels), range(pixels))
                places = addresses(code, I8, to, code.mul(splat(code, tx, pixels), lanes))
                masked_scatter(code, transposed, places, inside, align=1)
            else:
                for lane in range(pixels):
                    one = code.extract_element(transposed, I64(lane))
                    code.store(one, at(code, I8, to, (tx, lane)), align=1)
    code.ret_void()
    return compiled(code)


def _interleaved(code: Any, rows: list[Any]) -> Any:
    """The elements of these vectors, interleaved. Each step interleaves the first half of the vectors with
    the second."""
    while len(rows) > 1:
        length, half = rows[0].type.count, len(rows) // 2
        order = [lane // 2 + lane % 2 * length for lane in range(2 * length)]
        rows = [picked(code, rows[b], rows[b + half], order) for b in range(half)]
    return rows[0]


def _layout(fields: Any) -> tuple[Any, Any, Any, Any]:
    """A builder at the beginning of `copy`, the function's source and target, and its numbers."""
    code = function("copy", POINTER, POINTER, POINTER)
    source, target, numbers = code.function.args
    return code, source, target, loaded(code, fields, numbers)
