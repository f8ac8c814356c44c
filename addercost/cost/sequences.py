"""The instructions of one inner-loop step of each arithmetic, chosen among what a target offers.

A step combines input-weight pairs that are in registers and adds them to accumulators in registers: the limit
that a register-blocked kernel works towards. Loads, widening at the end of a loop and the final negation are
left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic
from addercost.cost.charges import VECTOR_FORMS, best_per_width
from addercost.cost.target import Target
from addercost.hardware.schema import Instruction
from addercost.hardware.vocabulary import Form


@dataclass(frozen=True, slots=True)
class Step:
    instruction: Instruction
    times: int = 1


@dataclass(frozen=True, slots=True)
class SiteSequence:
    """`steps` executed once combine `sites` input-weight pairs. name: of the recipe they follow."""

    name: str
    steps: tuple[Step, ...]
    sites: int
    assumption: str = ""

    @property
    def text(self) -> str:
        """`2 x vaddps zmm0, zmm1, zmm2; …`: what `hardware show` prints."""
        return "; ".join((f"{s.times} x " if s.times > 1 else "") + s.instruction.text for s in self.steps)

    @property
    def cycles(self) -> float:
        """Cycles of one step if different instructions did not overlap. Sequences are chosen by it."""
        return sum(s.times * s.instruction.reciprocal_throughput_cycles for s in self.steps)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A way of combining sites by instructions of one width. ops: (op, times).

    counted: the op whose sites a step has: `OP` as many as one instruction of it, `2 x OP` twice as many,
    `bits of OP` one for each bit of its register. vectors_only: not on scalar registers.
    """

    name: str
    ops: tuple[tuple[str, int], ...]
    counted: str
    assumption: str = ""
    vectors_only: bool = False


_MUL_ADD = "multiply, then add"
_SUB_ABS_ADD = "subtract, |.|, add"
_SIGN = "signed bytes are offset by 128 first, which leaves differences unchanged"


