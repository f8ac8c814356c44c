"""The instructions that `addercost calibrate` measures on Arm's 64-bit instruction set."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from addercost.hardware.vocabulary import Form
from addercost.measure.host.probe import Probe


class _Vector(NamedTuple):
    """A vector instruction. lanes: in the assembler's notation. accumulates: the instruction adds to the
    register that it writes.
    """

    op: str
    mnemonic: str
    lanes: str
    operands: int = 2
    needs: str = ""
    accumulates: bool = False
    of: str = ""
    """The operands' lanes where they differ from the result's."""
    immediate: str = ""


_VECTOR = (
    _Vector("fp32_add", "fadd", "4s"),
    _Vector("fp32_mul", "fmul", "4s"),
    _Vector("fp32_fma", "fmla", "4s", accumulates=True),
    _Vector("fp32_div", "fdiv", "4s"),
    _Vector("fp32_max", "fmax", "4s"),
    _Vector("fp32_abs", "fabs", "4s", 1),
    _Vector("fp32_absdiff", "fabd", "4s"),
    _Vector("fp64_add", "fadd", "2d"),
    _Vector("fp64_mul", "fmul", "2d"),
    _Vector("fp64_fma", "fmla", "2d", accumulates=True),
    _Vector("fp64_div", "fdiv", "2d"),
    _Vector("fp16_add", "fadd", "8h", needs="fullfp16"),
    _Vector("fp16_mul", "fmul", "8h", needs="fullfp16"),
    _Vector("fp16_fma", "fmla", "8h", needs="fullfp16", accumulates=True),
    _Vector("fp16_absdiff", "fabd", "8h", needs="fullfp16"),
    _Vector("int32_add", "add", "4s"),
    _Vector("int32_mul", "mul", "4s"),
    _Vector("int32_mla", "mla", "4s", accumulates=True),
    _Vector("int8_add", "add", "16b"),
    _Vector("int16_add", "add", "8h"),
    _Vector("uint8_max", "umax", "16b"),
    _Vector("uint8_absdiff", "uabd", "16b"),
    _Vector("uint8_absdiff_acc_long", "uabal", "8h", accumulates=True, of="8b"),
    _Vector("uint8_pair_add_acc", "uadalp", "8h", 1, accumulates=True, of="16b"),
    _Vector("int8_dot", "sdot", "4s", needs="dotprod", accumulates=True, of="16b"),
    _Vector("int8_mmla", "smmla", "4s", needs="i8mm", accumulates=True, of="16b"),
    _Vector("bf16_dot", "bfdot", "4s", needs="bf16", accumulates=True, of="8h"),
    _Vector("bf16_mmla", "bfmmla", "4s", needs="bf16", accumulates=True, of="8h"),
    _Vector("int8_popcount", "cnt", "16b", 1),
    _Vector("int8_abs", "abs", "16b", 1),
    _Vector("xor", "eor", "16b"),
    _Vector("shift_var", "sshl", "4s"),
    _Vector("shift_imm", "shl", "4s", 1, immediate="#3"),
)
_SCALAR_FLOAT = tuple(
    (f"fp{bits}_{op}", bits, mnemonic, operands)
    for bits in (32, 64)
    for op, mnemonic, operands in (
        ("add", "fadd", "{a}, {y}"),
        ("mul", "fmul", "{a}, {y}"),
        ("fma", "fmadd", "{y}, {z}, {a}"),
        ("div", "fdiv", "{a}, {y}"),
        ("max", "fmax", "{a}, {y}"),
    )
)
_GENERAL = tuple(
    (op, bits, assembly)
    for op, bits, assembly in (
        ("int32_add", 32, "add {d}, {a}, {y}"),
        ("int64_add", 64, "add {d}, {a}, {y}"),
        ("int32_mul", 32, "mul {d}, {a}, {y}"),
        ("int64_mul", 64, "mul {d}, {a}, {y}"),
        ("and", 32, "and {d}, {a}, {y}"),
        ("xor", 32, "eor {d}, {a}, {y}"),
        ("shift_imm", 32, "lsl {d}, {a}, #3"),
        ("shift_var", 32, "lsl {d}, {a}, {y}"),
    )
)


def aarch64_probes(features: Collection[str]) -> Iterator[Probe]:
    """The probes that a machine with these features (LLVM's names) can run."""
    for v in _VECTOR:
        if v.needs and v.needs not in features:
            continue
        lanes = int(v.lanes[:-1])
        of = v.of or v.lanes
        if v.accumulates:
            sources = ["{y}." + of, "{z}." + of][: v.operands]
        else:
            sources = ["{a}." + of, "{y}." + of][: v.operands]
        operands = ", ".join(["{d}." + v.lanes, *sources, *([v.immediate] if v.immediate else [])])
        element = "double" if v.lanes == "2d" else "float" if v.mnemonic.startswith("f") else "i32"
        yield _probe(v.op, Form.VECTOR, 128, lanes, f"{v.mnemonic} {operands}", element, v.accumulates)
    for op, bits, mnemonic, operands in _SCALAR_FLOAT:
        element = "float" if bits == 32 else "double"
        yield _probe(op, Form.SCALAR, bits, 1, f"{mnemonic} {{d}}, {operands}", element)
    for op, bits, assembly in _GENERAL:
        yield _probe(op, Form.SCALAR, bits, 1, assembly, f"i{bits}")


def _probe(
    op: str, form: Form, bits: int, lanes: int, assembly: str, element: str, accumulates: bool = False
) -> Probe:
    kind = ""
    if form is Form.SCALAR:
        # The letter for a register of this width in assembly, and LLVM's modifier that produces it.
        kind = {("i32"): "w", "i64": "x", "float": "s", "double": "d"}[element]
        assembly = re.sub(r"\{([dayz])\}", rf"{{\1:{kind}}}", assembly)
    text = re.sub(r"\{[dayz](?::\w)?\}", kind or "v", assembly)
    return Probe(op, form, bits, lanes, assembly, element, text, accumulates, "w")
