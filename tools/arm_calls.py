"""Runs functions of LLVM IR for arm64 in an emulator, on memory of this process."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAIN = Path(__file__).with_name("arm_calls_main.c")
FEATURES = ("neon", "fullfp16", "bf16", "dotprod", "i8mm")
"""LLVM's names for what qemu's most capable processor has and the loops use."""
LLC = ("llc-22", "-mtriple=aarch64-linux-gnu", "-mattr=" + ",".join(f"+{name}" for name in FEATURES), "-O3")
COMPILER = ("aarch64-linux-gnu-gcc", "-std=gnu11", "-O1", "-static")
_NUMBER, _READ, _WRITTEN = 7, 8, 9


@dataclass(frozen=True)
class ArmCall:
    """A call of the function `name`. Bytes are memory that it reads, numbers 64-bit integers, and a bytearray
    is memory that it also writes.
    """

    name: str
    arguments: tuple[bytes | bytearray | int, ...]


def assembly(ir: str) -> str:
    """The assembly that LLVM makes of this IR for arm64."""
    command = [*LLC, "-o", "-"]
    return subprocess.run(command, input=ir, text=True, capture_output=True, check=True).stdout


def run_calls(modules: Sequence[str], calls: Sequence[ArmCall]) -> None:
    """Runs the calls one after another in the emulator. Each of their bytearrays then has what was written
    there. Raises CalledProcessError where a module does not compile or a call does not return.
    """
    names = list(dict.fromkeys(call.name for call in calls))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = []
        for index, ir in enumerate(modules):
            objects.append(str(folder / f"{index}.o"))
            subprocess.run([*LLC, "-filetype=obj", "-o", objects[-1]], input=ir, text=True, check=True)
        table = folder / "table.c"
        entries = ", ".join(names)
        table.write_text(
            f"extern void {entries.replace(', ', '(), ')}();\nvoid (*const functions[])() = {{{entries}}};\n"
        )
        program = folder / "program"
        subprocess.run([*COMPILER, str(MAIN), str(table), *objects, "-o", str(program)], check=True)
        given = _numbers(len(calls)) + b"".join(_encoded(call, names.index(call.name)) for call in calls)
        found = subprocess.run(["qemu-aarch64", str(program)], input=given, capture_output=True, check=True)
    written = found.stdout
    for call in calls:
        for argument in call.arguments:
            if isinstance(argument, bytearray):
                argument[:], written = written[: len(argument)], written[len(argument) :]


def _encoded(call: ArmCall, which: int) -> bytes:
    made = _numbers(which, len(call.arguments))
    for argument in call.arguments:
        if isinstance(argument, int):
            made += _numbers(_NUMBER, argument)
        else:
            made += _numbers(_WRITTEN if isinstance(argument, bytearray) else _READ, len(argument)) + argument
    return made


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)