def _recipes(arithmetic: Arithmetic, number_format: str) -> tuple[_Recipe, ...]:
    f = number_format
    if arithmetic is Arithmetic.MAC and f in ("fp16", "fp32", "fp64"):
        return (
            *((_Recipe("fp16 matrix product", (("fp16_mmla", 1),), "fp16_mmla"),) if f == "fp16" else ()),
            _Recipe("fused multiply-add", ((f"{f}_fma", 1),), f"{f}_fma"),
            _Recipe("fused multiply-add, four operands", ((f"{f}_fma4", 1),), f"{f}_fma4"),
            _Recipe("multiply-accumulate", ((f"{f}_mac", 1),), f"{f}_mac"),
            _Recipe(_MUL_ADD, ((f"{f}_mul", 1), (f"{f}_add", 1)), f"{f}_mul"),
        )
    if arithmetic is Arithmetic.MAC and f in ("int8", "uint8"):
        return (
            _Recipe("int8 dot product", (("int8_dot", 1),), "int8_dot"),
            _Recipe("int8 matrix product", (("int8_mmla", 1),), "int8_mmla"),
            _Recipe(
                "byte products, widened twice",
                (("int8_maddubs", 1), ("int16_madd", 1), ("int32_add", 1)),
                "int8_maddubs",
                "byte products saturate at 16 bits",
            ),
            _Recipe(
                "widening multiply-accumulate", (("int8_wmacc", 1),), "int8_wmacc", "16-bit accumulators"
            ),
            _Recipe("long multiply-accumulate", (("int8_mlal", 1),), "int8_mlal", "16-bit accumulators"),
            _Recipe("two products, dual 16-bit", (("int16_dot", 1),), "int16_dot", "bytes are widened first"),
            _Recipe("multiply-accumulate", (("int32_mla", 1),), "int32_mla", "bytes are widened first"),
            _Recipe(_MUL_ADD, (("int32_mul", 1), ("int32_add", 1)), "int32_mul", "bytes are widened first"),
        )
    if arithmetic is Arithmetic.MAC and f in ("int16", "int32"):
        return (
            _Recipe("int16 dot product", (("int16_dot", 1),), "int16_dot")
            if f == "int16"
            else _Recipe("multiply-accumulate", (("int32_mla", 1),), "int32_mla"),
            _Recipe(_MUL_ADD, ((f"{f}_mul", 1), (f"{f}_add", 1)), f"{f}_mul"),
        )
    if arithmetic is Arithmetic.MAC and f == "bf16":
        return (
            _Recipe("bf16 dot product", (("bf16_dot", 1),), "bf16_dot"),
            _Recipe("bf16 matrix product", (("bf16_mmla", 1),), "bf16_mmla"),
        )
    if arithmetic is Arithmetic.ADDER and f in ("fp16", "fp32", "fp64"):
        return (
            _Recipe("fused |a - b|, add", ((f"{f}_absdiff", 1), (f"{f}_add", 1)), f"{f}_absdiff"),
            _Recipe(_SUB_ABS_ADD, ((f"{f}_add", 2), (f"{f}_abs", 1)), f"{f}_add"),
            _Recipe(
                _SUB_ABS_ADD,
                ((f"{f}_add", 2), ("xor", 1)),
                f"{f}_add",
                "|.| costs a bit mask",
                vectors_only=True,
            ),
        )
    if arithmetic is Arithmetic.ADDER and f in ("int8", "uint8"):
        note = _SIGN if f == "int8" else ""
        return (
            _Recipe("sum of absolute differences", (("uint8_sad", 1), ("int32_add", 1)), "uint8_sad", note),
            _Recipe(
                "sum of absolute differences, accumulating", (("uint8_sad_acc", 1),), "uint8_sad_acc", note
            ),
            _Recipe(
                "|a - b| accumulated long, low and high halves",
                (("uint8_absdiff_acc_long", 1), ("uint8_absdiff_acc_long_high", 1)),
                "2 x uint8_absdiff_acc_long",
                note,
            ),
            _Recipe(
                "|a - b|, then pairs accumulated",
                (("uint8_absdiff", 1), ("uint8_pair_add_acc", 1)),
                "uint8_absdiff",
                note,
            ),
            _Recipe(
                "maximum minus minimum, widening add",
                (("int8_max", 2), ("int8_add", 1), ("int8_wadd", 1)),
                "int8_max",
                "16-bit accumulators",
            ),
            _Recipe(
                _SUB_ABS_ADD, (("int16_add", 2), ("int16_abs", 1)), "int16_abs", "bytes are widened first"
            ),
            _Recipe(
                "subtract, maximum with the negative, add",
                (("int16_add", 3), ("int16_max", 1)),
                "int16_max",
                "bytes are widened first",
            ),
            _Recipe(
                "subtract, negate by sign, add",
                (("int32_add", 3), ("shift_imm", 1), ("xor", 1)),
                "int32_add",
                "bytes are widened first",
            ),
        )
    if arithmetic is Arithmetic.SHIFT and f in ("int8", "uint8", "int16", "int32"):
        return (_Recipe("shift, add", (("shift_var", 1), ("int32_add", 1)), "shift_var", "32-bit lanes"),)
    if arithmetic is Arithmetic.SHIFT and f == "fp32":
        return (
            _Recipe(
                "add to the exponent, add",
                (("int32_add", 1), ("fp32_add", 1)),
                "fp32_add",
                "a power of two is added to the exponent field",
            ),
        )
    return ()


_XNOR_RECIPES = (
    _Recipe(
        "exclusive or, popcount of 32-bit lanes, add",
        (("xor", 1), ("int32_popcount", 1), ("int32_add", 1)),
        "bits of int32_popcount",
    ),
    _Recipe(
        "exclusive or, popcount of 64-bit words, add",
        (("xor", 1), ("int64_popcount", 1), ("int64_add", 1)),
        "bits of int64_popcount",
    ),
    _Recipe(
        "exclusive or, popcount of bytes, pairs accumulated",
        (("xor", 1), ("int8_popcount", 1), ("uint8_pair_add_acc", 1)),
        "bits of int8_popcount",
    ),
    _Recipe(
        "exclusive or, popcount of bytes by table look-up, sums of bytes",
        (("xor", 3), ("shift_imm", 1), ("shuffle", 2), ("int8_add", 1), ("uint8_sad", 1), ("int32_add", 1)),
        "bits of uint8_sad",
        "masking costs an exclusive or; bytes are summed each time",
    ),
    _Recipe(
        "exclusive or, popcount by shifts, masks and a multiplication",
        (("xor", 5), ("shift_imm", 4), ("int64_add", 4), ("int64_mul", 1)),
        "bits of int64_mul",
        "no popcount instruction; masking costs an exclusive or",
    ),
    _Recipe(
        "exclusive or, popcount by shifts, masks and a multiplication",
        (("xor", 5), ("shift_imm", 4), ("int32_add", 4), ("int32_mul", 1)),
        "bits of int32_mul",
        "no popcount instruction; masking costs an exclusive or",
    ),
)


