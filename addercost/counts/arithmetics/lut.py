"""Weights of 4 bits by table look-up: the same bit of four weights is an index into a table of sums of their
inputs (T-MAC).
"""

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
"""Bits of a weight, and inputs of a table."""
_ENTRIES = 2 ** (INPUTS - 1)
"""Entries of a table: half of the sums ±x1 ± x2 ± x3 ± x4. The other half are their negatives."""
_SCALED_TOGETHER = 128


def _per_site(sites: Sites) -> OpCounts:
    """A look-up of a byte and an addition for each bit of a weight and each four inputs. That is one of each
    for a site.

    Source: Wei et al., EuroSys 2025 (T-MAC, arXiv:2407.00088): one-bit matrices, groups of 4.
    """
    looked_up = BITS * groups(sites, INPUTS)
    return OpCounts.of("int8", lookup=looked_up) + OpCounts.of("int16", add=looked_up)


def _exact(sites: Sites) -> OpCounts:
    """All operations of look-ups, tables and outputs.

    Look-ups and their additions are as in the papers, except that the first term of each sum and bit takes no
    addition. Joining the sum of a further bit takes a shift and an addition. A table of four inputs takes 3
    additions for one entry, 3 doublings of inputs, and one addition for each of the 7 other entries. It is
    rounded to int8 by its largest entry: |t|, a comparison, a product and a rounding for each entry, and a
    division for the table. An output takes a product with its scale; the sum of its row of inputs, which is a
    sum of entries, times the middle value of the weights; and the bias if there is one.

    Source: as for the sites: mirrored tables, tables of int8.
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
    """Two shuffles of bytes look up both halves of each byte in a vector of weight bits."""
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
    # Each 128 weights share a scale and a middle value of 16 bits each.
    weight_bits=BITS + 2 * 16 / _SCALED_TOGETHER,
)
