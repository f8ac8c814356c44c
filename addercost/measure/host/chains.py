"""Loops that repeat one instruction, dependent or independent, compiled for this machine by LLVM.

In a dependent chain, an instruction takes its latency. In enough independent chains, it takes its reciprocal
throughput.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from addercost.hardware.vocabulary import Form
from addercost.measure.host.probe import Probe, assembled

DEPENDENT = 1
UNROLL = 96
"""How many instructions a loop's body has. The loop itself adds two, about a hundredth of the time."""

_CLOBBER = "~{flags}"


def independent_chains(probe: Probe) -> int:
    """The number of independent chains, limited by registers: 12 in vector registers, or 8 in general
    registers, which also have the operands and the counter.
    """
    return 8 if probe.general else 12


def loop_ir(name: str, probe: Probe, chains: int) -> str:
    """LLVM IR of `void name(i64 n)`: n rounds of `UNROLL` instructions on `chains` chains."""
    kind = "r" if probe.general else probe.register
    element, start = value_type(probe)
    if probe.accumulates:
        constraint = f"={kind},0,{kind},{kind},{_CLOBBER}"
    else:
        constraint = f"={kind},{kind},{kind},{kind},{_CLOBBER}"
    # An accumulating instruction reads the register that it writes: `a` and `d` are one register.
    assembly = assembled(probe.assembly, {"d": 0, "a": 1, "y": 2, "z": 3})
    lines = [f"define void @{name}(i64 %n) {{", "entry:"]
    lines += operand_lines(probe, "%o")
    lines += ["  br label %loop", "loop:", "  %i = phi i64 [0, %entry], [%next, %loop]"]
    rounds = UNROLL // chains
    for c in range(chains):
        lines.append(f"  %v{c}_0 = phi {element} [{start}, %entry], [%v{c}_{rounds}, %loop]")
    for r in range(rounds):
        for c in range(chains):
            arguments = ", ".join(f"{element} {v}" for v in (f"%v{c}_{r}", "%o0", "%o1"))
            call = f'call {element} asm sideeffect "{assembly}", "{constraint}"({arguments})'
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


def operand_lines(probe: Probe, name: str) -> list[str]:
    """IR of the two operands that an instruction does not change, `name`0 and `name`1. Their values come from
    an empty assembly statement, so that the compiler cannot treat them as constants.
    """
    kind = "r" if probe.general else probe.register
    element, _ = value_type(probe)
    # With a divisor near 1 that has a full mantissa, division neither ends early nor drifts to infinity.
    floating = probe.element in ("float", "double")
    values = ("0x3FF0000020000000", "0x3FF0000040000000") if floating else ("3", "5")
    return [
        f'  {name}{i} = call {element} asm sideeffect "", "={kind},0"({element} {_filled(probe, value)})'
        for i, value in enumerate(values)
    ]


def value_type(probe: Probe) -> tuple[str, str]:
    """(LLVM's type of an instruction's operands, the value that a chain starts with)."""
    floating = probe.element in ("float", "double")
    start = _filled(probe, "0x3FF0000000000000" if floating else "1" if probe.general else "7")
    lanes = _lanes(probe)
    return (f"<{lanes} x {probe.element}>" if lanes else probe.element), start


def _lanes(probe: Probe) -> int:
    """The number of lanes of a vector type; 0 for a scalar."""
    if probe.form is Form.SCALAR:
        return 0
    return probe.bits // (64 if probe.element == "double" else 32)


def _filled(probe: Probe, value: str) -> str:
    lanes = _lanes(probe)
    return "<" + ", ".join([f"{probe.element} {value}"] * lanes) + ">" if lanes else value


class Compiled:
    """IR compiled for this machine. Raises ImportError where llvmlite is not installed."""

    def __init__(self, ir: str) -> None:
        from addercost.kernels.cpu.ir.native import NativeCode

        # Without optimisation, whose passes would take the chains apart.
        self._code = NativeCode(ir, optimised=False)

    def loop(self, name: str) -> Callable[[int], None]:
        """A function `loop(n)` that runs n rounds without the interpreter lock."""
        function: Callable[[int], None] = self._code.function(name, None, ctypes.c_int64)
        return function

    def inner_loop(self, name: str) -> Callable[[int, int, int], None]:
        """A function `inner_loop(inputs, weights, n)` that runs n rounds on the operands at these
        addresses.
        """
        arguments = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
        function: Callable[[int, int, int], None] = self._code.function(name, None, *arguments)
        return function

    def reader(self) -> Callable[[int, int, int], int]:
        """A function `reader(address, bytes, times)` that reads the bytes so many times."""
        arguments = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
        function: Callable[[int, int, int], int] = self._code.function(
            "read_memory", ctypes.c_int64, *arguments
        )
        return function
