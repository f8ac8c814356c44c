"""Exclusive nor of signs, popcount (XNOR-Net)."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.arithmetics.definition import (
    ArithmeticDefinition,
    ElementPart,
    InnerLoop,
    Recipe,
    Steps,
    same,
)
from addercost.counts.work import Sites


def _per_site(sites: Sites) -> OpCounts:
    return OpCounts.of("bit", xnor=sites.count, popcount=sites.count)


def _exact(sites: Sites) -> OpCounts:
    """One comparison for each input to take its sign; K xnor and K popcounts for an output; then α·(2p - K) +
    bias.

    The latter is a doubling (shift) and a subtraction on integers, a multiplication, and the bias if there is
    one.
    """
    around = OpCounts.of("int32", shift=sites.outputs, add=sites.outputs) + OpCounts.of(
        sites.number_format,
        compare=sites.inputs,
        mul=sites.outputs if sites.scaled else 0,
        add=sites.biased,
    )
    return _per_site(sites) + around


_RECIPES = (
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


def recipes(number_format: str) -> tuple[Recipe, ...]:
    """Words of packed signs do not depend on the format of the activations."""
    return _RECIPES


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    return (OpClass.XNOR, "bit", 1), (OpClass.ADD, accumulator_format, 1)


DEFINITION = ArithmeticDefinition(
    Arithmetic.XNOR,
    "layers xnor signs and count bits (Rastegari et al., ECCV 2016)",
    _per_site,
    _exact,
    InnerLoop(OpClass.XNOR, Steps.EITHER, ((OpClass.POPCOUNT, 1, same),), own_layers=False),
    recipes,
    _element,
    weight_bits=1,
    convolution="addercost.binary_conv2d.default",
    linear="addercost.binary_linear.default",
)
