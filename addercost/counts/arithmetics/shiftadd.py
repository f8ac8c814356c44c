"""Weights as three binary matrices, scaled by powers of two: look up, shift, add (ShiftAddLLM)."""

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
    same,
)
from addercost.counts.work import Sites

BASES, INPUTS = 3, 8
"""Binary matrices whose scaled sum is the weights, and inputs of a table. A table has the 256 sums
±x1 … ±x8.
"""
_SCALED_TOGETHER = 128


def _per_site(sites: Sites) -> OpCounts:
    """A look-up, a shift by the scale, and an addition for each binary matrix and each eight inputs.

    Source: You et al., NeurIPS 2024 (arXiv:2406.05981), and the authors' energy script
    (GATECH-EIC/ShiftAddLLM, energy/shiftaddllm_energy.py). The script too charges a look-up and a shift for
    each matrix and eight inputs. It charges one addition for all matrices together, but adding them up takes
    one for each.
    """
    looked_up = BASES * groups(sites, INPUTS)
    return OpCounts.of(sites.number_format, lookup=looked_up, shift=looked_up, add=looked_up)


def _exact(sites: Sites) -> OpCounts:
    """The operations at sites without the first addition of each output, the bias, and the tables.

    A table of eight inputs takes 8 additions for its first entry (the negative of their sum), 8 doublings,
    and one addition for each of the other 255 entries, as in the authors' kernel.
    """
    looked_up = BASES * groups(sites, INPUTS)
    tables, _ = input_groups(sites, INPUTS)
    f = sites.number_format
    made = OpCounts.of(
        f, lookup=looked_up, shift=looked_up, add=looked_up - min(sites.outputs, looked_up) + sites.biased
    )
    return made + OpCounts.of(f, add=INPUTS + 2**INPUTS - 1, shift=INPUTS) * tables


def recipes(number_format: str) -> tuple[Recipe, ...]:
    """Entries are loaded one at a time, because the table is too large for registers."""
    f = number_format
    bits = {"fp32": "int32", "fp16": "int16"}.get(f)
    if bits is None:
        return ()
    assumption = "a look-up loads one number; a power of two is added to the exponent field"
    return (
        Recipe(
            "load an entry, add to the exponent, add",
            (("load", 1), (f"{bits}_add", 1), (f"{f}_add", 1)),
            "one of load",
            assumption,
        ),
    )


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    share = BASES / INPUTS
    return (
        (OpClass.LOOKUP, number_format, share),
        (OpClass.SHIFT, number_format, share),
        (OpClass.ADD, accumulator_format, share),
    )


DEFINITION = ArithmeticDefinition(
    Arithmetic.SHIFTADD,
    "layers look up sums of eight inputs by three binary matrices, shift and add (You et al., 2024)",
    _per_site,
    _exact,
    InnerLoop(OpClass.LOOKUP, Steps.OPERATIONS, ((OpClass.SHIFT, 1, same), (OpClass.ADD, 1, same))),
    recipes,
    _element,
    # Each matrix has a scale of 16 bits for 128 weights.
    weight_bits=BASES * (1 + 16 / _SCALED_TOGETHER),
)
