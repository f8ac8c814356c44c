"""llvm-mca's estimates of our inner loops on Sapphire Rapids, for each tile.

    python -m tools.intel_loops > benchmarks/results/sapphire-rapids/inner-loops.txt

Halide compiles a channels-last 3×3 layer for that core with each tile, and llvm-mca estimates the inner loop.
Its model has ports but no caches. So loads, caches and clocks explain the difference to a measured rate.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import halide as hl

from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.pipeline import scheduled

TARGET = "x86-64-linux-avx-avx2-f16c-fma-sse41-avx512-avx512_skylake-avx512_cannonlake-avx512_sapphirerapids"
CORE = "sapphirerapids"
TILES = ((1, 7), (1, 8), (1, 14), (1, 28), (2, 7), (2, 8), (2, 14), (3, 9), (4, 4), (4, 6))
TURNS = 500


def inner_loop(kernel: KernelClass) -> list[str]:
    """The instructions of the loop with most multiply-adds, by which both arithmetics accumulate."""
    output, arguments = scheduled(kernel)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.s"
        output.compile_to_assembly(str(path), arguments, "kernel", hl.Target(TARGET))
        code = path.read_text()
    parts = re.split(r"^(\.L\w+):", code, flags=re.M)
    loops = []
    for label, block in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line.split("#")[0].strip() for line in block.splitlines()]
        lines = [line for line in lines if line and not line.startswith(".")]
        back = (i for i, line in enumerate(lines) if re.match(r"j\w+\s", line) and line.endswith(label))
        if (end := next(back, None)) is not None:
            loops.append(lines[: end + 1])
    return max(loops, key=lambda lines: sum("vfmadd" in line for line in lines))


def cycles(loop: list[str]) -> tuple[float, str]:
    """(cycles of an iteration, the ports that are used most)."""
    body = "\n".join(line for line in loop if ".L" not in line)
    command = ["llvm-mca-22", "-mtriple=x86_64", f"-mcpu={CORE}", f"-iterations={TURNS}"]
    said = subprocess.run(command, input=body, capture_output=True, text=True)
    total = re.search(r"Total Cycles:\s+(\d+)", said.stdout)
    if total is None:
        raise SystemExit(f"llvm-mca refuses the loop: {said.stderr}")
    ports = re.findall(r"^\[(\d+)\]\s+- SPR(Port\w+)", said.stdout, flags=re.M)
    pressure = re.search(r"Resource pressure per iteration:\n.*\n(.*)\n", said.stdout)
    used = pressure[1].split() if pressure else []
    busy = sorted(
        ((float(use), name) for use, (_, name) in zip(used, ports, strict=False) if use != "-"), reverse=True
    )
    return int(total[1]) / TURNS, ", ".join(f"{name} {use:.1f}" for use, name in busy[:4])


def main() -> None:
    print(f"inner loops for {CORE} by llvm-mca-22; limit: mac 0.5, adder 1.5 cycles for a vector of sites\n")
    for site, limit in (("adder", 1.5), ("mac", 0.5)):
        for vectors, pixels in TILES:
            kernel = KernelClass(site, 16, vectors, pixels, True, True, False, False, whole_squares=True)
            loop = inner_loop(kernel)
            turn, busy = cycles(loop)
            counts = Counter(line.split()[0] for line in loop)
            stack = sum("(%rsp)" in line and "zmm" in line for line in loop)
            each = turn / (vectors * pixels)
            what = ", ".join(f"{n} {op}" for op, n in counts.most_common(5))
            print(
                f"{site:5} {vectors} x {pixels:2}: {turn:6.1f} cycles, {each:.2f} a vector of sites, "
                f"{limit / each:.2f} of the limit; {busy}; {what}; {stack} vectors on the stack",
                flush=True,
            )


if __name__ == "__main__":
    main()
