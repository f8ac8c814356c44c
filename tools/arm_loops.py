"""Checks the loops of `addercost calibrate`, and our loops on packed weights, for arm64 in an emulator.

    make arm-check     # runs this after arm_check.py

All of them are LLVM IR, which is compiled for arm64 as it is. Each loop and each chain of instructions that
`calibrate` times runs to its end. One step of each loop is also run alone, and its sums are compared with the
arithmetic that the loop is named after. An emulator shows no speed. The result is written to
benchmarks/results/arm64/loops.txt. The exit status is 1 where a result is wrong.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from addercost.arithmetic import Arithmetic
from addercost.kernels import narrow
from addercost.kernels.cpu.narrow import loops as narrow_loops
from addercost.kernels.narrow import PackedWeights
from addercost.measure.host.aarch64_instructions import aarch64_probes
from addercost.measure.host.aarch64_loops import aarch64_loops
from addercost.measure.host.chains import DEPENDENT, independent_chains, loop_ir
from addercost.measure.host.core_clock import ADDITIONS
from addercost.measure.host.loops import inner_loop_ir, operands, step_ir
from addercost.measure.host.memory_bandwidth import READ_IR
from addercost.measure.host.mixes import mix_ir
from addercost.measure.host.probe import HostLoop
from addercost.results.files import write_file
from tools.arm_calls import FEATURES, ArmCall, assembly, run_calls

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "arm64" / "loops.txt"
ROUNDS = 1000
ROWS, COLUMNS = 4, 512
"""The rows of packed weights, and their columns."""
DTYPES = {"fp64": "f8", "fp32": "f4", "fp16": "f2", "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1"}


def sites_total(loop: HostLoop, x: bytes, w: bytes) -> float:
    """The sum of all sites of one step of `loop`, by its arithmetic, in fp64."""
    if loop.arithmetic is Arithmetic.XNOR:
        return float(sum((a ^ b).bit_count() for a, b in zip(x, w, strict=True)))
    of, by = _decoded(loop.number_format, x), _decoded(loop.number_format, w)
    if loop.arithmetic is Arithmetic.ADDER:
        return float(np.abs(of - by).sum())
    if loop.arithmetic is Arithmetic.SHIFT:
        if loop.weights == "shifts":
            # Bits that are shifted out of a lane are lost.
            return float((np.frombuffer(x, "i4") << np.frombuffer(w, "i4")).astype("f8").sum())
        return float((of * (by if loop.weights == "powers" else 2.0 ** (np.frombuffer(w, "u4") >> 23))).sum())
    if loop.name.endswith("matrix"):
        # Two rows of x with two rows of w.
        return float((of.reshape(2, -1) @ by.reshape(2, -1).T).sum())
    return float((of * by).sum())


def _decoded(number_format: str, content: bytes) -> np.ndarray:
    if number_format == "bf16":
        return (np.frombuffer(content, "u2").astype("u4") << 16).view("f4").astype("f8")
    return np.frombuffer(content, DTYPES[number_format]).astype("f8")


def lanes_total(loop: HostLoop, sums: bytes) -> float:
    """The sum of the lanes that the loop's last instruction adds to."""
    step = loop.steps[-1]
    lanes = re.search(r"\{s\}\.(\w+)", step)
    assert lanes is not None
    floats = step.startswith(("f", "bf"))
    kinds = {"2d": "f8", "4s": "f4" if floats else "i4", "8h": "f2" if floats else "u2"}
    return float(np.frombuffer(sums, kinds[lanes[1]]).astype("f8").sum())


