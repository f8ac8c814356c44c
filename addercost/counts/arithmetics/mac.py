"""Multiply and add: ordinary layers."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.counts.arithmetics.definition import (
    FLOATS,
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


def _per_site(sites: Sites) -> OpCounts:
    return combined(sites, OpClass.MUL, sites.count)


def _exact(sites: Sites) -> OpCounts:
    """K multiplications, K-1 additions, and one more for a bias."""
    return combined(sites, OpClass.MUL, later_terms(sites))


_MUL_ADD = "multiply, then add"
_OUTER = {"fp16": "fp16_outer_dot", "fp32": "fp32_outer", "fp64": "fp64_outer"}


def recipes(number_format: str) -> tuple[Recipe, ...]:
    f = number_format
    if f in FLOATS:
        return (
            *((Recipe("fp16 matrix product", (("fp16_mmla", 1),), "fp16_mmla"),) if f == "fp16" else ()),
            Recipe("fused multiply-add", ((f"{f}_fma", 1),), f"{f}_fma"),
            Recipe("fused multiply-add, four operands", ((f"{f}_fma4", 1),), f"{f}_fma4"),
            Recipe("multiply-accumulate", ((f"{f}_mac", 1),), f"{f}_mac"),
            Recipe(_MUL_ADD, ((f"{f}_mul", 1), (f"{f}_add", 1)), f"{f}_mul"),
            Recipe("outer product", ((_OUTER[f], 1),), _OUTER[f]),
        )
    if f in ("int8", "uint8"):
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
    if f in ("int16", "int32"):
        return (
            Recipe("int16 dot product", (("int16_dot", 1),), "int16_dot")
            if f == "int16"
            else Recipe("multiply-accumulate", (("int32_mla", 1),), "int32_mla"),
            Recipe(_MUL_ADD, ((f"{f}_mul", 1), (f"{f}_add", 1)), f"{f}_mul"),
        )
    if f == "bf16":
        return (
            Recipe("bf16 dot product", (("bf16_dot", 1),), "bf16_dot"),
            Recipe("bf16 matrix product", (("bf16_mmla", 1),), "bf16_mmla"),
            Recipe("product of bf16 tiles", (("bf16_tile_dot", 1),), "bf16_tile_dot"),
            Recipe("outer product of bf16 pairs", (("bf16_outer_dot", 1),), "bf16_outer_dot"),
        )
    return ()


def _element(number_format: str, accumulator_format: str) -> tuple[ElementPart, ...]:
    return (OpClass.MUL, number_format, 1), (OpClass.ADD, accumulator_format, 1)


DEFINITION = ArithmeticDefinition(
    Arithmetic.MAC,
    "layers multiply and add",
    _per_site,
    _exact,
    # Any summed products form such a loop, in layers of every arithmetic.
    InnerLoop(OpClass.MUL, Steps.PAIRS, ((OpClass.ADD, 1, sums),), own_layers=False),
    recipes,
    _element,
    convolution="aten.convolution.default",
)
