"""Weights of 4 bits by table look-up: a bit of four weights at once names a sum of their inputs (T-MAC)."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.arithmetics.definition import (
    ArithmeticDefinition,
    ElementPart,
    InnerLoop,
    Recipe,
    Steps,
    groups,
    input_groups,
)
from addercost.counts.work import Sites

BITS, INPUTS = 4, 4
"""Bits of a weight, and inputs whose sums are in one table."""
_ENTRIES = 2 ** (INPUTS - 1)
"""Half of the sums ±x1 ± x2 ± x3 ± x4: the others are the negatives of these."""
_SCALED_TOGETHER = 128


def _per_site(sites: Sites) -> OpCounts:
    """A look-up of a byte and an addition for every bit of a weight and four inputs: one of each a site.

    Source: Wei et al., EuroSys 2025 (T-MAC, arXiv:2407.00088): one-bit matrices, groups of 4.
    """
    looked_up = BITS * groups(sites, INPUTS)
    return OpCounts.of("int8", lookup=looked_up) + OpCounts.of("int16", add=looked_up)


def _exact(sites: Sites) -> OpCounts:
    """The look-ups and their additions, without the first of each sum and bit; a shift and an addition join a
    further bit. A table of four inputs is 3 additions for one entry and, with 3 doubled inputs, one more for
    each of the 7 others; it is rounded to int8 by its largest entry (|t|, comparison, product and rounding
    an entry; a division a table). Outputs take a product with their scale, the sum of their row of inputs, a
    sum of entries, times the weights' middle, and the bias if any.

    Source: as above: mirrored tables, tables of int8.
    """
    looked_up = BITS * groups(sites, INPUTS)
    sums = min(BITS * sites.outputs, looked_up)
    tables, rows = input_groups(sites, INPUTS)
    f = sites.number_format
    joins = max(sums - sites.outputs, 0)
    built = OpCounts.of(f, add=INPUTS - 1 + _ENTRIES - 1 + INPUTS - 1)
    rounded = OpCounts.of(f, abs=1, compare=1, mul=1, add=1) * _ENTRIES + OpCounts.of(f, divide=1)
    return OpCounts.sum(
        (
            OpCounts.of("int8", lookup=looked_up),
            OpCounts.of("int16", add=looked_up - sums),
            OpCounts.of("int32", shift=joins, add=joins),
            (built + rounded) * tables,
            OpCounts.of(f, add=tables - rows),
            OpCounts.of(f, mul=2 * sites.outputs, add=sites.outputs + sites.biased),
        )
    )


def recipes(number_format: str) -> tuple[Recipe, ...]:
    """Two shuffles look up the halves of the bytes of a vector of bits."""
    if number_format != "int8":
        return ()
    return (
        Recipe(
            "byte shuffles, summed in 16 bits",
            (("xor", 2), ("shift_imm", 3), ("shuffle", 2), ("int16_add", 4)),
            "2 x shuffle",
            "masking costs an exclusive or",
            vectors_only=True,
        ),
    )


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    share = BITS / INPUTS
    return (OpClass.LOOKUP, number_format, share), (OpClass.ADD, accumulator_format, share)


def _sums(number_format: str) -> tuple[str, ...]:
    return ("int16",)


DEFINITION = ArithmeticDefinition(
    Arithmetic.LUT,
    "layers look up sums of four inputs by the bits of 4-bit weights, and add (T-MAC, Wei et al., 2025)",
    _per_site,
    _exact,
    InnerLoop(OpClass.LOOKUP, Steps.OPERATIONS, ((OpClass.ADD, 1, _sums),)),
    recipes,
    _element,
    # A scale and a middle value of 16 bits each for 128 weights.
    weight_bits=BITS + 2 * 16 / _SCALED_TOGETHER,
)
