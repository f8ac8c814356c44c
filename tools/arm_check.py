"""Checks our CPU kernels for arm64 without such a machine: compiles them, reads their loops, and runs them in
an emulator.

    make arm-check     # installs llvm-mca, qemu-user and a cross compiler

Halide compiles the kernels for arm64 by the schedule of the rule for 128-bit vectors and 32 registers.
llvm-mca estimates the inner loop of each kernel for the cores that LLVM models. qemu-user runs the kernels on
small layers, and their results are compared with the reference. An emulator shows no speed, and llvm-mca
models no caches. The result is written to benchmarks/results/arm64/kernels.txt. The exit status is 1 where a
kernel computes a wrong result.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import halide as hl
import torch
from torch import Tensor

from addercost.kernels import reference
from addercost.kernels.cpu.binary import convolution as binary
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense.buffers import Launch
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.pipeline import scheduled
from addercost.kernels.cpu.dense.rule import default_schedule
from addercost.kernels.cpu.dense.sites import HALVES, SITES, by_four, in_half
from addercost.kernels.cpu.processor import Core
from addercost.kernels.cpu.u8 import convolution as u8
from addercost.kernels.problem import Geometry
from addercost.kernels.signs import pack_factors, pack_filters
from addercost.results.files import write_file

TARGET = "arm-64-linux"
DOT_PRODUCT = f"{TARGET}-arm_dot_prod"
NEON = Core(vector_bytes=16, registers=32, ports=2.0, load_cycles=0.0)
CORES = ("cortex-a53", "cortex-a55", "cortex-a72", "cortex-a76", "neoverse-n1", "neoverse-v1")
WITHOUT_DOT_PRODUCT = ("cortex-a53", "cortex-a72")
SITE_INSTRUCTIONS = ("fmla", "fabd", "cnt", "uabd")
"""The instructions of which every site has one."""
MAIN = Path(__file__).with_name("arm_check_main.c")
RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "arm64" / "kernels.txt"
GEOMETRY = Geometry(padding=(1, 1))
LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
HALIDE_TYPES = {
    torch.float32: (2, 32),
    torch.int32: (0, 32),
    torch.uint8: (1, 8),
    torch.float16: (1, 16),
    torch.bfloat16: (1, 16),
}
"""`halide_type_t`: the code and the bits. Kernels take halves as unsigned integers."""


@dataclass(frozen=True)
class ArmKernel:
    """A kernel for arm64, the memory that it reads, and the expected result."""

    name: str
    kernel: KernelClass
    launch: Launch
    operands: tuple[Tensor, ...]
    expected: Tensor
    target: str = TARGET


def kernels() -> Iterator[ArmKernel]:
    """Each family in both layouts, on a layer with a border whose sizes divide into no tile."""
    torch.manual_seed(0)
    for where, layout in LAYOUTS.items():
        x, w = torch.randn(2, 40, 9, 14).contiguous(memory_format=layout), torch.randn(27, 40, 3, 3)
        for site in ("adder", "mac"):
            schedule = default_schedule(dense.request_of(site, x, w, GEOMETRY), NEON)
            plan = dense._planned(site, x, w, GEOMETRY, schedule)
            if site == "adder":
                expected = reference.adder_forward(x, w, GEOMETRY)
            else:
                expected = torch.nn.functional.conv2d(x, w, padding=1)
            flat = w.reshape(1, 27, -1).contiguous()
            yield ArmKernel(f"{site} {where}", plan.kernel, plan.launch, (x, flat), expected)
        for dtype in HALVES:
            yield _half(x.to(dtype), w.to(dtype), where)
        yield _signs(x, w, where)
        for target in (TARGET, DOT_PRODUCT):
            yield _bytes(where, layout, target)


def _half(x: Tensor, w: Tensor, where: str) -> ArmKernel:
    site = in_half("adder", x.dtype)
    schedule = default_schedule(dense.request_of(site, x, w, GEOMETRY), NEON)
    plan = dense._planned(site, x, w, GEOMETRY, schedule)
    operands = x, w.reshape(1, 27, -1).contiguous()
    expected = reference.adder_forward(x, w, GEOMETRY)
    return ArmKernel(f"{site} {where}", plan.kernel, plan.launch, operands, expected)


def _signs(x: Tensor, w: Tensor, where: str) -> ArmKernel:
    words, factors = pack_filters(w, 1), pack_factors(torch.rand(27), torch.randn(27), 1)
    schedule = default_schedule(binary.request_of(x, tuple(w.shape), GEOMETRY), NEON)
    layout = LAYOUTS[where]
    plan = binary._plan(x.shape, x.stride(), tuple(w.shape), GEOMETRY, layout, 1, schedule)
    image = plan.packing.fresh()
    assert not plan.packing.pack_into(x, image)
    expected = reference.binary_packed_forward(x, words, factors, tuple(w.shape), GEOMETRY)
    return ArmKernel(f"xnor {where}", plan.kernel.kernel, plan.launch, (image, words, factors), expected)


def _bytes(where: str, layout: torch.memory_format, target: str) -> ArmKernel:
    x = torch.randint(0, 256, (2, 40, 9, 14), dtype=torch.uint8).contiguous(memory_format=layout)
    w = torch.randint(0, 256, (27, 40, 3, 3), dtype=torch.uint8)
    factors = pack_factors(torch.ones(27), None, 1)
    site = by_four("adder_u8_scaled")
    schedule = default_schedule(replace(u8.request_of(x, w, GEOMETRY), site=site), NEON)
    plan = u8._plan(site, x.shape, x.stride(), w.shape, GEOMETRY, layout, 1, schedule)
    image = x
    for step in plan.steps:
        copy = step.fresh(0)
        u8.run_shares(step.calls, image.data_ptr(), copy.data_ptr())
        image = copy
    weight = u8._padded_weight(w, plan)
    expected = reference.adder_u8_forward(x, w, GEOMETRY).float()
    name = f"adder_u8{', dot product,' if target == DOT_PRODUCT else ''} {where}"
    return ArmKernel(name, plan.kernel.kernel, plan.launch, (image, weight, factors), expected, target)


def compiled(arm: ArmKernel, folder: Path) -> tuple[Path, str]:
    """The object file and the assembly of a kernel named `kernel`."""
    output, arguments = scheduled(arm.kernel)
    kinds = hl.OutputFileType
    made, assembly = folder / "kernel.o", folder / "kernel.s"
    files = {kinds.object: str(made), kinds.assembly: str(assembly)}
    output.compile_to(files, arguments, "kernel", hl.Target(arm.target))
    return made, assembly.read_text()


def inner_loop(assembly: str) -> list[str]:
    """The instructions of the block that jumps back to its own label and has most sites."""
    loops = []
    parts = re.split(r"^(\.L\w+):", assembly, flags=re.M)
    for label, block in zip(parts[1::2], parts[2::2], strict=True):
        lines = [line.split("//")[0].strip() for line in block.splitlines()]
        lines = [line for line in lines if line and not line.startswith((".", "//"))]
        back = (i for i, line in enumerate(lines) if line.startswith("b.") and line.endswith(label))
        if (end := next(back, None)) is not None:
            loops.append(lines[: end + 1])
    return max(loops, key=lambda lines: sum(line.split()[0] in SITE_INSTRUCTIONS for line in lines))


def run(arm: ArmKernel, made: Path, folder: Path) -> Tensor:
    """The result of the kernel in the emulator."""
    program = folder / "program"
    compiler = ["aarch64-linux-gnu-gcc", "-std=gnu99", "-O1", "-static", str(MAIN), str(made)]
    subprocess.run(
        [*compiler, "-o", str(program), "-lpthread", "-ldl", "-lm"], check=True, capture_output=True
    )
    views = [*arm.launch._inputs, arm.launch._output]
    output = torch.empty_like(arm.expected)
    if arm.kernel.channels_last_output:
        output = output.contiguous(memory_format=torch.channels_last)
    given = bytearray(_numbers(len(views)))
    for (view, dtype), tensor in zip(views, (*arm.operands, output), strict=True):
        sizes = zip(reversed(view.size), reversed(view.stride), strict=True)
        given += _numbers(*HALIDE_TYPES[dtype], len(view.size), *(n for pair in sizes for n in pair))
        content = _memory(tensor)
        given += _numbers(len(content))
        if tensor is not output:
            given += content
    for parameter in arm.launch._parameters:
        given += struct.pack("<f", parameter) if isinstance(parameter, float) else _numbers(parameter)
    found = subprocess.run(
        ["qemu-aarch64", str(program)], input=bytes(given), capture_output=True, check=True
    )
    flat = torch.frombuffer(bytearray(found.stdout), dtype=output.dtype)
    return flat.as_strided(output.shape, output.stride())


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little", signed=True) for value in values)


def _memory(tensor: Tensor) -> bytes:
    """A dense tensor's bytes in the order of memory."""
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy().tobytes()


