"""Which instruction does an operation in a number format on a target, and what choosing it assumes.

A table rarely has every figure. Which other figures may stand in for a missing one, and in which order, is
written here and nowhere else. An estimate reports which figure stood in for which. Where no figure can, it
reports the operation as missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from addercost.arithmetic import OpClass
from addercost.cost.target import Target
from addercost.hardware.schema.instruction import Instruction
from addercost.hardware.vocabulary import Form

VECTOR_FORMS = (Form.SVE, Form.VECTOR, Form.RVV)

_FP8_KINDS = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
WIDENED: dict[str, tuple[str, ...]] = dict.fromkeys(_FP8_KINDS, ("bf16", "fp16", "fp32"))
"""Formats that stand in for one that no instruction takes, best first. Each represents the narrower format's
numbers exactly.
"""

# A format that the table lacks is computed in the first format of its row that the table has.
_FLOATS: dict[str, tuple[str, ...]] = {
    "fp64": ("fp64",),
    "fp32": ("fp32",),
    "fp16": ("fp16", "fp32"),
    "bf16": ("bf16", "fp32"),
    **{kind: WIDENED[kind] for kind in _FP8_KINDS},
}
_INTEGERS = {
    "bool": ("int8", "int32"),
    "int8": ("int8", "int32"),
    "uint8": ("uint8", "int8", "int32"),
    "int16": ("int16", "int32"),
    "uint16": ("uint16", "int16", "int32"),
    "int32": ("int32",),
    "uint32": ("uint32", "int32"),
    "int64": ("int64", "int32"),
    "uint64": ("int64", "int32"),
}
# General registers are 32 or 64 bits wide: a narrow integer costs what a 32-bit one does.
_GENERAL_REGISTER = {"int64": ("int64", "int32"), "uint64": ("int64", "int32")}

# The instructions that may do an operation, best first, each with what choosing it assumes. A name follows
# the number format (`fp32_` + `mul`), unless it starts with = (`=xor` works on bits of any format).
_FLOAT_CHOICES: dict[OpClass, tuple[tuple[str, str], ...]] = {
    OpClass.MUL: (("mul", ""),),
    OpClass.ADD: (("add", ""),),
    OpClass.COMPARE: (("max", ""), ("cmp", ""), ("add", "a comparison costs a subtraction")),
    OpClass.ABS: (("abs", ""), ("=xor", "|x| costs a bit mask"), ("=and", "|x| costs a bit mask")),
    OpClass.DIVIDE: (("div", ""),),
    OpClass.SQRT: (("sqrt", ""), ("div", "a square root costs a division")),
    OpClass.SHIFT: (("=shift_var", "a shift of a float costs an integer shift"),),
}
_INTEGER_CHOICES: dict[OpClass, tuple[tuple[str, str], ...]] = {
    OpClass.MUL: (("mul", ""),),
    OpClass.ADD: (("add", ""),),
    OpClass.COMPARE: (("max", ""), ("add", "a comparison costs a subtraction")),
    OpClass.ABS: (("abs", ""), ("max", "|x| costs a maximum"), ("add", "|x| costs an addition")),
    OpClass.SHIFT: (("=shift_var", ""), ("=shift_imm", "a shift by a variable costs one by a constant")),
}
# Where multiply-adds are faster than additions or products alone, they do these too.
_AS_MULTIPLY_ADD = {"add": "a multiply-add by one", "mul": "a multiply-add to zero"}
_BIT_CHOICES: dict[OpClass, tuple[tuple[str, str], ...]] = {
    OpClass.XNOR: (("=xor", ""),),
    OpClass.LOGIC: (("=and", ""), ("=xor", "")),
    OpClass.POPCOUNT: (("=int32_add", ""),),
}
# A table of 16 bytes is in a register; one of floats is in memory, where every look-up has an address.
_LOOKUPS = (("=shuffle", "a look-up costs a byte shuffle"), ("=load", "a look-up costs a load"))


@dataclass(frozen=True, slots=True)
class Charge:
    """The instruction that does an operation, how many it does at once, and what choosing it assumes."""

    instruction: Instruction
    ops_per_instruction: float
    assumption: str = ""


def one_at_a_time(
    target: Target, op_class: OpClass, number_format: str, prefer: Form = Form.SCALAR
) -> Charge | None:
    """The instruction with a known latency that does a single operation, in the preferred form where there is
    one.

    Floats are looked up in the form `prefer` first, integers and bits in the general registers. (x87 computes
    every floating-point format in its 80-bit format.) None where neither the operation nor a stand-in has a
    latency.
    """
    is_float = number_format in _FLOATS
    forms = (prefer, Form.SCALAR, *VECTOR_FORMS) if is_float else (Form.SCALAR, *VECTOR_FORMS)
    for suffix, assumption in _choices(op_class, number_format):
        if is_float and prefer is Form.X87 and not suffix.startswith("="):
            row = _with_latency(target.rows(f"fp80_{suffix}", (Form.X87,)))
            if row:
                return Charge(row, 1, assumption)
        if is_float:
            formats = _FLOATS[number_format]
        else:
            formats = _GENERAL_REGISTER.get(number_format, ("int32",)) + _INTEGERS.get(number_format, ())
        for table_format in formats:
            row = _with_latency(target.rows(_op(suffix, table_format), forms))
            if row:
                wanted = prefer if is_float else Form.SCALAR
                # Arm and RISC-V keep scalar and vector floats in the same registers, at the same cost.
                notes = [assumption] if assumption else []
                if row.form is not wanted:
                    notes.append(f"taken from the {row.form.value} form")
                if is_float and table_format != number_format:
                    notes.append(f"computed in {table_format}")
                return Charge(row, 1, ", ".join(notes))
    return None


def many_at_once(target: Target, op_class: OpClass, number_format: str) -> Charge | None:
    """The instruction that does the most independent operations a cycle; a scalar one where no vector form
    exists. None where the table has neither.
    """
    formats = _FLOATS.get(number_format) or _INTEGERS.get(number_format) or ("int32",)
    for suffix, assumption in _choices(op_class, number_format):
        for table_format in formats:
            row = _fastest(target, _op(suffix, table_format))
            if row is not None:
                lanes = row.lanes
                if suffix.startswith("="):
                    lanes = 1 if suffix == "=load" else max(1, row.vector_bits // _bits(number_format))
                notes = [assumption] if assumption else []
                fused = _fastest(target, f"{table_format}_fma") if suffix in _AS_MULTIPLY_ADD else None
                if fused is not None and _cycles_per_lane(fused)[0] < _cycles_per_lane(row)[0]:
                    row, lanes = fused, fused.lanes
                    notes = [_AS_MULTIPLY_ADD[suffix]]
                if table_format != number_format and not suffix.startswith("="):
                    notes.append(f"computed in {table_format}")
                return Charge(row, lanes, ", ".join(notes))
    scalar = one_at_a_time(target, op_class, number_format)
    if scalar is None or scalar.instruction.form is not Form.SCALAR:
        return None
    note = "no vector form: one at a time"
    assumption = f"{scalar.assumption}, {note}" if scalar.assumption else note
    return Charge(scalar.instruction, 1, assumption)


def _fastest(target: Target, op: str) -> Instruction | None:
    """The vector instruction for `op` with the most results a cycle."""
    return min(best_per_width(target.rows(op, VECTOR_FORMS)), key=_cycles_per_lane, default=None)


POLYNOMIAL_MULTIPLY_ADDS = 50
"""How many multiply-adds exp, log or erf are taken to cost: a polynomial, its range reduction, its shifts and
masks. Vector libraries execute about as many. Networks with many such functions are predicted best with 50 to
100.
"""
_BY_POLYNOMIAL = (OpClass.TRANSCENDENTAL, OpClass.DIVIDE, OpClass.SQRT)


def or_polynomial(target: Target, op_class: OpClass, number_format: str) -> Charge | None:
    """The same as `many_at_once`, but a function of floats without a figure in the table is charged as a
    polynomial.
    """
    charge = many_at_once(target, op_class, number_format)
    if charge is not None or op_class not in _BY_POLYNOMIAL or number_format not in _FLOATS:
        return charge
    formats = _FLOATS[number_format]
    rows = [row for f in formats for row in best_per_width(target.rows(f"{f}_fma", VECTOR_FORMS))]
    if rows:
        row = min(rows, key=_cycles_per_lane)
        note = f"a polynomial of {POLYNOMIAL_MULTIPLY_ADDS} multiply-adds"
        return Charge(row, row.lanes / POLYNOMIAL_MULTIPLY_ADDS, note)
    product = many_at_once(target, OpClass.MUL, number_format)
    if product is None:
        return None
    operations = 2 * POLYNOMIAL_MULTIPLY_ADDS
    note = f"a polynomial of {operations} operations"
    return Charge(product.instruction, product.ops_per_instruction / operations, note)


def best_per_width(rows: Iterable[Instruction]) -> list[Instruction]:
    """The first row of each form and width, in the order given: `Target.rows` has measured ones first."""
    kept: dict[tuple[Form, int], Instruction] = {}
    for row in rows:
        kept.setdefault((row.form, row.vector_bits), row)
    return list(kept.values())


def _cycles_per_lane(row: Instruction) -> tuple[float, int]:
    # At equal speed the wider register: fewer instructions to issue.
    return (row.reciprocal_throughput_cycles / row.lanes, -row.vector_bits)


def _choices(op_class: OpClass, number_format: str) -> tuple[tuple[str, str], ...]:
    bits = _BIT_CHOICES.get(op_class)
    if bits is not None:
        return bits
    if op_class is OpClass.LOOKUP:
        return _LOOKUPS if number_format == "int8" else _LOOKUPS[1:]
    if number_format in _FLOATS:
        return _FLOAT_CHOICES.get(op_class, ())
    if number_format in _INTEGERS:
        return _INTEGER_CHOICES.get(op_class, ())
    return ()


def _op(suffix: str, table_format: str) -> str:
    return suffix[1:] if suffix.startswith("=") else f"{table_format}_{suffix}"


def _with_latency(rows: tuple[Instruction, ...]) -> Instruction | None:
    return next((row for row in rows if row.latency_cycles is not None), None)


def _bits(number_format: str) -> int:
    if number_format in ("bool", "ternary"):
        return 8
    return int("".join(c for c in number_format.split("_")[0] if c.isdigit()) or 32)
