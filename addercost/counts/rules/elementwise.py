"""Element-wise operators: one formula, counted once per element of the output.

Each row is (formula, operations of one element). The tests evaluate every formula with numbers that count
their own operators, and compare its value with torch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from addercost.arithmetic import OpCounts
from addercost.counts.work import Work, rule
from addercost.trace.record import OpCall

Row = tuple[str, Mapping[str, int]]


def _row(formula: str, **counts: int) -> Row:
    return formula, MappingProxyType(counts)


ELEMENTWISE: Mapping[str, Row] = {
    # arithmetic
    "add": _row("a + b", add=1),
    "sub": _row("a - b", add=1),
    "rsub": _row("b - a", add=1),
    "mul": _row("a * b", mul=1),
    "div": _row("a / b", divide=1),
    "neg": _row("-a", add=1),
    "abs": _row("abs(a)", abs=1),
    "square": _row("a * a", mul=1),
    "reciprocal": _row("1 / a", divide=1),
    "sqrt": _row("sqrt(a)", sqrt=1),
    "rsqrt": _row("1 / sqrt(a)", sqrt=1, divide=1),
    "addcmul": _row("a + v * (b * c)", mul=2, add=1),
    "addcdiv": _row("a + v * (b / c)", mul=1, divide=1, add=1),
    "fmod": _row("fmod(a, b)", divide=1),
    "remainder": _row("remainder(a, b)", divide=1),
    "floor_divide": _row("a // b", divide=1),
    # choice and order
    "relu": _row("max(a, 0)", compare=1),
    "relu6": _row("min(max(a, 0), 6)", compare=2),
    "hardtanh": _row("min(max(a, lo), hi)", compare=2),
    "leaky_relu": _row("a * s if a > 0 else a", compare=1, mul=1),
    "_prelu_kernel": _row("a if a > 0 else a * b", compare=1, mul=1),
    "threshold": _row("a if a > lo else hi", compare=1),
    "maximum": _row("max(a, b)", compare=1),
    "minimum": _row("min(a, b)", compare=1),
    "fmax": _row("max(a, b)", compare=1),
    "fmin": _row("min(a, b)", compare=1),
    "clamp_min": _row("max(a, lo)", compare=1),
    "clamp_max": _row("min(a, hi)", compare=1),
    "eq": _row("a == b", compare=1),
    "ne": _row("a != b", compare=1),
    "lt": _row("a < b", compare=1),
    "le": _row("a <= b", compare=1),
    "gt": _row("a > b", compare=1),
    "ge": _row("a >= b", compare=1),
    "sign": _row("(a > 0) - (a < 0)", compare=2, add=1),
    "isnan": _row("a != a", compare=1),
    # exponentials and what is made of them
    "exp": _row("exp(a)", transcendental=1),
    "exp2": _row("exp2(a)", transcendental=1),
    "expm1": _row("expm1(a)", transcendental=1),
    "log": _row("log(a)", transcendental=1),
    "log2": _row("log2(a)", transcendental=1),
    "log10": _row("log10(a)", transcendental=1),
    "log1p": _row("log1p(a)", transcendental=1),
    "sin": _row("sin(a)", transcendental=1),
    "cos": _row("cos(a)", transcendental=1),
    "tan": _row("tan(a)", transcendental=1),
    "tanh": _row("tanh(a)", transcendental=1),
    "atan": _row("atan(a)", transcendental=1),
    "erf": _row("erf(a)", transcendental=1),
    "sigmoid": _row("1 / (1 + exp(-a))", add=2, transcendental=1, divide=1),
    "silu": _row("a / (1 + exp(-a))", add=2, transcendental=1, divide=1),
    "log_sigmoid_forward": _row("min(a, 0) - log1p(exp(-abs(a)))", compare=1, abs=1, add=2, transcendental=2),
    "softplus": _row("max(a, 0) + log1p(exp(-abs(a)))", compare=1, abs=1, add=2, transcendental=2),
    "mish": _row(
        "a * tanh(max(a, 0) + log1p(exp(-abs(a))))", compare=1, abs=1, add=2, transcendental=3, mul=1
    ),
    "elu": _row("a if a > 0 else expm1(a)", compare=1, transcendental=1),
    "hardsigmoid": _row("min(max(a + 3, 0), 6) * sixth", add=1, compare=2, mul=1),
    "hardswish": _row("a * min(max(a + 3, 0), 6) * sixth", add=1, compare=2, mul=2),
    # truth values and bits
    "logical_and": _row("a & b", logic=1),
    "logical_or": _row("a | b", logic=1),
    "logical_xor": _row("a ^ b", logic=1),
    "logical_not": _row("~a", logic=1),
    "bitwise_and": _row("a & b", logic=1),
    "bitwise_or": _row("a | b", logic=1),
    "bitwise_xor": _row("a ^ b", logic=1),
    "bitwise_not": _row("~a", logic=1),
    "bitwise_left_shift": _row("a << b", shift=1),
    "bitwise_right_shift": _row("a >> b", shift=1),
    "__lshift__": _row("a << b", shift=1),
    "__rshift__": _row("a >> b", shift=1),
    "__and__": _row("a & b", logic=1),
    "__or__": _row("a | b", logic=1),
    "__xor__": _row("a ^ b", logic=1),
}
"""Branches that torch computes on one side only (elu, leaky_relu) count their longer side."""

GELU: Mapping[str, Row] = {
    "none": _row("0.5 * a * (1 + erf(a * root_half))", mul=3, add=1, transcendental=1),
    "tanh": _row("0.5 * a * (1 + tanh(c * (a + 0.044715 * (a * a * a))))", mul=6, add=2, transcendental=1),
}
"""By the `approximate` argument."""


def per_element(call: OpCall, counts: Mapping[str, int]) -> Work:
    """`counts` for every element of the output, in the format the operands share."""
    out = call.output
    operands = [spec for spec in call.tensors() if spec.shape] or list(call.tensors())
    number_format = operands[0].number_format if operands else out.number_format
    return Work(other=OpCounts.of(number_format, **counts) * out.numel)


def _register(name: str, row: Row) -> None:
    scaled = {**row[1], "mul": row[1].get("mul", 0) + 1}

    @rule(f"aten.{name}", f"aten.{name}_")
    def count(call: OpCall) -> Work:
        # add, sub and rsub take a factor for their second operand.
        return per_element(call, scaled if call.args.get("alpha", 1) != 1 else row[1])


for _name, _entry in ELEMENTWISE.items():
    _register(_name, _entry)


@rule("aten.gelu", "aten.gelu_")
def gelu(call: OpCall) -> Work:
    return per_element(call, GELU[str(call.args.get("approximate", "none"))][1])


@rule("aten.pow", "aten.pow_")
def power(call: OpCall) -> Work:
    """a**2 and a**3 are products, a**0.5 a root, a**-1 a division; any other exponent is transcendental."""
    exponent = call.args.get("exponent")
    known: dict[object, dict[str, int]] = {
        0: {},
        1: {},
        2: {"mul": 1},
        3: {"mul": 2},
        0.5: {"sqrt": 1},
        -0.5: {"sqrt": 1, "divide": 1},
        -1: {"divide": 1},
        -2: {"mul": 1, "divide": 1},
    }
    counts = known.get(exponent) if isinstance(exponent, int | float) else None
    return per_element(call, {"transcendental": 1} if counts is None else counts)


@rule("aten.clamp", "aten.clamp_")
def clamp(call: OpCall) -> Work:
    """One compare for each bound that is given."""
    bounds = sum(call.args.get(name) is not None for name in ("min", "max"))
    return per_element(call, {"compare": bounds})


@rule("aten.lerp", "aten.lerp_")
def lerp(call: OpCall) -> Work:
    """a + w·(b - a)."""
    return per_element(call, {"mul": 1, "add": 2})
