"""The loops that pack signs, in LLVM IR, where comparing two vectors gives one bit for each lane. Halide has
no such type.

Each loop is a function i32 pack(source, target, numbers). `numbers` is an array of `PackNumbers`. The
function returns 1 if the source has a NaN, else 0.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import llvmlite.ir as ir

from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I1,
    I32,
    I64,
    POINTER,
    at,
    compiled,
    counted,
    function,
    least,
    loaded,
    repeated,
)
from addercost.kernels.cpu.ir.vectors import (
    addresses,
    any_set,
    constant,
    lanes_below,
    masked_load,
    masked_scatter,
    masked_store,
    picked,
    picked_of,
    splat,
    vector,
    zeros,
)
from addercost.kernels.signs import WORD


class PackNumbers(NamedTuple):
    """The sizes and strides of one call.

    n, h, w: images, rows and pixels of a row. groups, words: of channels, and words in a group. channels: in
    a group. sn, sc, sy, sx: strides of the source by image, channel, row and column, in elements. tn, ty, tx,
    tw: strides of the target by image, row, column and word, in elements. For `pack_runs` and `copy_words`,
    `words` counts those of all groups; for `copy_words`, sc is the source's stride by word."""

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
    tw: int


@cache
def pack_runs() -> Any:
    """Packs whole words from channels that are neighbours in memory. The words of a pixel become neighbours
    too.
    """
    pack = PackCode()
    code, (n, h, w, _, words, _, sn, _, sy, sx, tn, ty, tx, _) = pack.code, pack.numbers
    half = vector(FLOAT, WORD // 2)
    with (
        counted(code, n) as image,
        counted(code, h) as y,
        counted(code, w) as pixel,
        counted(code, words) as word,
    ):
        first = code.mul(word, I64(WORD))
        low_at = at(code, FLOAT, pack.source, (image, sn), (y, sy), (pixel, sx), (first, 1))
        to = at(code, I32, pack.target, (image, tn), (y, ty), (pixel, tx), (word, 1))
        high_at = at(code, FLOAT, low_at, (WORD // 2, 1))
        low, high = (code.load(place, align=4, typ=half) for place in (low_at, high_at))
        below = [code.fcmp_ordered("<", x, zeros(half)) for x in (low, high)]
        code.store(code.bitcast(picked(code, below[0], below[1], range(WORD)), I32), to, align=4)
        pack.note_nan(code.fcmp_unordered("uno", low, high))
    return pack.compiled()


@cache
def copy_words() -> Any:
    """Copies words that are packed already."""
    pack = PackCode()
    code, (n, h, w, _, words, _, sn, sc, sy, sx, tn, ty, tx, tw) = pack.code, pack.numbers
    with (
        counted(code, n) as image,
        counted(code, h) as y,
        counted(code, w) as pixel,
        counted(code, words) as word,
    ):
        place = at(code, I32, pack.source, (image, sn), (y, sy), (pixel, sx), (word, sc))
        to = at(code, I32, pack.target, (image, tn), (y, ty), (pixel, tx), (word, tw))
        code.store(code.load(place, align=4, typ=I32), to, align=4)
    return pack.compiled()


@cache
def pack_pixels(lanes: int) -> Any:
    """Packs channels that are neighbours in memory. The last word of a group may have fewer than 32 channels;
    no word has more than `lanes`, which is 16 or 32."""
    pack = PackCode()
    code, (n, h, w, groups, words, channels, sn, _, sy, sx, tn, ty, tx, tw) = pack.code, pack.numbers
    floats = vector(FLOAT, lanes)
    # The mask stays the same along a row of pixels, so the pixels are the inner loop.
    with (
        counted(code, n) as image,
        counted(code, h) as y,
        counted(code, groups) as group,
        counted(code, words) as word,
        counted(code, w) as pixel,
    ):
        of_group, first = code.mul(group, channels), code.mul(word, I64(WORD))
        place = at(code, FLOAT, pack.source, (image, sn), (y, sy), (pixel, sx), (of_group, 1), (first, 1))
        rows = (image, tn), (y, ty), (pixel, tx)
        to = at(code, I32, pack.target, *rows, (group, pack.group_words), (word, tw))
        mask = lanes_below(code, code.sub(channels, first), lanes)
        x = masked_load(code, floats, place, mask, align=4)
        below = code.bitcast(code.fcmp_ordered("<", x, zeros(floats)), ir.IntType(lanes))
        code.store(below if lanes == WORD else code.zext(below, I32), to, align=4)
        pack.note_nan(code.fcmp_unordered("uno", x, zeros(floats)))
    return pack.compiled()


@cache
def pack_rows(lanes: int, step: int, dense: bool, masked: bool) -> Any:
    """Packs one word for each of `lanes` pixels of a row at a time, channel after channel.

    step: 1 where pixels are neighbours in memory, 2 where every second one is skipped. dense: the words of
    neighbouring pixels are neighbours. masked: a row may have fewer than `lanes` pixels. Otherwise the last
    `lanes` pixels of a row are packed together, though some of them were packed before.
    """
    pack = PackCode()
    code, (n, h, w, groups, words, channels, sn, sc, sy, sx, tn, ty, tx, tw) = pack.code, pack.numbers
    floats, integers = vector(FLOAT, lanes), vector(I32, lanes)
    # Without mask registers, flags as wide as the lanes stay in vector registers; single bits would not.
    flags = vector(I1 if masked else I32, lanes // 2)
    with (
        counted(code, n) as image,
        counted(code, groups) as group,
        counted(code, words) as word,
        counted(code, h) as y,
        counted(code, w, lanes) as pixel,
    ):
        if not masked:
            pixel = least(code, pixel, code.sub(w, I64(lanes)))
        start = at(code, FLOAT, pack.source, (image, sn), (y, sy), (pixel, sx))
        rows = (image, tn), (y, ty), (pixel, tx)
        to = at(code, I32, pack.target, *rows, (group, pack.group_words), (word, tw))
        right = code.sub(w, pixel)
        of_group, first = code.mul(group, channels), code.mul(word, I64(WORD))
        count = least(code, code.sub(channels, first), I64(WORD))
        mask = lanes_below(code, right, lanes)
        if step == 2:
            # The last element that is read belongs to the last pixel, not to the gap after it.
            reach = code.sub(code.mul(right, I64(2)), I64(1))
            both_mask = lanes_below(code, reach, 2 * lanes)
        with repeated(code, count, zeros(integers), zeros(flags)) as channel:
            packed, nans = channel.values
            place = at(code, FLOAT, start, (code.add(code.add(of_group, first), channel.index), sc))
            if step == 2 and masked:
                both = masked_load(code, vector(FLOAT, 2 * lanes), place, both_mask, align=4)
                x = picked_of(code, both, range(0, 2 * lanes, 2))
            elif step == 2:
                low = code.load(place, align=4, typ=floats)
                high = code.load(at(code, FLOAT, place, (lanes - 1, 1)), align=4, typ=floats)
                x = picked(code, low, high, [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])
            elif masked:
                x = masked_load(code, floats, place, mask, align=4)
            else:
                x = code.load(place, align=4, typ=floats)
            below = code.fcmp_ordered("<", x, zeros(floats))
            bit = splat(code, code.shl(I32(1), code.trunc(channel.index, I32)), lanes)
            packed = code.or_(packed, code.select(below, bit, zeros(integers)))
            # One comparison finds a NaN in either half.
            low, high = (picked_of(code, x, range(half, half + lanes // 2)) for half in (0, lanes // 2))
            unordered = code.fcmp_unordered("uno", low, high)
            nans = code.or_(nans, unordered if masked else code.sext(unordered, flags))
            channel.following = [packed, nans]
        pack.note_nan(nans if masked else code.icmp_signed("<", nans, zeros(flags)))
        if dense and masked:
            masked_store(code, packed, to, mask, align=4)
        elif dense:
            code.store(packed, to, align=4)
        elif masked:
            apart = code.mul(splat(code, code.trunc(tx, I32), lanes), constant(integers, range(lanes)))
            masked_scatter(code, packed, addresses(code, I32, to, apart), mask, align=4)
        else:
            for lane in range(lanes):
                one = code.extract_element(packed, I64(lane))
                code.store(one, at(code, I32, to, (tx, lane)), align=4)
    return pack.compiled()


class PackCode:
    """The builder of one function `pack`."""

    def __init__(self) -> None:
        self.code = code = function("pack", POINTER, POINTER, POINTER, result=I32)
        self.source, self.target, numbers = code.function.args
        self._nan = code.alloca(I32)
        code.store(I32(0), self._nan)
        self.numbers = loaded(code, PackNumbers, numbers)
        self.group_words = code.mul(self.numbers.words, self.numbers.tw)
        """Words from a group's first word to the first of the next group."""

    def note_nan(self, unordered: Any) -> None:
        """Remembers that there is a NaN if a bit of this mask is set."""
        # A branch that is never taken costs less than adding to a sum, for which every word would have to
        # wait.
        with self.code.if_then(any_set(self.code, unordered)):
            self.code.store(I32(1), self._nan)

    def compiled(self) -> Any:
        self.code.ret(self.code.load(self._nan))
        return compiled(self.code)
