"""Weights -1, 0 and 1: a site adds its input, subtracts it, or does nothing (BitNet b1.58)."""

from __future__ import annotations

from dataclasses import replace

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.arithmetics.definition import (
    FLOATS,
    MASK,
    ArithmeticDefinition,
    ElementPart,
    InnerLoop,
    Recipe,
    Steps,
    first_terms,
    input_groups,
)
from addercost.counts.arithmetics.mac import recipes as multiply_adds
from addercost.counts.work import Sites

TERNARY = "ternary"
"""A name with three uses. It tags a layer whose weights are -1, 0 and 1 already, so that its inputs stay as
they are. It is the dtype of such weights, of two bits each. And it is the format of the operation that
selects x, -x or 0 by a weight.
"""


def _rounds(sites: Sites) -> bool:
    return bool(sites.inputs) and not sites.number_format.startswith(("int", "uint"))


def _accumulator(sites: Sites) -> str:
    return "int32" if _rounds(sites) else sites.accumulator_format


def _per_site(sites: Sites) -> OpCounts:
    """One addition at each site. The papers charge nothing for the choice between x, -x and 0.

    Source: Ma et al., arXiv:2402.17764 (BitNet b1.58). The paper charges additions of 8 bits. Sums of more
    than a few terms need more bits, so this counts additions of 32 bits.
    """
    return OpCounts.of(_accumulator(sites), add=sites.count)


def _exact(sites: Sites) -> OpCounts:
    """K selections and K-1 additions for an output, and the rounding of floating-point inputs.

    Such inputs are rounded to int8 by the largest |x| of each row of K. An input takes |x|, a comparison, a
    product and a rounding (an addition), and a row takes a division. An output then takes one product with
    the scales, and the bias if there is one. A weight of zero is added like the others.

    Source: Ma et al., arXiv:2402.17764 (absmean weights, absmax activations of 8 bits for each token).
    """
    made = OpCounts.of(TERNARY, logic=sites.count)
    made += OpCounts.of(_accumulator(sites), add=sites.count - first_terms(sites))
    if not _rounds(sites):
        return made + OpCounts.of(sites.accumulator_format, add=sites.biased)
    _, n_rows = input_groups(sites, 1)
    each = OpCounts.of(sites.number_format, abs=1, compare=1, mul=1, add=1) * sites.inputs
    rows = OpCounts.of(sites.number_format, divide=n_rows)
    outputs = OpCounts.of(sites.number_format, mul=sites.outputs, add=sites.biased)
    return made + each + rows + outputs


def recipes(number_format: str) -> tuple[Recipe, ...]:
    """Multiply-adds with weights that were widened first; for floats also additions under masks."""
    f = number_format
    widened = tuple(
        replace(recipe, assumption="; ".join(filter(None, ("weights are widened first", recipe.assumption))))
        for recipe in multiply_adds(f)
    )
    if f not in FLOATS:
        return widened
    masked = Recipe(
        "mask, flip the sign, add",
        (("xor", 2), (f"{f}_add", 1)),
        f"{f}_add",
        f"weights are masks of zeros and signs; {MASK.replace('|.|', 'masking')}",
        vectors_only=True,
    )
    return (*widened, masked)


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    return (OpClass.LOGIC, number_format, 1), (OpClass.ADD, accumulator_format, 1)


def _selections(number_format: str) -> tuple[str, ...]:
    return (TERNARY,)


def _integers_first(number_format: str) -> int:
    """Integers come first: the sums of rounded inputs are integers, and a layer's other additions are in
    floating point.
    """
    return 0 if number_format.startswith(("int", "uint")) else 1


def _operands(number_format: str) -> str:
    """The operands are bytes if the sums are int32, because inputs were then rounded to int8."""
    return "int8" if number_format == "int32" else number_format


DEFINITION = ArithmeticDefinition(
    Arithmetic.TERNARY,
    "layers add, subtract or leave out inputs of 8 bits by weights -1, 0 and 1 (Ma et al., 2024)",
    _per_site,
    _exact,
    InnerLoop(
        OpClass.ADD,
        Steps.SITES,
        ((OpClass.LOGIC, 1, _selections),),
        order=_integers_first,
        operands=_operands,
    ),
    recipes,
    _element,
    weight_bits=2,
    linear="addercost.ternary_linear.default",
    runs_as=Arithmetic.MAC,
)
