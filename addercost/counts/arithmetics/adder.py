"""Subtract, take the absolute value, add: -Σ|x - w| (AdderNet)."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.arithmetics.definition import (
    BY_ONE,
    FLOATS,
    MASK,
    ArithmeticDefinition,
    ElementPart,
    InnerLoop,
    Recipe,
    Steps,
    combined,
    first_terms,
    sums,
)
from addercost.counts.work import Sites

MAXIMA = "|a - b| is 2 max(a, b) - a - b, and the sums of a and of b alone are left out"
"""Those sums are the same for all filters and for all places, so a layer of many filters and places computes
few of them."""
SIGNED_BYTES = "signed bytes are offset by 128 first, which leaves differences unchanged"


def _per_site(sites: Sites) -> OpCounts:
    """A subtraction and an addition at each site. The papers leave out the absolute value.

    Source: Chen et al., CVPR 2020, tables 2 and 3 (#Mul, #Add, #XNOR).
    """
    return combined(sites, OpClass.ADD, sites.count)


def _exact(sites: Sites) -> OpCounts:
    """bias - Σ|x - w|: K subtractions, K absolute values and K further additions for an output.

    The first term is not free: it is subtracted from the bias, or negated where there is no bias.
    """
    saved = 0 if sites.negated else first_terms(sites)
    absolute = OpCounts.of(sites.number_format, abs=sites.count)
    return combined(sites, OpClass.ADD, sites.count - saved) + absolute


def recipes(number_format: str) -> tuple[Recipe, ...]:
    f = number_format
    if f in FLOATS:
        # In half precision the three sums would cancel too much of the result.
        by_maxima = (
            Recipe("maximum, add", ((f"{f}_max", 1), (f"{f}_add", 1)), f"{f}_max", MAXIMA),
            Recipe(
                "maximum, multiply-add by one",
                ((f"{f}_max", 1), (f"{f}_fma", 1)),
                f"{f}_max",
                f"{MAXIMA}; {BY_ONE}",
            ),
        )
        return (
            Recipe("fused |a - b|, add", ((f"{f}_absdiff", 1), (f"{f}_add", 1)), f"{f}_absdiff"),
            Recipe("subtract, |.|, add", ((f"{f}_add", 2), (f"{f}_abs", 1)), f"{f}_add"),
            Recipe(
                "subtract, mask, add",
                ((f"{f}_add", 2), ("xor", 1)),
                f"{f}_add",
                MASK,
                vectors_only=True,
            ),
            Recipe(
                "fused |a - b|, multiply-add by one",
                ((f"{f}_absdiff", 1), (f"{f}_fma", 1)),
                f"{f}_absdiff",
                BY_ONE,
            ),
            Recipe(
                "subtract, |.|, multiply-add by one",
                ((f"{f}_add", 1), (f"{f}_abs", 1), (f"{f}_fma", 1)),
                f"{f}_add",
                BY_ONE,
            ),
            Recipe(
                "subtract, mask, multiply-add by one",
                ((f"{f}_add", 1), ("xor", 1), (f"{f}_fma", 1)),
                f"{f}_add",
                f"{MASK}; {BY_ONE}",
                vectors_only=True,
            ),
            *(by_maxima if f in ("fp32", "fp64") else ()),
        )
    if f in ("int8", "uint8"):
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
    return ()


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    """The element has no part for the absolute value, which only masks a bit. The papers leave it out too."""
    return (OpClass.ADD, number_format, 1), (OpClass.ADD, accumulator_format, 1)


DEFINITION = ArithmeticDefinition(
    Arithmetic.ADDER,
    "layers subtract, take the absolute value and add (Chen et al., CVPR 2020)",
    _per_site,
    _exact,
    InnerLoop(OpClass.ADD, Steps.SITES, ((OpClass.ADD, 1, sums), (OpClass.ABS, 1, sums))),
    recipes,
    _element,
    convolution="addercost.adder_conv2d.default",
    linear="addercost.adder_linear.default",
)
