"""Inner loops as LLVM IR with assembly instructions, so that the compiler cannot replace the instructions.

A loop keeps inputs and sums in registers and reads two vectors of weights in each round from a few cache
lines. It has no cache misses, no edges and no stores. Its rate is the limit that a register-blocked kernel
approaches.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping

from addercost.measure.host.probe import HostLoop, assembled

WEIGHT_VECTORS = 2
LINES = 32
"""How many vectors of weights a loop reads cyclically from memory."""

OPERAND_BYTES = 64 * (LINES + 16)
"""Bytes of operands that a loop may read from each of its two addresses."""


def inner_loop_ir(symbol: str, loop: HostLoop) -> str:
    """LLVM IR of `void symbol(ptr inputs, ptr weights, i64 n)`: n rounds of `vectors_of(loop)` steps."""
    return "\n".join(_lines(symbol, loop)) + "\n"


def vectors_of(loop: HostLoop) -> int:
    """How many vectors of inputs are combined with each vector of weights in a round."""
    return loop.inputs * WEIGHT_VECTORS


def _lines(symbol: str, loop: HostLoop) -> Iterator[str]:
    lanes = loop.bits // 32
    kind = f"<{lanes} x i32>"
    yield f"define void @{symbol}(ptr %inputs, ptr %weights, i64 %n) {{"
    yield "entry:"
    for i in range(loop.inputs):
        yield f"  %px{i} = getelementptr {kind}, ptr %inputs, i64 {i}"
        yield f"  %x{i} = load {kind}, ptr %px{i}, align 16"
    yield from _constants(loop, kind, lanes)
    yield "  br label %loop"
    yield "loop:"
    yield "  %i = phi i64 [0, %entry], [%next, %loop]"
    steps: list[str] = []
    for x in range(loop.inputs):
        columns = []
        for w in range(WEIGHT_VECTORS):
            number = WEIGHT_VECTORS * x + w
            values = {"s": f"%s{number}", "x": f"%x{x}", "w": f"%w{w}"}
            values |= {f"c{i}": f"%c{i}" for i in range(len(loop.constants))}
            made, total = _step(loop, kind, number, values)
            columns.append(made)
            yield f"  %s{number} = phi {kind} [zeroinitializer, %entry], [{total}, %loop]"
        # Steps are interleaved, so that an in-order core need not wait for each result.
        steps += [line for row in zip(*columns, strict=True) for line in row]
    yield f"  %first = mul i64 %i, {WEIGHT_VECTORS}"
    yield f"  %line = and i64 %first, {LINES - 1}"
    for w in range(WEIGHT_VECTORS):
        yield f"  %l{w} = add i64 %line, {w}"
        yield f"  %pw{w} = getelementptr {kind}, ptr %weights, i64 %l{w}"
        yield f"  %w{w} = load {kind}, ptr %pw{w}, align 16"
    yield from steps
    yield "  %next = add i64 %i, 1"
    yield "  %more = icmp ult i64 %next, %n"
    yield "  br i1 %more, label %loop, label %done"
    yield "done:"
    yield "  ret void"
    yield "}"


def step_ir(symbol: str, loop: HostLoop) -> str:
    """LLVM IR of `void symbol(ptr inputs, ptr weights, ptr sums)`: one step of the loop on one vector of
    each, on sums that begin at zero."""
    lanes = loop.bits // 32
    kind = f"<{lanes} x i32>"
    values = {"s": "zeroinitializer", "x": "%x", "w": "%w"}
    values |= {f"c{i}": f"%c{i}" for i in range(len(loop.constants))}
    made, total = _step(loop, kind, 0, values)
    lines = [
        f"define void @{symbol}(ptr %inputs, ptr %weights, ptr %sums) {{",
        f"  %x = load {kind}, ptr %inputs, align 16",
        f"  %w = load {kind}, ptr %weights, align 16",
        *_constants(loop, kind, lanes),
        *made,
        f"  store {kind} {total}, ptr %sums, align 16",
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _constants(loop: HostLoop, kind: str, lanes: int) -> Iterator[str]:
    for i, constant in enumerate(loop.constants):
        words = constant if isinstance(constant, tuple) else (constant,)
        filled = ", ".join(f"i32 {words[lane % len(words)]}" for lane in range(lanes))
        # A value that an empty assembly statement returns stays in a register.
        yield f'  %c{i} = call {kind} asm sideeffect "", "={loop.register},0"({kind} <{filled}>)'


def _step(loop: HostLoop, kind: str, number: int, values: Mapping[str, str]) -> tuple[list[str], str]:
    """(IR of the instructions of one step, the name of the sum after it)."""
    lines, now = [], dict(values)
    for index, step in enumerate(loop.steps):
        written, read = loop.names(step)
        # The register that is written may be read as well, so it is an operand that is tied to the result.
        places = {written: 0} | {name: 2 + i for i, name in enumerate(read)}
        constraints = ",".join((f"={loop.register}", "0", *(loop.register for _ in read), "~{flags}"))
        given = (now.get(written, "undef"), *(now[name] for name in read))
        arguments = ", ".join(f"{kind} {value}" for value in given)
        result = f"%{written}{number}_{index}"
        text = assembled(step, places)
        lines.append(f'  {result} = call {kind} asm sideeffect "{text}", "{constraints}"({arguments})')
        now[written] = result
    return lines, now["s"]


def operands(values: str, weights: str) -> tuple[bytes, bytes]:
    """Random inputs and weights of these kinds, `OPERAND_BYTES` bytes each. No sum of them becomes
    denormal.
    """
    rng = random.Random(0)
    return _filled(values, rng), _filled(weights, rng)


def _filled(values: str, rng: random.Random) -> bytes:
    """Random bytes of a kind. fp16, bf16, fp32, fp64: numbers from 1 to 2. bytes: 1 to 100. shifts: 0 to 7 in
    words of 32 bits. exponents: 0 to 7, shifted to the exponent field of a float. powers: 2 to the power of 0
    to 7, as floats.
    """
    words = OPERAND_BYTES // 4
    if values == "fp32":
        return struct.pack(f"<{words}f", *(rng.uniform(1, 2) for _ in range(words)))
    if values == "fp64":
        return struct.pack(f"<{words // 2}d", *(rng.uniform(1, 2) for _ in range(words // 2)))
    if values == "fp16":
        return struct.pack(f"<{2 * words}e", *(rng.uniform(1, 1.99) for _ in range(2 * words)))
    if values == "bf16":
        # The upper half of the fp32 number.
        return struct.pack(f"<{2 * words}H", *(0x3F80 + rng.randrange(128) for _ in range(2 * words)))
    if values == "shifts":
        return struct.pack(f"<{words}I", *(rng.randrange(8) for _ in range(words)))
    if values == "exponents":
        return struct.pack(f"<{words}I", *(rng.randrange(8) << 23 for _ in range(words)))
    if values == "powers":
        return struct.pack(f"<{words}f", *(2.0 ** rng.randrange(8) for _ in range(words)))
    assert values == "bytes", values
    return bytes(rng.randrange(1, 101) for _ in range(OPERAND_BYTES))