def check_loops() -> Iterator[tuple[str, bool]]:
    """A line for each inner loop of `calibrate`, and whether its step computes its arithmetic."""
    loops = list(aarch64_loops(FEATURES))
    ir, calls, steps = "", [], []
    for i, loop in enumerate(loops):
        ir += inner_loop_ir(f"loop{i}", loop) + step_ir(f"step{i}", loop)
        x, w = operands(loop.values, loop.weights)
        sums = bytearray(loop.bits // 8)
        calls += [ArmCall(f"loop{i}", (x, w, ROUNDS)), ArmCall(f"step{i}", (x, w, sums))]
        steps.append((loop, x[: len(sums)], w[: len(sums)], sums))
    run_calls([ir], calls)
    for loop, x, w, sums in steps:
        right = np.isclose(
            lanes_total(loop, sums),
            sites_total(loop, x, w),
            rtol=1e-3 if loop.number_format == "fp16" else 1e-6,
        )
        yield f"{loop.name}: {loop.text}; {loop.sites} sites a step", bool(right)


def run_chains() -> str:
    """Runs what `calibrate` times besides: chains of each instruction, mixes, the clock and the reader of
    memory."""
    probes = list(aarch64_probes(FEATURES))
    ir, calls = loop_ir("clock", ADDITIONS["aarch64"], DEPENDENT) + READ_IR, [ArmCall("clock", (ROUNDS,))]
    for i, probe in enumerate(probes):
        for kind, chains in (("latency", DEPENDENT), ("throughput", independent_chains(probe))):
            ir += loop_ir(f"{kind}{i}", probe, chains)
            calls.append(ArmCall(f"{kind}{i}", (ROUNDS,)))
    for i, probe in enumerate(probes[1:], 1):
        ir += mix_ir(f"mix{i}", (probes[0], probe), (5, 3))
        calls.append(ArmCall(f"mix{i}", (ROUNDS,)))
    calls.append(ArmCall("read_memory", (bytes(1 << 16), 1 << 16, 3)))
    run_calls([ir], calls)
    number = len(probes)
    return f"{number} instructions in chains of both kinds, {number - 1} mixes, clock, memory: all return"


def check_narrow() -> Iterator[tuple[str, bool]]:
    """A line for each of our loops on weights of 2 and 4 bits, and whether it gives the reference's bits."""
    torch.manual_seed(0)
    ternary, any_weights = torch.randint(-1, 2, (ROWS, COLUMNS)).float(), torch.randn(ROWS, COLUMNS)
    for packed in (narrow.pack_ternary(ternary), narrow.pack_four_bits(any_weights)):
        for batch, streams in ((1, 2), (2, 1)):
            x = torch.randint(-128, 128, (batch, COLUMNS), dtype=torch.int8)
            found, assembled = _product(x, packed, streams)
            used = Counter(re.findall(r"^\t(sdot|smull2?|smlal2?|mla)\b", assembled, re.M))
            said = ", ".join(f"{count} {name}" for name, count in used.items())
            expected = narrow.reference(x, packed)
            # Sums of 4-bit weights are rounded after each scale.
            right = torch.allclose(found, expected, rtol=1e-4 if packed.bits == 4 else 0)
            yield f"weights of {packed.bits} bits, {batch} rows, {streams} streams: {said}", right


def _product(x: Tensor, packed: PackedWeights, streams: int) -> tuple[Tensor, str]:
    """The product in the emulator, and the assembly of its loop."""
    bits, batch, pieces = packed.bits, x.shape[0], packed.words.shape[1] // narrow.PIECE
    modules: list[str] = []
    with (
        patch.object(narrow_loops, "compiled", lambda code: modules.append(str(code.function.module))),
        patch.object(narrow_loops, "host_features", lambda: frozenset(FEATURES)),
    ):
        narrow_loops.starts_of_rows.__wrapped__(bits)
        narrow_loops.product_of_rows.__wrapped__(bits, batch, streams)
    each = 16 * (1 if bits == 2 else pieces)
    starts, out = bytearray(4 * each * batch), bytearray(4 * ROWS * batch)
    scales = bytes(4) if packed.scales is None else packed.scales.numpy().tobytes()
    values = x.numpy().tobytes()
    of_starts = _sizes(batch, pieces, COLUMNS, each, 0)
    run_calls(modules[:1], [ArmCall(f"narrow_starts_{bits}", (values, starts, of_starts))])
    of_rows = _sizes(ROWS, pieces, COLUMNS, each, ROWS)
    arguments = packed.words.numpy().tobytes(), values, bytes(starts), scales, out, of_rows
    run_calls(modules[1:], [ArmCall(f"narrow_{bits}_{batch}_{streams}", arguments)])
    kind = torch.int32 if packed.scales is None else torch.float32
    return torch.frombuffer(out, dtype=kind).view(batch, ROWS), assembly(modules[1])


def _sizes(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "little") for number in numbers)


def main() -> None:
    lines, wrong = ["Loops for arm64 under qemu-user", "", "What `addercost calibrate` times:"], 0
    checked = [
        *check_loops(),
        (run_chains(), True),
        ("", True),
        ("Our loops on packed weights:", True),
        *check_narrow(),
    ]
    for line, right in checked:
        wrong += not right
        lines.append(line if right else f"{line}: WRONG")
        print(lines[-1], flush=True)
    write_file(RESULT, "\n".join(lines) + "\n", force=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
