"""The loops over rows of packed weights, in LLVM IR."""

from __future__ import annotations

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
    loaded,
    prefetch,
    repeated,
)
from addercost.kernels.cpu.ir.native import host_features
from addercost.kernels.cpu.ir.vectors import constant, fma, lane_sum, picked, picked_of, splat, vector, zeros
from addercost.kernels.narrow import MIDDLE

BYTES, PIECES = vector(I8, 64), vector(I32, 16)

AHEAD = 1024
"""Bytes between a piece of the weights and the one that is asked of memory when it is read."""


class ProductSizes(NamedTuple):
    """rows: of weights. pieces: of 64 bytes in a row. inputs, starts, outputs: elements from one row of x to
    the next, in x, in the starts and in the result. first_scale: the place of the first row's
    first scale.
    """

    rows: Any
    pieces: Any
    inputs: Any
    starts: Any
    outputs: Any
    first_scale: Any = 0


def lanes() -> int:
    """Of a vector of sums: 16, or 8 where AVX2 adds the products of both halves of a piece before it widens
    them.
    """
    return 8 if _by_halves() else 16


@cache
def product_of_rows(bits: int, batch: int, streams: int) -> Any:
    """A function (x, starts, scales, words, out, sizes): for `batch` rows of int8, the sums of x times the
    weights.

    streams: how many equal parts of the rows are read at once; sizes.rows is a multiple of it. A core reads
    more bytes a second when it reads from several places. starts: from `starts_of_rows`, the values that the
    sums begin with. scales: fp32, one for each piece, of 4-bit weights. out: int32 for ternary weights, fp32
    for 4-bit ones.
    """
    code = function(f"narrow_{bits}_{batch}_{streams}", *(POINTER,) * 6)
    x, starts, scales, words, out, numbers = code.function.args
    sizes = loaded(code, ProductSizes, numbers)
    part = code.sdiv(sizes.rows, I64(streams))
    with counted(code, part) as index:
        rows = [code.add(index, code.mul(part, I64(stream))) for stream in range(streams)]
        firsts = [at(code, I8, words, (code.mul(row, sizes.pieces), 64)) for row in rows]
        if bits == 2:
            sums = _ternary(code, batch, sizes, firsts, x, starts)
        else:
            of_rows = [at(code, FLOAT, scales, (sizes.first_scale, 1), (row, sizes.pieces)) for row in rows]
            sums = _four_bits(code, batch, sizes, firsts, x, starts, of_rows)
        for i, value in enumerate(sums):
            row, b = rows[i // batch], i % batch
            code.store(value, at(code, I32, out, (b, sizes.outputs), (row, 1)), align=4)
    code.ret_void()
    return compiled(code)


def _ternary(code: Any, batch: int, sizes: ProductSizes, firsts: list[Any], x: Any, starts: Any) -> list[Any]:
    """One sum for each row of weights and each row of x. The rows of x are innermost."""
    chains, words = 4 if _has_vnni() else 1, vector(I32, lanes())
    begins = [zeros(words)] * (chains * batch * len(firsts))
    for i in range(0, len(begins), chains):
        begins[i] = code.load(at(code, I32, starts, (i // chains % batch, sizes.starts)), align=4, typ=words)
    with repeated(code, sizes.pieces, *begins) as turn:
        following = list(turn.values)
        pieces = [_piece(code, first, turn.index) for first in firsts]
        for b in range(batch):
            values = [
                _load(code, at(code, I8, x, (b, sizes.inputs), (turn.index, 256), (j, 64)), BYTES)
                for j in range(4)
            ]
            for s, piece in enumerate(pieces):
                place = chains * (s * batch + b)
                if chains > 1:
                    for j in range(chains):
                        following[place + j] = _dot(
                            code, following[place + j], [_in_place(code, piece, j)], values[j : j + 1]
                        )
                elif _by_halves():
                    following[place] = code.add(following[place], _ternary_by_halves(code, piece, values))
                else:
                    codes = [_codes(code, piece, 2, j) for j in range(4)]
                    following[place] = _dot(code, following[place], codes, values)
        turn.following = following
    # The j-th chain has codes that were left in place, so it has 4^j times its sum.
    ends = [
        code.ashr(end, constant(words, 2 * (i % chains))) if i % chains else end
        for i, end in enumerate(turn.following)
    ]
    return [lane_sum(code, _tree(code, ends[i : i + chains])) for i in range(0, len(ends), chains)]


def _four_bits(
    code: Any, batch: int, sizes: ProductSizes, firsts: list[Any], x: Any, starts: Any, scales: list[Any]
) -> list[Any]:
    """Likewise for 4-bit weights, whose pieces have scales."""
    words, floats = vector(I32, lanes()), vector(FLOAT, lanes())
    with repeated(code, sizes.pieces, *[zeros(floats)] * (batch * len(firsts))) as turn:
        pieces = [_piece(code, first, turn.index) for first in firsts]
        of_pieces = [
            splat(code, code.load(at(code, FLOAT, of_row, (turn.index, 1)), typ=FLOAT, align=4), lanes())
            for of_row in scales
        ]
        values = [
            [
                _load(code, at(code, I8, x, (b, sizes.inputs), (turn.index, 128), (j, 64)), BYTES)
                for j in range(2)
            ]
            for b in range(batch)
        ]
        for piece, scale in zip(pieces, of_pieces, strict=True):
            codes = [_codes(code, piece, 4, j) for j in range(2)]
            for b in range(batch):
                start = at(code, I32, starts, (b, sizes.starts), (turn.index, lanes()))
                sums = _dot(code, code.load(start, align=4, typ=words), codes, values[b])
                terms = code.sitofp(sums, floats)
                turn.following.append(fma(code, terms, scale, turn.values[len(turn.following)]))
    return [lane_sum(code, value) for value in turn.following]


@cache
def starts_of_rows(bits: int) -> Any:
    """A function (x, starts, sizes) that computes what the sums begin with.

    A weight is its code minus a middle, so the sums of x times codes begin at -middle · Σ x. For each of
    sizes.rows rows of int8, the function stores this value, spread over the lanes of a vector: one vector for
    ternary weights, and one for each piece of 4-bit weights.
    """
    code = function(f"narrow_starts_{bits}", *(POINTER,) * 3)
    x, starts, numbers = code.function.args
    sizes = loaded(code, ProductSizes, numbers)
    vectors, ones, words = 8 // bits, constant(BYTES, 1), vector(I32, lanes())

    def added(sums: Any, row: Any, piece: Any) -> Any:
        for j in range(vectors):
            place = at(code, I8, x, (row, sizes.inputs), (piece, 64 * vectors), (j, 64))
            sums = _dot(code, sums, [ones], [_load(code, place, BYTES)])
        return sums

    def store(sums: Any, *place: Any) -> None:
        code.store(code.mul(sums, constant(words, -MIDDLE[bits])), at(code, I32, starts, *place), align=4)

    with counted(code, sizes.rows) as row:
        if bits == 2:
            with repeated(code, sizes.pieces, zeros(words)) as turn:
                turn.following = [added(turn.values[0], row, turn.index)]
            store(turn.following[0], (row, sizes.starts))
        else:
            with counted(code, sizes.pieces) as piece:
                store(added(zeros(words), row, piece), (row, sizes.starts), (piece, lanes()))
    code.ret_void()
    return compiled(code)


def _load(code: Any, place: Any, kind: Any) -> Any:
    return code.load(place, align=1, typ=kind)


def _piece(code: Any, row: Any, index: Any) -> Any:
    """The piece of the row of weights. One that follows is asked of memory, behind the row's end as well."""
    place = at(code, I8, row, (index, 64))
    prefetch(code, at(code, I8, place, (AHEAD, 1)))
    return _load(code, place, PIECES)


def _codes(code: Any, piece: Any, bits: int, j: int) -> Any:
    """The j-th code of each byte, as a vector of bytes."""
    shifted = code.lshr(piece, constant(PIECES, bits * j)) if j else piece
    mask = (2**bits - 1) * 0x01010101
    return code.bitcast(code.and_(shifted, constant(PIECES, mask)), BYTES)


def _in_place(code: Any, piece: Any, j: int) -> Any:
    """The j-th 2-bit code of each byte where it is, which is 4^j times the code."""
    return code.bitcast(code.and_(piece, constant(PIECES, (3 << 2 * j) * 0x01010101)), BYTES)


def _has_vnni() -> bool:
    return "avx512vnni" in host_features()


def _by_halves() -> bool:
    return "avx2" in host_features() and not _has_vnni()


def _dot(code: Any, sums: Any, codes: list[Any], values: list[Any]) -> Any:
    """sums + Σ codes·values, where each lane sums its share of them: of every vector, four neighbours or
    those of both halves. codes: one or two vectors of unsigned bytes of at most 15, or four of at most 3.
    values: signed bytes.
    """
    if _has_vnni():
        for of, by in zip(codes, values, strict=True):
            sums = call(code, "llvm.x86.avx512.vpdpbusd.512", sums.type, sums, of, by)
        return sums
    if _by_halves():
        return code.add(sums, _dot_by_halves(code, codes, values))
    if "dotprod" in host_features():
        return _dot_by_quarters(code, sums, codes, values)
    wide = vector(I32, 64)
    for of, by in zip(codes, values, strict=True):
        products = code.mul(code.zext(of, wide), code.sext(by, wide))
        for j in range(4):
            sums = code.add(sums, picked_of(code, products, range(j, 64, 4)))
    return sums


def _dot_by_halves(code: Any, codes: list[Any], values: list[Any]) -> Any:
    """Σ codes·values in 8 lanes. Four sums of two products are at most 4·2·15·128 = 15,360, so none
    saturates.
    """
    return _widened(code, _short_sums(code, codes, values))


def _ternary_by_halves(code: Any, piece: Any, values: list[Any]) -> Any:
    """Σ codes·values of a piece of 2-bit codes in 8 lanes. One shift takes two of the four codes to the lower
    bits; the other two stay where they are, and four times their sum is at most 4·2·12·128 = 12,288.
    """
    upper = code.lshr(piece, constant(PIECES, 4))
    sums = _short_sums(code, [_in_place(code, of, 0) for of in (piece, upper)], values[::2])
    fourfold = _short_sums(code, [_in_place(code, of, 1) for of in (piece, upper)], values[1::2])
    return _widened(code, code.add(sums, code.ashr(fourfold, constant(sums.type, 2))))


def _short_sums(code: Any, codes: list[Any], values: list[Any]) -> Any:
    """Σ codes·values in 16 lanes of 16 bits, by an AVX2 instruction that sums two neighbouring products of
    bytes.
    """
    return _tree(
        code,
        [
            call(
                code,
                "llvm.x86.avx2.pmadd.ub.sw",
                vector(I16, 16),
                picked_of(code, of, half),
                picked_of(code, by, half),
            )
            for half in (range(32), range(32, 64))
            for of, by in zip(codes, values, strict=True)
        ],
    )


def _widened(code: Any, shorts: Any) -> Any:
    """Sums of two neighbouring lanes of 16 bits, in 32 bits."""
    return call(
        code, "llvm.x86.avx2.pmadd.wd", vector(I32, shorts.type.count // 2), shorts, constant(shorts.type, 1)
    )


def _dot_by_quarters(code: Any, sums: Any, codes: list[Any], values: list[Any]) -> Any:
    """sums + Σ codes·values by Arm's dot product of vectors of 16 bytes. Codes are at most 15, so they are
    signed bytes too."""
    quarters = [picked_of(code, sums, range(lane, lane + 4)) for lane in range(0, 16, 4)]
    for of, by in zip(codes, values, strict=True):
        for i, begin in enumerate(range(0, 64, 16)):
            pair = (picked_of(code, x, range(begin, begin + 16)) for x in (of, by))
            quarters[i] = call(
                code, "llvm.aarch64.neon.sdot.v4i32.v16i8", quarters[i].type, quarters[i], *pair
            )
    low, high = (picked(code, quarters[i], quarters[i + 1], range(8)) for i in (0, 2))
    return picked(code, low, high, range(16))


def _tree(code: Any, values: list[Any]) -> Any:
    """The sum of the vectors, added in pairs."""
    while len(values) > 1:
        values = [code.add(*values[i : i + 2]) for i in range(0, len(values), 2)]
    return values[0]
