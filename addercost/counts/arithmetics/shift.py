"""Shift by a power-of-two weight, add (DeepShift)."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.arithmetics.definition import (
    BY_ONE,
    ArithmeticDefinition,
    ElementPart,
    InnerLoop,
    Recipe,
    Steps,
    combined,
    later_terms,
    sums,
)
from addercost.counts.work import Sites

_EXPONENT = "a power of two is added to the exponent field"


def _per_site(sites: Sites) -> OpCounts:
    return combined(sites, OpClass.SHIFT, sites.count)


def _exact(sites: Sites) -> OpCounts:
    """K shifts, K-1 additions, and one more for a bias."""
    return combined(sites, OpClass.SHIFT, later_terms(sites))


def recipes(number_format: str) -> tuple[Recipe, ...]:
    f = number_format
    if f in ("int8", "uint8", "int16", "int32"):
        return (Recipe("shift, add", (("shift_var", 1), ("int32_add", 1)), "shift_var", "32-bit lanes"),)
    if f == "fp32":
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
                f"{_EXPONENT}; {BY_ONE}",
            ),
        )
    return ()


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    return (OpClass.SHIFT, number_format, 1), (OpClass.ADD, accumulator_format, 1)


DEFINITION = ArithmeticDefinition(
    Arithmetic.SHIFT,
    "layers shift and add (Elhoushi et al., CVPRW 2021)",
    _per_site,
    _exact,
    InnerLoop(OpClass.SHIFT, Steps.OPERATIONS, ((OpClass.ADD, 1, sums),)),
    recipes,
    _element,
    # A weight is zero, or a sign and one of 31 exponents: 63 values.
    weight_bits=6,
    convolution="addercost.shift_conv2d.default",
    linear="addercost.shift_linear.default",
)