def cycles(loop: list[str], core: str) -> float:
    """Cycles of one turn of the loop by llvm-mca."""
    turns = 200
    command = ["llvm-mca-22", "-mtriple=aarch64", f"-mcpu={core}", f"-iterations={turns}"]
    body = "\n".join(line for line in loop if ".L" not in line)
    said = subprocess.run(command, input=body, capture_output=True, text=True)
    total = re.search(r"Total Cycles:\s+(\d+)", said.stdout)
    if total is None:
        raise SystemExit(f"llvm-mca refuses the loop for {core}: {said.stderr}")
    return int(total[1]) / turns


def main() -> None:
    lines, wrong = [f"Kernels for {TARGET}, Halide {version('halide')}", ""], 0
    for arm in kernels():
        with tempfile.TemporaryDirectory() as name:
            made, assembly = compiled(arm, Path(name))
            loop = inner_loop(assembly)
            found = run(arm, made, Path(name))
        exact = torch.equal(found, arm.expected)
        # Two sums that differ by a rounding of fp32 may be rounded to neighbouring halves.
        tolerance = 2 * torch.finfo(found.dtype).eps if found.dtype in HALVES else 1e-4
        close = torch.allclose(found, arm.expected, rtol=tolerance, atol=1e-3)
        wrong += not close
        result = f"the reference's to {tolerance:.0e}" if close else "WRONG"
        result = "the reference's bits" if exact else result
        packed = SITES[arm.kernel.site].packed
        kernel = arm.kernel
        sites = kernel.vectors * kernel.pixels * kernel.lanes * packed
        if SITES[kernel.site].of_words:
            sites *= 32
        counts = Counter(line.split()[0] for line in loop)
        stack = sum("[sp" in line for line in loop)
        instructions = ", ".join(f"{n} {op}" for op, n in counts.most_common())
        lines += [
            f"{arm.name}: tile of {kernel.vectors} x {kernel.lanes} filters x {kernel.pixels} pixels, "
            f"{result} under qemu-user",
            f"  inner loop: {instructions}; {stack} on the stack",
            f"  cycles for {sites} sites by llvm-mca: "
            + ", ".join(
                f"{core} {cycles(loop, core):.1f}"
                for core in CORES
                if arm.target == TARGET or core not in WITHOUT_DOT_PRODUCT
            ),
            "",
        ]
        print(*lines[-4:], sep="\n", flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_file(RESULT, "\n".join(lines), force=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
