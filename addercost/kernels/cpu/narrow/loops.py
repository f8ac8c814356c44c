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
    repeated,
)
from addercost.kernels.cpu.ir.native import host_features
from addercost.kernels.cpu.ir.vectors import constant, fma, lane_sum, picked, picked_of, splat, vector, zeros
from addercost.kernels.narrow import MIDDLE

BYTES, WORDS, FLOATS = vector(I8, 64), vector(I32, 16), vector(FLOAT, 16)


class ProductSizes(NamedTuple):
    """rows: of weights. pieces: of 64 bytes in a row. inputs, starts, outputs: elements from one row of x to
    the next, in x, in the starts and in the result.
    """

    rows: Any
    pieces: Any
    inputs: Any
    starts: Any
    outputs: Any


@cache
def product_of_rows(bits: int, batch: int, streams: int) -> Any:
    """A function (words, x, starts, scales, out, sizes): for `batch` rows of int8, the sums of x times the
    weights.

    streams: how many equal parts of the rows are read at once; sizes.rows is a multiple of it. A core reads
    more bytes a second when it reads from several places. starts: from `starts_of_rows`, the values that the
    sums begin with. scales: fp32, one for each piece, of 4-bit weights. out: int32 for ternary weights, fp32
    for 4-bit ones.
    """
    code = function(f"narrow_{bits}_{batch}_{streams}", *(POINTER,) * 6)
    words, x, starts, scales, out, numbers = code.function.args
    sizes = loaded(code, ProductSizes, numbers)
    part = code.sdiv(sizes.rows, I64(streams))
    with counted(code, part) as index:
        rows = [code.add(index, code.mul(part, I64(stream))) for stream in range(streams)]
        firsts = [at(code, I8, words, (code.mul(row, sizes.pieces), 64)) for row in rows]
        if bits == 2:
            sums = _ternary(code, batch, sizes, firsts, x, starts)
        else:
            of_rows = [at(code, FLOAT, scales, (row, sizes.pieces)) for row in rows]
            sums = _four_bits(code, batch, sizes, firsts, x, starts, of_rows)
        for i, value in enumerate(sums):
            row, b = rows[i // batch], i % batch
            code.store(value, at(code, I32, out, (b, sizes.outputs), (row, 1)), align=4)
    code.ret_void()
    return compiled(code)


def _ternary(code: Any, batch: int, sizes: ProductSizes, firsts: list[Any], x: Any, starts: Any) -> list[Any]:
    """One sum for each row of weights and each row of x. The rows of x are innermost."""
    chains = 4 if _has_vnni() else 1
    begins = [zeros(WORDS)] * (chains * batch * len(firsts))
    for i in range(0, len(begins), chains):
        begins[i] = code.load(at(code, I32, starts, (i // chains % batch, sizes.starts)), align=4, typ=WORDS)
    with repeated(code, sizes.pieces, *begins) as turn:
        following = list(turn.values)
        pieces = [_load(code, at(code, I8, first, (turn.index, 64)), WORDS) for first in firsts]
        for b in range(batch):
            values = [
                _load(code, at(code, I8, x, (b, sizes.inputs), (turn.index, 256), (j, 64)), BYTES)
                for j in range(4)
            ]
            for s, piece in enumerate(pieces):
                codes = [_codes(code, piece, 2, j) for j in range(4)]
                for chain in range(chains):
                    place = chains * (s * batch + b) + chain
                    of_chain = slice(chain, None, chains)
                    following[place] = _dot(code, following[place], codes[of_chain], values[of_chain])
        turn.following = following
    ends = turn.following
    return [lane_sum(code, _tree(code, ends[i : i + chains])) for i in range(0, len(ends), chains)]


def _four_bits(
    code: Any, batch: int, sizes: ProductSizes, firsts: list[Any], x: Any, starts: Any, scales: list[Any]
) -> list[Any]:
    """Likewise for 4-bit weights, whose pieces have scales."""
    with repeated(code, sizes.pieces, *[zeros(FLOATS)] * (batch * len(firsts))) as turn:
        pieces = [_load(code, at(code, I8, first, (turn.index, 64)), WORDS) for first in firsts]
        of_pieces = [
            splat(code, code.load(at(code, FLOAT, of_row, (turn.index, 1)), typ=FLOAT, align=4), 16)
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
                start = at(code, I32, starts, (b, sizes.starts), (turn.index, 16))
                sums = _dot(code, code.load(start, align=4, typ=WORDS), codes, values[b])
                terms = code.sitofp(sums, FLOATS)
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
    vectors, ones = 8 // bits, constant(BYTES, 1)

    def added(sums: Any, row: Any, piece: Any) -> Any:
        for j in range(vectors):
            place = at(code, I8, x, (row, sizes.inputs), (piece, 64 * vectors), (j, 64))
            sums = _dot(code, sums, [ones], [_load(code, place, BYTES)])
        return sums

    def store(sums: Any, *place: Any) -> None:
        code.store(code.mul(sums, constant(WORDS, -MIDDLE[bits])), at(code, I32, starts, *place), align=4)

    with counted(code, sizes.rows) as row:
        if bits == 2:
            with repeated(code, sizes.pieces, zeros(WORDS)) as turn:
                turn.following = [added(turn.values[0], row, turn.index)]
            store(turn.following[0], (row, sizes.starts))
        else:
            with counted(code, sizes.pieces) as piece:
                store(added(zeros(WORDS), row, piece), (row, sizes.starts), (piece, 16))
    code.ret_void()
    return compiled(code)


def _load(code: Any, place: Any, kind: Any) -> Any:
    return code.load(place, align=1, typ=kind)


def _codes(code: Any, piece: Any, bits: int, j: int) -> Any:
    """The j-th code of each byte, as a vector of bytes."""
    shifted = code.lshr(piece, constant(WORDS, bits * j)) if j else piece
    mask = (2**bits - 1) * 0x01010101
    return code.bitcast(code.and_(shifted, constant(WORDS, mask)), BYTES)


def _has_vnni() -> bool:
    return "avx512vnni" in host_features()


def _dot(code: Any, sums: Any, codes: list[Any], values: list[Any]) -> Any:
    """sums + Σ codes·values, where each lane sums four neighbours. codes: up to four vectors of unsigned
    bytes, at most 15. values: signed bytes.
    """
    if _has_vnni():
        for of, by in zip(codes, values, strict=True):
            sums = call(code, "llvm.x86.avx512.vpdpbusd.512", WORDS, sums, of, by)
        return sums
    if "avx2" in host_features():
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
    """Σ codes·values in 16 lanes, by an AVX2 instruction that sums two neighbouring products of bytes in 16
    bits. Four such sums are at most 4·2·15·128 = 15,360, so none saturates.
    """
    shorts = vector(I16, 16)
    halves = []
    for half in (range(32), range(32, 64)):
        pairs = [
            call(
                code,
                "llvm.x86.avx2.pmadd.ub.sw",
                shorts,
                picked_of(code, of, half),
                picked_of(code, by, half),
            )
            for of, by in zip(codes, values, strict=True)
        ]
        ones = constant(shorts, 1)
        halves.append(call(code, "llvm.x86.avx2.pmadd.wd", vector(I32, 8), _tree(code, pairs), ones))
    return picked(code, halves[0], halves[1], range(16))


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
