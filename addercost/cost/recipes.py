"""The ways in which instructions combine input-weight pairs, for each arithmetic and number format.

A recipe is data: `sequences` makes it of the instructions that a target has.
"""

from __future__ import annotations

from dataclasses import dataclass

from addercost.arithmetic import Arithmetic


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way of combining sites by instructions of one form and width. ops: (op, times).

    name: unique among the recipes of an arithmetic and a format, and stable: measurements are kept by it.
    counted: the op whose sites a step has: `OP` as many as one instruction of it, `2 x OP` twice as many,
    `bits of OP` one for each bit of its register. vectors_only: not on scalar registers.
    """

    name: str
    ops: tuple[tuple[str, int], ...]
    counted: str
    assumption: str = ""
    vectors_only: bool = False


_MUL_ADD = "multiply, then add"
_MASK = "|.| costs a bit mask"
_BY_ONE = "the sum is a multiply-add by one, whose unit may be free where the adders are not"
_EXPONENT = "a power of two is added to the exponent field"
_OUTER = {"fp16": "fp16_outer_dot", "fp32": "fp32_outer", "fp64": "fp64_outer"}
SIGNED_BYTES = "signed bytes are offset by 128 first, which leaves differences unchanged"


def recipes(arithmetic: Arithmetic, number_format: str) -> tuple[Recipe, ...]:
    """Every known way, for binary networks whatever the format. At equal speed the first is taken."""
    f = number_format
    if arithmetic is Arithmetic.XNOR:
        return _XNOR
    if arithmetic is Arithmetic.MAC and f in ("fp16", "fp32", "fp64"):
        return (
            *((Recipe("fp16 matrix product", (("fp16_mmla", 1),), "fp16_mmla"),) if f == "fp16" else ()),
            Recipe("fused multiply-add", ((f"{f}_fma", 1),), f"{f}_fma"),
            Recipe("fused multiply-add, four operands", ((f"{f}_fma4", 1),), f"{f}_fma4"),
            Recipe("multiply-accumulate", ((f"{f}_mac", 1),), f"{f}_mac"),
            Recipe(_MUL_ADD, ((f"{f}_mul", 1), (f"{f}_add", 1)), f"{f}_mul"),
            Recipe("outer product", ((_OUTER[f], 1),), _OUTER[f]),
        )
    if arithmetic is Arithmetic.MAC and f in ("int8", "uint8"):
        return (
            Recipe("int8 dot product", (("int8_dot", 1),), "int8_dot"),
            Recipe("int8 matrix product", (("int8_mmla", 1),), "int8_mmla"),
            Recipe("product of int8 tiles", (("int8_tile_dot", 1),), "int8_tile_dot"),
            Recipe("outer product of four int8 each", (("int8_outer_dot", 1),), "int8_outer_dot"),
            Recipe(
                "byte products, widened twice",
                (("int8_maddubs", 1), ("int16_madd", 1), ("int32_add", 1)),
                "int8_maddubs",
                "byte products saturate at 16 bits",
            ),
            Recipe("widening multiply-accumulate", (("int8_wmacc", 1),), "int8_wmacc", "16-bit accumulators"),
            Recipe("long multiply-accumulate", (("int8_mlal", 1),), "int8_mlal", "16-bit accumulators"),
            Recipe("two products, dual 16-bit", (("int16_dot", 1),), "int16_dot", "bytes are widened first"),
            Recipe("multiply-accumulate", (("int32_mla", 1),), "int32_mla", "bytes are widened first"),
            Recipe(_MUL_ADD, (("int32_mul", 1), ("int32_add", 1)), "int32_mul", "bytes are widened first"),
        )
    if arithmetic is Arithmetic.MAC and f in ("int16", "int32"):
        return (
            Recipe("int16 dot product", (("int16_dot", 1),), "int16_dot")
            if f == "int16"
            else Recipe("multiply-accumulate", (("int32_mla", 1),), "int32_mla"),
            Recipe(_MUL_ADD, ((f"{f}_mul", 1), (f"{f}_add", 1)), f"{f}_mul"),
        )
    if arithmetic is Arithmetic.MAC and f == "bf16":
        return (
            Recipe("bf16 dot product", (("bf16_dot", 1),), "bf16_dot"),
            Recipe("bf16 matrix product", (("bf16_mmla", 1),), "bf16_mmla"),
            Recipe("product of bf16 tiles", (("bf16_tile_dot", 1),), "bf16_tile_dot"),
            Recipe("outer product of bf16 pairs", (("bf16_outer_dot", 1),), "bf16_outer_dot"),
        )
    if arithmetic is Arithmetic.ADDER and f in ("fp16", "fp32", "fp64"):
        return (
            Recipe("fused |a - b|, add", ((f"{f}_absdiff", 1), (f"{f}_add", 1)), f"{f}_absdiff"),
            Recipe("subtract, |.|, add", ((f"{f}_add", 2), (f"{f}_abs", 1)), f"{f}_add"),
            Recipe(
                "subtract, mask, add",
                ((f"{f}_add", 2), ("xor", 1)),
                f"{f}_add",
                _MASK,
                vectors_only=True,
            ),
            Recipe(
                "fused |a - b|, multiply-add by one",
                ((f"{f}_absdiff", 1), (f"{f}_fma", 1)),
                f"{f}_absdiff",
                _BY_ONE,
            ),
            Recipe(
                "subtract, |.|, multiply-add by one",
                ((f"{f}_add", 1), (f"{f}_abs", 1), (f"{f}_fma", 1)),
                f"{f}_add",
                _BY_ONE,
            ),
            Recipe(
                "subtract, mask, multiply-add by one",
                ((f"{f}_add", 1), ("xor", 1), (f"{f}_fma", 1)),
                f"{f}_add",
                f"{_MASK}; {_BY_ONE}",
                vectors_only=True,
            ),
        )
    if arithmetic is Arithmetic.ADDER and f in ("int8", "uint8"):
        note = SIGNED_BYTES if f == "int8" else ""
        return (
            Recipe("sum of absolute differences", (("uint8_sad", 1), ("int32_add", 1)), "uint8_sad", note),
            Recipe(
                "sum of absolute differences, accumulating", (("uint8_sad_acc", 1),), "uint8_sad_acc", note
            ),
            Recipe(
                "|a - b| accumulated long, low and high halves",
                (("uint8_absdiff_acc_long", 1), ("uint8_absdiff_acc_long_high", 1)),
                "2 x uint8_absdiff_acc_long",
                note,
            ),
            Recipe(
                "|a - b|, then pairs accumulated",
                (("uint8_absdiff", 1), ("uint8_pair_add_acc", 1)),
                "uint8_absdiff",
                note,
            ),
            Recipe(
                "maximum minus minimum, widening add",
                (("int8_max", 2), ("int8_add", 1), ("int8_wadd", 1)),
                "int8_max",
                "16-bit accumulators",
            ),
            Recipe(
                "subtract, |.|, add",
                (("int16_add", 2), ("int16_abs", 1)),
                "int16_abs",
                "bytes are widened first",
            ),
            Recipe(
                "subtract, maximum with the negative, add",
                (("int16_add", 3), ("int16_max", 1)),
                "int16_max",
                "bytes are widened first",
            ),
            Recipe(
                "subtract, negate by sign, add",
                (("int32_add", 3), ("shift_imm", 1), ("xor", 1)),
                "int32_add",
                "bytes are widened first",
            ),
        )
    if arithmetic is Arithmetic.SHIFT and f in ("int8", "uint8", "int16", "int32"):
        return (Recipe("shift, add", (("shift_var", 1), ("int32_add", 1)), "shift_var", "32-bit lanes"),)
    if arithmetic is Arithmetic.SHIFT and f == "fp32":
        return (
            Recipe(
                "add to the exponent, add",
                (("int32_add", 1), ("fp32_add", 1)),
                "fp32_add",
                _EXPONENT,
            ),
            Recipe(
                "add to the exponent, multiply-add by one",
                (("int32_add", 1), ("fp32_fma", 1)),
                "fp32_fma",
                f"{_EXPONENT}; {_BY_ONE}",
            ),
        )
    return ()


_XNOR = (
    Recipe(
        "exclusive or, popcount of 32-bit lanes, add",
        (("xor", 1), ("int32_popcount", 1), ("int32_add", 1)),
        "bits of int32_popcount",
    ),
    Recipe(
        "exclusive or, popcount of 64-bit words, add",
        (("xor", 1), ("int64_popcount", 1), ("int64_add", 1)),
        "bits of int64_popcount",
    ),
    Recipe(
        "exclusive or, popcount of bytes, pairs accumulated",
        (("xor", 1), ("int8_popcount", 1), ("uint8_pair_add_acc", 1)),
        "bits of int8_popcount",
    ),
    Recipe(
        "exclusive or, popcount of bytes by table look-up, sums of bytes",
        (("xor", 3), ("shift_imm", 1), ("shuffle", 2), ("int8_add", 1), ("uint8_sad", 1), ("int32_add", 1)),
        "bits of uint8_sad",
        "masking costs an exclusive or; bytes are summed each time",
    ),
    Recipe(
        "exclusive or, popcount by shifts, masks and a multiplication",
        (("xor", 5), ("shift_imm", 4), ("int64_add", 4), ("int64_mul", 1)),
        "bits of int64_mul",
        "no popcount instruction; masking costs an exclusive or",
    ),
    Recipe(
        "exclusive or, popcount by shifts, masks and a multiplication of 32 bits",
        (("xor", 5), ("shift_imm", 4), ("int32_add", 4), ("int32_mul", 1)),
        "bits of int32_mul",
        "no popcount instruction; masking costs an exclusive or",
    ),
)
