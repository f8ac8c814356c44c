"""The loops of products by table look-up, in LLVM IR. One shuffle of bytes looks up 64 rows at once."""

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
from addercost.kernels.cpu.ir.vectors import constant, fma, picked, picked_of, splat, vector, zeros
from addercost.kernels.cpu.narrow.loops import AHEAD
from addercost.kernels.narrow_lookup import CHUNK, FORMS, ROWS, LookupForm

BYTES, HALVES = vector(I8, 64), vector(I16, 32)
WORDS, FLOATS = vector(I32, 16), vector(FLOAT, 16)

ROUND = 8
"""Look-ups whose bytes are added before they are widened. The sum of 8 low bytes, each at most 31, is at most
248. The sum of 8 high bytes, each from -16 to 15, is at least -128."""

LOW_BITS = 5
TABLE_BYTES = 32
"""Bytes of a table. A sum of four int8 has 10 bits: 16 bytes hold the lowest 5 bits of each sum, and 16 bytes
the others.
"""

_SHUFFLES = {
    "avx512bw": (64, "llvm.x86.avx512.pshuf.b.512"),
    "avx2": (32, "llvm.x86.avx2.pshuf.b"),
    "ssse3": (16, "llvm.x86.ssse3.pshuf.b.128"),
    "neon": (16, "llvm.aarch64.neon.tbl1.v16i8"),
}
"""By the processor feature that it needs: how many bytes a shuffle looks up at once, and the intrinsic's name
in LLVM.
"""


@cache
def shuffles_here() -> bool:
    """Whether this processor can look bytes up in a register. The answer is cached, because asking takes 0.15
    ms.
    """
    return not host_features().isdisjoint(_SHUFFLES)


class LookupSizes(NamedTuple):
    """blocks: of ROWS rows of weights. chunks: of CHUNK inputs. tables: bytes from the tables of one row of x
    to those of the next. outputs: elements from the results of one row of x to those of the next.
    first_scale: the place of the first block's first scale.
    """

    blocks: Any
    chunks: Any
    tables: Any
    outputs: Any
    first_scale: Any = 0


@cache
def tables_of_rows(bits: int) -> Any:
    """A function (x, tables, count) that fills `count` tables. Each is made from as many int8 inputs as the
    `LookupForm` has.
    """
    form = FORMS[bits]
    code = function(f"lookup_tables_{bits}", POINTER, POINTER, I64)
    x, tables, count = code.function.args
    short = vector(I16, 16)
    with counted(code, count) as index:
        sums = zeros(short)
        for j, coefficients in enumerate(form.coefficients):
            value = code.load(at(code, I8, x, (index, form.inputs), (j, 1)), align=1, typ=I8)
            spread = splat(code, code.sext(value, I16), 16)
            sums = code.add(sums, code.mul(spread, constant(short, coefficients)))
        low = code.and_(sums, constant(short, (1 << LOW_BITS) - 1))
        high = code.ashr(sums, constant(short, LOW_BITS))
        for half, part in enumerate((low, high)):
            place = at(code, I8, tables, (index, TABLE_BYTES), (half, 16))
            code.store(code.trunc(part, vector(I8, 16)), place, align=16)
    code.ret_void()
    return compiled(code)


