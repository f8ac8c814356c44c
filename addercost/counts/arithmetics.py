"""The operations of each arithmetic at a site: all of them, and those that the papers count."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.work import Sites

TERNARY = "ternary"
"""Tag of a layer whose weights are -1, 0 and 1; the dtype of those, of two bits each; and the format of the
operation that selects x, -x or 0 by one.
"""

ARITHMETIC_TAG = "arithmetic:"
"""Start of the tag that says in which arithmetic a layer is counted, whatever its operator."""

PER_SITE = {
    Arithmetic.MAC: (OpClass.MUL, OpClass.ADD),
    Arithmetic.ADDER: (OpClass.ADD, OpClass.ADD),
    Arithmetic.XNOR: (OpClass.XNOR, OpClass.POPCOUNT),
    Arithmetic.SHIFT: (OpClass.SHIFT, OpClass.ADD),
}
"""The two operations the literature counts at every site: combine, accumulate.

An adder site is a subtraction and an addition here. Its absolute value, which the papers leave out, is in
`exact_counts`. Source: Chen et al., CVPR 2020, tables 2 and 3 (#Mul, #Add, #XNOR).
"""


def site_counts(sites: Sites) -> OpCounts:
    """K combinations and K accumulations for an output with K taps, as the papers' tables count."""
    accumulate = PER_SITE[sites.arithmetic][1]
    return OpCounts.sum(
        (
            OpCounts.from_mapping({_combination(sites): sites.count}),
            OpCounts.from_mapping({(accumulate, _accumulate_format(sites)): sites.count}),
        )
    )


def exact_counts(sites: Sites) -> OpCounts:
    """All operations, bias and absolute values included. The first term of a sum takes no addition.

    MAC, SHIFT   K combinations, K-1 additions, one more for a bias.
    ADDER        bias - Σ|x - w|: K subtractions, K absolute values, K further additions. The first term
                 saves no addition: it is subtracted from the bias, or negated where there is no bias.
    XNOR         one comparison an input for its sign; K xnor and K popcounts; then α·(2p - K) + bias: a
                 doubling (shift) and a subtraction on integers, a multiplication, and the bias if any.
    """
    number_format, accumulator = sites.number_format, sites.accumulator_format
    first_terms = min(sites.outputs, sites.count)
    match sites.arithmetic:
        case Arithmetic.ADDER:
            extra = OpCounts.of(number_format, abs=sites.count)
            unbiased = 0 if sites.negated else first_terms
        case Arithmetic.XNOR:
            extra = OpCounts.of("int32", shift=sites.outputs, add=sites.outputs) + OpCounts.of(
                number_format,
                compare=sites.inputs,
                mul=sites.outputs if sites.scaled else 0,
                add=sites.biased,
            )
            unbiased = 0
        case Arithmetic.MAC | Arithmetic.SHIFT:
            extra = OpCounts.of(accumulator, add=sites.biased)
            unbiased = first_terms
    accumulate = PER_SITE[sites.arithmetic][1]
    return extra + OpCounts.sum(
        (
            OpCounts.from_mapping({_combination(sites): sites.count}),
            OpCounts.from_mapping({(accumulate, _accumulate_format(sites)): sites.count - unbiased}),
        )
    )


def _combination(sites: Sites) -> tuple[OpClass, str]:
    """How an input and a weight are combined: the class of the operation and its format."""
    if sites.ternary and sites.arithmetic is Arithmetic.MAC:
        return OpClass.LOGIC, TERNARY
    combine = PER_SITE[sites.arithmetic][0]
    return combine, "bit" if sites.arithmetic is Arithmetic.XNOR else sites.number_format


def _accumulate_format(sites: Sites) -> str:
    return "bit" if sites.arithmetic is Arithmetic.XNOR else sites.accumulator_format
