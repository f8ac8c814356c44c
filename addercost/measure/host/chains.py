"""Loops of one instruction, dependent or independent, compiled for this machine through LLVM.

A dependent chain takes latency cycles an instruction; enough independent chains take its reciprocal
throughput.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from addercost.hardware.vocabulary import Form
from addercost.measure.host.instructions import Probe

DEPENDENT = 1
UNROLL = 96
"""Instructions in a loop's body: the loop's own two cost about a hundredth of it."""

_CLOBBER = "~{flags}"


def independent_chains(probe: Probe) -> int:
    """As many as registers allow: 12 of vectors, or 8 of general registers beside operands and counter."""
    return 8 if probe.element.startswith("i") and probe.form is Form.SCALAR else 12


def loop_ir(name: str, probe: Probe, chains: int) -> str:
    """LLVM IR of `void name(i64 n)`: n rounds of `UNROLL` instructions on `chains` chains."""
    kind, value_type, start, operands = _types(probe)
    positions = {"d": "$0", "a": "$1", "y": "$2", "z": "$3"}
    if probe.accumulates:
        constraint = f"={kind},0,{kind},{kind},{_CLOBBER}"
    else:
        constraint = f"={kind},{kind},{kind},{kind},{_CLOBBER}"
    assembly = probe.assembly.format(**positions)
    lines = [f"define void @{name}(i64 %n) {{", "entry:"]
    # The compiler cannot fold operands that come out of an empty assembly statement.
    for i, operand in enumerate(operands):
        lines.append(f'  %o{i} = call {value_type} asm sideeffect "", "={kind},0"({value_type} {operand})')
    lines += ["  br label %loop", "loop:", "  %i = phi i64 [0, %entry], [%next, %loop]"]
    rounds = UNROLL // chains
    for c in range(chains):
        lines.append(f"  %v{c}_0 = phi {value_type} [{start}, %entry], [%v{c}_{rounds}, %loop]")
    for r in range(rounds):
        for c in range(chains):
            arguments = ", ".join(f"{value_type} {v}" for v in (f"%v{c}_{r}", "%o0", "%o1"))
            call = f'call {value_type} asm sideeffect "{assembly}", "{constraint}"({arguments})'
            lines.append(f"  %v{c}_{r + 1} = {call}")
    lines += [
        "  %next = add i64 %i, 1",
        "  %more = icmp ult i64 %next, %n",
        "  br i1 %more, label %loop, label %done",
        "done:",
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _types(probe: Probe) -> tuple[str, str, str, tuple[str, str]]:
    """(register constraint, LLVM type, starting value, the two invariant operands)."""
    if probe.form is Form.SCALAR and probe.element.startswith("i"):
        return "r", probe.element, "1", ("3", "5")
    floating = probe.element in ("float", "double")
    # A divisor near 1 with a full mantissa makes division neither end early nor drift to infinity.
    first, second = ("0x3FF0000020000000", "0x3FF0000040000000") if floating else ("3", "5")
    start = "0x3FF0000000000000" if floating else "7"
    if probe.form is Form.SCALAR:
        return "v", probe.element, start, (first, second)
    element_bits = 64 if probe.element == "double" else 32
    lanes = probe.bits // element_bits

    def vector(value: str) -> str:
        return "<" + ", ".join(f"{probe.element} {value}" for _ in range(lanes)) + ">"

    return "v", f"<{lanes} x {probe.element}>", vector(start), (vector(first), vector(second))


READ_IR = """
define i64 @read_memory(ptr %start, i64 %bytes) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %s0 = phi <8 x i64> [zeroinitializer, %entry], [%t0, %loop]
  %s1 = phi <8 x i64> [zeroinitializer, %entry], [%t1, %loop]
  %s2 = phi <8 x i64> [zeroinitializer, %entry], [%t2, %loop]
  %s3 = phi <8 x i64> [zeroinitializer, %entry], [%t3, %loop]
  %p0 = getelementptr i8, ptr %start, i64 %i
  %p1 = getelementptr i8, ptr %p0, i64 64
  %p2 = getelementptr i8, ptr %p0, i64 128
  %p3 = getelementptr i8, ptr %p0, i64 192
  %l0 = load <8 x i64>, ptr %p0, align 64
  %l1 = load <8 x i64>, ptr %p1, align 64
  %l2 = load <8 x i64>, ptr %p2, align 64
  %l3 = load <8 x i64>, ptr %p3, align 64
  %t0 = xor <8 x i64> %s0, %l0
  %t1 = xor <8 x i64> %s1, %l1
  %t2 = xor <8 x i64> %s2, %l2
  %t3 = xor <8 x i64> %s3, %l3
  %next = add i64 %i, 256
  %more = icmp ult i64 %next, %bytes
  br i1 %more, label %loop, label %done
done:
  %a = xor <8 x i64> %t0, %t1
  %b = xor <8 x i64> %t2, %t3
  %c = xor <8 x i64> %a, %b
  %e = extractelement <8 x i64> %c, i64 0
  ret i64 %e
}
"""
"""Reads `bytes`, a multiple of 256, once, in order."""


class Compiled:
    """IR compiled for this machine. Raises ImportError where llvmlite is not installed."""

    def __init__(self, ir: str) -> None:
        from addercost.kernels.cpu.ir.native import NativeCode

        # As written: the passes would take the chains apart.
        self._code = NativeCode(ir, optimised=False)

    def loop(self, name: str) -> Callable[[int], None]:
        """`loop(n)` runs n rounds, without the interpreter lock."""
        function: Callable[[int], None] = self._code.function(name, None, ctypes.c_int64)
        return function

    def reader(self) -> Callable[[int, int], int]:
        """`reader(address, bytes)` reads memory once."""
        arguments = ctypes.c_void_p, ctypes.c_int64
        function: Callable[[int, int], int] = self._code.function("read_memory", ctypes.c_int64, *arguments)
        return function


def host_features() -> tuple[str, set[str]]:
    """LLVM's name of this machine's core, and the names of the features it has."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return llvm.get_host_cpu_name(), {name for name, present in features.items() if present}