@cache
def lookups_of_blocks(bits: int, batch: int, streams: int) -> Any:
    """A function (tables, scales, words, out, sizes) that computes the products of `batch` rows of x, given
    as tables.

    streams: how many equal parts of the blocks are read at once; sizes.blocks is a multiple of it. out: int32
    for ternary weights, fp32 for 4-bit ones.
    """
    form = FORMS[bits]
    code = function(f"lookup_{bits}_{batch}_{streams}", *(POINTER,) * 5)
    tables, scales, words, out, numbers = code.function.args
    sizes = loaded(code, LookupSizes, numbers)
    part = code.sdiv(sizes.blocks, I64(streams))
    with counted(code, part) as index:
        blocks = [code.add(index, code.mul(part, I64(stream))) for stream in range(streams)]
        chunks_before = [code.mul(block, sizes.chunks) for block in blocks]
        firsts = [at(code, I8, words, (before, form.chunk_bytes)) for before in chunks_before]
        begins = [zeros(WORDS if bits == 2 else FLOATS)] * (4 * batch * streams)
        with repeated(code, sizes.chunks, *begins) as turn:
            pieces = [at(code, I8, first, (turn.index, form.chunk_bytes)) for first in firsts]
            of_rows = [
                at(code, I8, tables, (b, sizes.tables), (turn.index, form.tables * TABLE_BYTES))
                for b in range(batch)
            ]
            sums = _chunk(code, form, pieces, of_rows)
            for i, (before, so_far) in enumerate(zip(sums, turn.values, strict=True)):
                if bits == 2:
                    turn.following.append(code.add(so_far, before))
                    continue
                place = at(
                    code,
                    FLOAT,
                    scales,
                    (sizes.first_scale, 1),
                    (chunks_before[i // 4 // batch], ROWS),
                    (turn.index, ROWS),
                    (i % 4, 16),
                )
                scale = code.load(place, align=4, typ=FLOATS)
                turn.following.append(fma(code, code.sitofp(before, FLOATS), scale, so_far))
        for i, value in enumerate(turn.following):
            block, b, s = blocks[i // 4 // batch], i // 4 % batch, i % 4
            code.store(value, at(code, I32, out, (b, sizes.outputs), (block, ROWS), (s, 16)), align=4)
    code.ret_void()
    return compiled(code)


def _chunk(code: Any, form: LookupForm, pieces: list[Any], of_rows: list[Any]) -> list[Any]:
    """The sums of one chunk, as int32: for each stream and each row of x, four vectors of 16 rows of
    weights.
    """
    rounds = form.tables // ROUND
    pairs = [(piece, table) for piece in pieces for table in of_rows]
    with repeated(code, I64(rounds), *[zeros(HALVES)] * (4 * len(pairs))) as turn:
        in_round = _round(code, form, turn.index, pieces, of_rows)
        turn.following = [code.add(a, b) for a, b in zip(turn.values, in_round, strict=True)]
    found = []
    for i in range(0, len(turn.following), 4):
        quarters = [_quarters(code, value) for value in turn.following[i : i + 4]]
        (low_even, low_odd), (high_even, high_odd) = quarters[:2], quarters[2:]
        # Byte 4 i + s belongs to row 16 s + i. Even bytes are the rows with s = 0 and 2, odd bytes those with
        # s = 1 and 3.
        for lows, highs, s in ((low_even, high_even, 0), (low_odd, high_odd, 0), (low_even, high_even, 1),
                               (low_odd, high_odd, 1)):  # fmt: skip
            found.append(code.add(lows[s], code.shl(highs[s], constant(WORDS, LOW_BITS))))
    return found


def _round(code: Any, form: LookupForm, index: Any, pieces: list[Any], of_rows: list[Any]) -> list[Any]:
    """The sums of ROUND tables as int16, for each stream and row of x: low bytes of even rows, low bytes of
    odd rows, then the high bytes of both."""
    planes, mask = len(form.factors), constant(BYTES, 15)
    sums: dict[tuple[int, int, int, int], Any] = {}
    vectors: dict[tuple[int, int], Any] = {}
    for table in range(ROUND):
        looked_in = [_table(code, row, index, table) for row in of_rows]
        for plane in range(planes):
            nibble = table * planes + plane
            for stream, piece in enumerate(pieces):
                if nibble % 2 == 0:
                    place = at(code, I8, piece, (index, ROUND * planes * ROWS // 2), (nibble // 2, ROWS))
                    prefetch(code, at(code, I8, place, (AHEAD, 1)))
                    vectors[stream, nibble // 2] = code.load(place, align=1, typ=HALVES)
                word = vectors[stream, nibble // 2]
                shifted = code.lshr(word, constant(HALVES, 4)) if nibble % 2 else word
                indices = code.and_(code.bitcast(shifted, BYTES), mask)
                for b, halves in enumerate(looked_in):
                    for half, entries in enumerate(halves):
                        found = _looked_up(code, entries, indices)
                        key = stream, b, plane, half
                        sums[key] = code.add(sums[key], found) if key in sums else found
    return [
        value
        for stream in range(len(pieces))
        for b in range(len(of_rows))
        for half in range(2)
        for value in _widened(code, form, [sums[stream, b, plane, half] for plane in range(planes)], half)
    ]


def _widened(code: Any, form: LookupForm, planes: list[Any], high: int) -> list[Any]:
    """Widens even and odd bytes to int16, multiplies them by the factor of their plane of indices, and adds
    up the planes.
    """
    shift = code.ashr if high else code.lshr
    eight, found = constant(HALVES, 8), [zeros(HALVES), zeros(HALVES)]
    for factor, value in zip(form.factors, planes, strict=True):
        both = code.bitcast(value, HALVES)
        for i, part in enumerate((shift(code.shl(both, eight), eight), shift(both, eight))):
            scaled = code.shl(part, constant(HALVES, abs(factor).bit_length() - 1))
            found[i] = (code.sub if factor < 0 else code.add)(found[i], scaled)
    return found


def _quarters(code: Any, halves: Any) -> tuple[Any, Any]:
    """The even and the odd lanes of int16, each widened to int32."""
    both, sixteen = code.bitcast(halves, WORDS), constant(WORDS, 16)
    return code.ashr(code.shl(both, sixteen), sixteen), code.ashr(both, sixteen)


def _table(code: Any, tables: Any, index: Any, table: int) -> list[Any]:
    """The low bytes and the high bytes of a table, each copied to all four parts of a vector."""
    found = []
    for half in range(2):
        place = at(code, I8, tables, (index, ROUND * TABLE_BYTES), (table, TABLE_BYTES), (half, 16))
        sixteen = code.load(place, align=16, typ=vector(I8, 16))
        found.append(picked_of(code, sixteen, [*range(16)] * 4))
    return found


def _looked_up(code: Any, entries: Any, indices: Any) -> Any:
    features = host_features()
    width, name = next(shuffle for feature, shuffle in _SHUFFLES.items() if feature in features)
    kind, parts = vector(I8, width), []
    for first in range(0, 64, width):
        lanes = range(first, first + width)
        parts.append(call(code, name, kind, *(picked_of(code, v, lanes) for v in (entries, indices))))
    while len(parts) > 1:
        lanes = range(2 * parts[0].type.count)
        parts = [picked(code, a, b, lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


assert CHUNK % (ROUND * max(form.inputs for form in FORMS.values())) == 0