def site_sequence(
    target: Target, arithmetic: Arithmetic, number_format: str = "fp32", scalar: bool = False
) -> SiteSequence | None:
    """The fastest inner loop that was measured on `target`; where none was, the fastest sequence that it has
    figures for, or None.

    XNOR works on packed words whatever the format. scalar: on scalar registers alone.
    """
    measured = None if scalar else _measured(target, arithmetic, number_format)
    if measured is not None:
        return measured
    recipes = _XNOR_RECIPES if arithmetic is Arithmetic.XNOR else _recipes(arithmetic, number_format)
    found = [s for recipe in recipes for s in _instances(target, recipe, scalar)]
    # At equal speed fewer instructions, then the recipe listed first.
    return min(found, key=lambda s: (s.cycles / s.sites, len(s.steps) / s.sites), default=None)


_LOOP_FORMATS: dict[tuple[Arithmetic, str], tuple[str, str]] = {
    (Arithmetic.MAC, "uint8"): ("int8", ""),
    (Arithmetic.ADDER, "int8"): ("uint8", _SIGN),
    (Arithmetic.SHIFT, "int8"): ("int32", "32-bit lanes"),
    (Arithmetic.SHIFT, "uint8"): ("int32", "32-bit lanes"),
    (Arithmetic.SHIFT, "int16"): ("int32", "32-bit lanes"),
}
"""Formats that run in the loop of another one, and what that assumes."""


def _measured(target: Target, arithmetic: Arithmetic, number_format: str) -> SiteSequence | None:
    """The fastest measured loop, of whatever width and instructions."""
    if arithmetic is Arithmetic.XNOR:
        number_format = "bool"
    loop_format, assumption = _LOOP_FORMATS.get((arithmetic, number_format), (number_format, ""))
    of_arithmetic = [loop for loop in target.loops if loop.arithmetic is arithmetic]
    loops = [loop for loop in of_arithmetic if loop.number_format == loop_format]
    if not loops and number_format in ("fp16", "bf16"):
        loops = [loop for loop in of_arithmetic if loop.number_format == "fp32"]
        assumption = "computed in fp32"
    if not loops:
        return None
    loop = max(loops, key=lambda loop: loop.sites_per_cycle)
    return SiteSequence("measured inner loop", (Step(loop.step),), loop.sites, assumption)


def _instances(target: Target, recipe: _Recipe, scalar: bool) -> Iterator[SiteSequence]:
    """The recipe at every width of which the target has all its instructions."""
    ops = [op for op, _ in recipe.ops]
    forms = (Form.SCALAR,) if scalar else (Form.SCALAR, *VECTOR_FORMS)
    for form in forms:
        by_width = [
            {row.vector_bits: row for row in reversed(best_per_width(target.rows(op, (form,))))} for op in ops
        ]
        if form is Form.SCALAR:
            # A mask on general registers would need two moves between register files.
            if recipe.vectors_only:
                continue
            # A row for 32 bits stands for the same instruction on a 64-bit register.
            rows = [next(iter(rows.values()), None) for rows in by_width]
            # On x86 the absolute value of a single float is a vector mask too.
            rows = [row or _mask(target, op) for row, op in zip(rows, ops, strict=True)]
            if None not in rows:
                yield _sequence(recipe, [row for row in rows if row])
            continue
        for width in set.intersection(*(set(rows) for rows in by_width)):
            yield _sequence(recipe, [rows[width] for rows in by_width])


def _mask(target: Target, op: str) -> Instruction | None:
    return next(iter(target.rows(op, VECTOR_FORMS)), None) if op.endswith("_abs") else None


def _sequence(recipe: _Recipe, rows: list[Instruction]) -> SiteSequence:
    steps = tuple(Step(row, times) for row, (_, times) in zip(rows, recipe.ops, strict=True))
    multiple, _, op = recipe.counted.rpartition(" ")
    row = next(row for row in rows if row.op == op)
    sites = row.vector_bits if multiple == "bits of" else row.sites * (2 if multiple == "2 x" else 1)
    return SiteSequence(recipe.name, steps, sites, recipe.assumption)
