"""L-Mul: the product of two floats, approximated by adding their bits and an offset."""

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
)
from addercost.counts.work import Sites

_BITS = {
    "fp64": "int64",
    "fp32": "int32",
    "fp16": "int16",
    "bf16": "int16",
    **dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"), "int8"),
}
"""The integer types by float type: sign, exponent and mantissa are added as one such integer."""


def _bits_of(number_format: str) -> tuple[str, ...]:
    found = _BITS.get(number_format)
    return (found,) if found else ()


def _per_site(sites: Sites) -> OpCounts:
    """One integer addition as wide as the operands in place of a multiplication, and the addition of the sum.

    (1 + x_m)·2^x_e times (1 + y_m)·2^y_e becomes (1 + x_m + y_m + 2^-l)·2^(x_e + y_e), which is the sum of
    both numbers' bits and a constant. Integer operands are multiplied as before. The sums stay in floating
    point. Source: Luo and Sun, arXiv:2410.00907 (0.1 pJ in place of 3.7 pJ in fp32).
    """
    return _with_integers(sites, 1, sites.count)


def _exact(sites: Sites) -> OpCounts:
    """K additions of bits, K of the offset, K-1 of the sum, and one more for a bias."""
    return _with_integers(sites, 2, later_terms(sites))


def _with_integers(sites: Sites, additions: int, accumulations: int) -> OpCounts:
    bits = _BITS.get(sites.number_format)
    if bits is None:
        return combined(sites, OpClass.MUL, accumulations)
    return OpCounts.of(bits, add=additions * sites.count) + OpCounts.of(
        sites.accumulator_format, add=accumulations
    )


def recipes(number_format: str) -> tuple[Recipe, ...]:
    f, bits = number_format, _BITS.get(number_format)
    if bits is None or f not in ("fp16", "bf16", "fp32", "fp64"):
        return ()
    offset = "the offset is in the weights already; zero and overflow are not looked at"
    return (
        Recipe("add the bits, add", ((f"{bits}_add", 1), (f"{f}_add", 1)), f"{f}_add", offset),
        Recipe(
            "add the bits, multiply-add by one",
            ((f"{bits}_add", 1), (f"{f}_fma", 1)),
            f"{f}_fma",
            f"{offset}; {BY_ONE}",
        ),
    )


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    """Empty for integers, which have no exponents to add."""
    bits = _BITS.get(number_format)
    return ((OpClass.ADD, bits, 1), (OpClass.ADD, accumulator_format, 1)) if bits else ()


def _floats_first(number_format: str) -> int:
    return 0 if number_format in _BITS else 1


DEFINITION = ArithmeticDefinition(
    Arithmetic.LMUL,
    "layers and attention add the bits of floats in place of a product (L-Mul, Luo and Sun, 2024)",
    _per_site,
    _exact,
    InnerLoop(OpClass.ADD, Steps.SITES, ((OpClass.ADD, 2, _bits_of),), order=_floats_first),
    recipes,
    _element,
    of_activations=True,
)
