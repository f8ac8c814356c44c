"""Element-wise operators: each has one formula, counted once for every element of the output.

Each row is (formula, operations of one element). The tests evaluate every formula with numbers that count
their own operations, and compare its value with torch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
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
    "true_divide": _row("a / b", divide=1),
    "conj_physical": _row("-a", add=1),
    "_conj_physical": _row("-a", add=1),
    "positive": _row("a"),
    "deg2rad": _row("a * factor", mul=1),
    "rad2deg": _row("a * factor", mul=1),
    "hypot": _row("sqrt(a * a + b * b)", mul=2, add=1, sqrt=1),
    # A rounding counts as one addition: adding and subtracting a large constant rounds.
    "floor": _row("floor(a)", add=1),
    "ceil": _row("ceil(a)", add=1),
    "trunc": _row("trunc(a)", add=1),
    "frac": _row("a - trunc(a)", add=2),
    "nextafter": _row("nextafter(a, b)", compare=1, add=1),
    # choice and order
    "relu": _row("max(a, 0)", compare=1),
    "relu6": _row("min(max(a, 0), 6)", compare=2),
    "hardtanh": _row("min(max(a, lo), hi)", compare=2),
    "leaky_relu": _row("a if a > 0 else a * s", compare=1, mul=1),
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
    "sgn": _row("(a > 0) - (a < 0)", compare=2, add=1),
    "signbit": _row("a < 0", compare=1),
    "heaviside": _row("b if a == 0 else (a > 0)", compare=2),
    "copysign": _row("abs(a) if b >= 0 else -abs(a)", compare=1, abs=1, add=1),
    "hardshrink": _row("a if abs(a) > lo else 0", compare=1, abs=1),
    "softshrink": _row("a - lo if a > lo else a + lo if a < -lo else 0", compare=2, add=1),
    "isnan": _row("a != a", compare=1),
    "isinf": _row("abs(a) == infinity", compare=1, abs=1),
    "isfinite": _row("abs(a) < infinity", compare=1, abs=1),
    "isposinf": _row("a == infinity", compare=1),
    "isneginf": _row("a == -infinity", compare=1),
    "angle": _row("0.0 if a >= 0 else pi", compare=1),
    "nan_to_num": _row("0 if a != a else hi if a == infinity else -hi if a == -infinity else a", compare=3),
    # exponentials and functions of them
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
    "log_sigmoid": _row("min(a, 0) - log1p(exp(-abs(a)))", compare=1, abs=1, add=2, transcendental=2),
    "softplus": _row("max(a, 0) + log1p(exp(-abs(a)))", compare=1, abs=1, add=2, transcendental=2),
    "mish": _row(
        "a * tanh(max(a, 0) + log1p(exp(-abs(a))))", compare=1, abs=1, add=2, transcendental=3, mul=1
    ),
    "atan2": _row("atan2(a, b)", transcendental=1),
    "ldexp": _row("a * exp2(b)", transcendental=1, mul=1),
    "logaddexp": _row("max(a, b) + log1p(exp(-abs(a - b)))", compare=1, abs=1, add=3, transcendental=2),
    "logaddexp2": _row("max(a, b) + log2(1 + exp2(-abs(a - b)))", compare=1, abs=1, add=4, transcendental=2),
    "logit": _row("log(a / (1 - a))", add=1, divide=1, transcendental=1),
    "sinc": _row("1.0 if a == 0 else sin(a * pi) / (a * pi)", compare=1, mul=2, divide=1, transcendental=1),
    "xlogy": _row("a * log(b)", mul=1, transcendental=1),
    "special_xlog1py": _row("a * log1p(b)", mul=1, transcendental=1),
    "special_entr": _row("-(a * log(a)) if a > 0 else 0", compare=1, mul=1, add=1, transcendental=1),
    "celu": _row("a if a > 0 else expm1(a / s) * s", compare=1, divide=1, mul=1, transcendental=1),
    "native_dropout_backward": _row("g * mask * s", mul=2),
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
    "__ilshift__": _row("a << b", shift=1),
    "__irshift__": _row("a >> b", shift=1),
    "__iand__": _row("a & b", logic=1),
    "__ior__": _row("a | b", logic=1),
    "__ixor__": _row("a ^ b", logic=1),
    # derivatives: g is the gradient of the output, and y is the output where the forward kept it
    "sigmoid_backward": _row("g * (1 - y) * y", mul=2, add=1),
    "tanh_backward": _row("g * (1 - y * y)", mul=2, add=1),
    "threshold_backward": _row("g if a > lo else 0", compare=1),
    "leaky_relu_backward": _row("g if a > 0 else g * s", compare=1, mul=1),
    "hardtanh_backward": _row("g if (a > lo) & (a < hi) else 0", compare=2, logic=1),
    "hardsigmoid_backward": _row("g * sixth if (a > -3) & (a < 3) else 0", compare=2, logic=1, mul=1),
    "hardswish_backward": _row(
        "0 if a < -3 else (g * (a * third + 0.5) if a <= 3 else g)", compare=2, mul=2, add=1
    ),
    "silu_backward": _row(
        "(lambda p: g * p * (1 + a * (1 - p)))(1 / (1 + exp(-a)))",
        mul=3,
        add=4,
        transcendental=1,
        divide=1,
    ),
    "logit_backward": _row("g / (a * (1 - a))", mul=1, add=1, divide=1),
}
"""By name. Of a formula with branches (elu, leaky_relu) torch computes one; the longer branch is counted."""

GELU: Mapping[str, Row] = {
    "none": _row("0.5 * a * (1 + erf(a * root_half))", mul=3, add=1, transcendental=1),
    "tanh": _row("0.5 * a * (1 + tanh(c * (a + 0.044715 * (a * a * a))))", mul=6, add=2, transcendental=1),
}
"""By the `approximate` argument."""

GELU_BACKWARD: Mapping[str, Row] = {
    "none": _row(
        "g * (0.5 * (1 + erf(a * root_half)) + a * (exp(-0.5 * a * a) * density))",
        mul=7, add=2, transcendental=2,
    ),
    "tanh": _row(
        "(lambda q: (lambda t, u: g * (0.5 * (1 + t) + 0.5 * a * (1 - t * t) * u))"
        "(tanh(c * (a + 0.044715 * (q * a))), c * (1 + 0.134145 * q)))(a * a)",
        mul=12, add=5, transcendental=1,
    ),
}  # fmt: skip
"""The derivative by the `approximate` argument: Φ(a) + a·φ(a), or that of the tanh form with a² computed
once.
"""


def per_element(call: OpCall, counts: Mapping[str, int]) -> OperatorWork:
    """The work of `counts` operations for every element of the output, in the format that the
    operands share.
    """
    operands = [spec for spec in call.tensors() if spec.shape] or list(call.tensors())
    number_format = operands[0].number_format if operands else call.output.number_format
    return OperatorWork(other=OpCounts.of(number_format, **counts) * call.output.numel)


def special_function(call: OpCall) -> OperatorWork:
    """The rule of operators that torch tags as element-wise and that have no row of their own: one
    transcendental for each element.
    """
    return per_element(call, {"transcendental": 1})


def _register(name: str, row: Row) -> None:
    scaled = {**row[1], "mul": 1} if name in ("add", "sub", "rsub") else row[1]

    @rule(f"aten.{name}", f"aten.{name}_", f"prims.{name}")
    def count(call: OpCall) -> OperatorWork:
        # `add`, `sub` and `rsub` multiply their second operand by alpha. In other operators alpha means
        # something else.
        return per_element(call, scaled if call.args.get("alpha", 1) != 1 else row[1])


for _name, _entry in ELEMENTWISE.items():
    _register(_name, _entry)


@rule("aten.gelu", "aten.gelu_")
def gelu(call: OpCall) -> OperatorWork:
    return per_element(call, GELU[str(call.args.get("approximate", "none"))][1])


@rule("aten.gelu_backward")
def gelu_backward(call: OpCall) -> OperatorWork:
    """g·(Φ(a) + a·φ(a)) with Φ(a) = (1 + erf(a/√2))/2 and φ(a) = exp(-a²/2)/√(2π); with `approximate="tanh"`,
    g times the derivative of that form."""
    return per_element(call, GELU_BACKWARD[str(call.args.get("approximate", "none"))][1])


@rule("aten.elu", "aten.elu_")
def elu(call: OpCall) -> OperatorWork:
    """a if a > 0 else (α·s)·expm1(t·a). α·s is computed once for all elements; a factor of 1 is not a
    multiplication.
    """
    scale, inner = call.args.get("scale", 1), call.args.get("input_scale", 1)
    outer = call.args.get("alpha", 1) != 1 or scale != 1
    return per_element(call, {"compare": 1, "transcendental": 1, "mul": outer + (inner != 1)})


@rule("aten.selu", "aten.selu_")
def selu(call: OpCall) -> OperatorWork:
    """`elu` with constant factors, for traces that have it whole."""
    return per_element(call, {"compare": 1, "transcendental": 1, "mul": 1})


@rule("aten.round", "aten.round_")
def rounded(call: OpCall) -> OperatorWork:
    """An addition; with decimals, also a multiplication by the power of ten before it and a division after
    it.
    """
    if call.args.get("decimals"):
        return per_element(call, {"mul": 1, "add": 1, "divide": 1})
    return per_element(call, {"add": 1})


@rule("aten.mvlgamma", "aten.mvlgamma_")
def multivariate_log_gamma(call: OpCall) -> OperatorWork:
    """constant + Σ_{j<p} lgamma(a - j/2)."""
    p = call.args["p"]
    assert isinstance(p, int)
    return per_element(call, {"transcendental": p, "add": 2 * p - 1})


@rule("aten.frexp")
def mantissa_and_exponent(call: OpCall) -> OperatorWork:
    """Two masks, and an addition that removes the exponent's bias."""
    return per_element(call, {"logic": 2, "add": 1})


@rule("aten.pow", "aten.pow_", "aten.float_power", "aten.float_power_", "prims.pow")
def power(call: OpCall) -> OperatorWork:
    """a**2 and a**3 are products, a**0.5 is a root, a**-1 is a division; any other exponent is
    transcendental.
    """
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


@rule("aten.clamp", "aten.clamp_", "aten.clip", "aten.clip_")
def clamp(call: OpCall) -> OperatorWork:
    """One comparison for each bound that is given."""
    bounds = sum(call.args.get(name) is not None for name in ("min", "max"))
    return per_element(call, {"compare": bounds})


@rule("aten.lerp", "aten.lerp_")
def lerp(call: OpCall) -> OperatorWork:
    """a + w·(b - a)."""
    return per_element(call, {"mul": 1, "add": 2})
