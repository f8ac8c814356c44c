"""Operators that compute each element of the output on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import ArgValue, OpCall, TensorSpec

_UNARY = {
    "Abs": "abs", "Neg": "neg", "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Reciprocal": "reciprocal",
    "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sign": "sign", "Sin": "sin", "Cos": "cos",
    "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh",
    "Tanh": "tanh", "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh", "Erf": "erf",
    "Sigmoid": "sigmoid", "Relu": "relu", "LeakyRelu": "leaky_relu", "HardSigmoid": "hardsigmoid",
    "HardSwish": "hardswish", "Softplus": "softplus", "Mish": "mish", "Celu": "celu",
    "ThresholdedRelu": "threshold", "Not": "logical_not", "IsNaN": "isnan", "IsInf": "isinf",
    "BitwiseNot": "bitwise_not",
}  # fmt: skip
_POINTWISE = ("asin", "acos", "sinh", "cosh", "asinh", "acosh", "atanh")
"""torch tags them as element-wise, and they have no rule of their own."""

_BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Mod": "remainder", "And": "logical_and",
    "Or": "logical_or", "Xor": "logical_xor", "Equal": "eq", "Greater": "gt", "Less": "lt",
    "GreaterOrEqual": "ge", "LessOrEqual": "le", "PRelu": "_prelu_kernel", "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor",
}  # fmt: skip
_JOINING = {"Max": "maximum", "Min": "minimum", "Sum": "add", "Mean": "add"}


@translates(*_UNARY)
def unary(node: OnnxNode) -> Iterator[OpCall]:
    name = _UNARY[node.op]
    tags = ("pointwise",) if name in _POINTWISE else ()
    yield node.call(f"aten.{name}.default", {"self": node.tensor(0)}, tags=tags)


@translates(*_BINARY)
def binary(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{_BINARY[node.op]}.Tensor", {"self": node.tensor(0), "other": node.tensor(1)})


@translates(*_JOINING)
def joining(node: OnnxNode) -> Iterator[OpCall]:
    """Several tensors, joined one after another. A mean then divides."""
    values = node.given()
    name = _JOINING[node.op]
    for value in values[1:]:
        yield node.call(f"aten.{name}.Tensor", {"self": node.output, "other": value.spec})
    if node.op == "Mean" and len(values) > 1:
        yield node.call("aten.div.Scalar", {"self": node.output, "other": len(values)})


@translates("Pow")
def power(node: OnnxNode) -> Iterator[OpCall]:
    exponent = _scalar(node, 1)
    yield node.call(
        "aten.pow.Tensor_Scalar",
        {"self": node.tensor(0), "exponent": node.tensor(1) if exponent is None else exponent},
    )


@translates("Clip")
def clip(node: OnnxNode) -> Iterator[OpCall]:
    bounds: dict[str, ArgValue] = {}
    for name, position in (("min", 1), ("max", 2)):
        given = node.optional_tensor(position) is not None or name in node.attributes
        bounds[name] = (_scalar(node, position) or node.attributes.get(name, 0.0)) if given else None
    yield node.call("aten.clamp.default", {"self": node.tensor(0), **bounds})


@translates("Elu", "Selu")
def elu(node: OnnxNode) -> Iterator[OpCall]:
    alpha = float(node.attributes.get("alpha", 1.6732632 if node.op == "Selu" else 1.0))
    scale = float(node.attributes.get("gamma", 1.0507010)) if node.op == "Selu" else 1.0
    yield node.call(
        "aten.elu.default", {"self": node.tensor(0), "alpha": alpha, "scale": scale, "input_scale": 1.0}
    )


@translates("Gelu")
def gelu(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call(
        "aten.gelu.default",
        {"self": node.tensor(0), "approximate": _text(node.attributes.get("approximate", "none"))},
    )


@translates("Swish")
def swish(node: OnnxNode) -> Iterator[OpCall]:
    """x·σ(α·x)."""
    if float(node.attributes.get("alpha", 1.0)) != 1.0:
        yield node.call("aten.mul.Scalar", {"self": node.tensor(0), "other": node.attributes["alpha"]})
    yield node.call("aten.silu.default", {"self": node.tensor(0)})


@translates("Softsign")
def softsign(node: OnnxNode) -> Iterator[OpCall]:
    """x / (1 + |x|), which torch computes with three operators."""
    x = node.tensor(0)
    yield node.call("aten.abs.default", {"self": x})
    yield node.call("aten.add.Scalar", {"self": x, "other": 1})
    yield node.call("aten.div.Tensor", {"self": x, "other": node.output})


@translates("Shrink")
def shrink(node: OnnxNode) -> Iterator[OpCall]:
    name = "softshrink" if node.attributes.get("bias", 0.0) else "hardshrink"
    yield node.call(f"aten.{name}.default", {"self": node.tensor(0)})


@translates("RotaryEmbedding")
def rotary(node: OnnxNode) -> Iterator[OpCall]:
    """x: [B, heads, L, D] or [B, L, heads·D]. Pairs of elements are rotated: each becomes a·cos ∓ b·sin."""
    x = node.tensor(0)
    turned = int(node.attributes.get("rotary_embedding_dim", 0))
    heads = int(node.attributes.get("num_heads", 0))
    size = x.shape[-1] // heads if len(x.shape) == 3 and heads else x.shape[-1]
    part = reshaped(x, (x.numel // max(size, 1), turned or size))
    for _ in range(2):
        yield node.call("aten.mul.Tensor", {"self": part, "other": part}, [part])
    yield node.call("aten.add.Tensor", {"self": part, "other": part}, [part])


@translates("BitShift")
def shift(node: OnnxNode) -> Iterator[OpCall]:
    direction = _text(node.attributes.get("direction", "LEFT")).lower()
    yield node.call(
        f"aten.bitwise_{direction}_shift.Tensor", {"self": node.tensor(0), "other": node.tensor(1)}
    )


@translates("Where")
def where(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call(
        "aten.where.self",
        {"condition": node.tensor(0), "self": node.tensor(1), "other": node.tensor(2)},
    )


@translates("Cast", "CastLike")
def cast(node: OnnxNode) -> Iterator[OpCall]:
    x: TensorSpec = node.tensor(0)
    if x.dtype != node.output.dtype:
        yield node.call("aten._to_copy.default", {"self": x, "dtype": node.output.dtype})


def _scalar(node: OnnxNode, position: int) -> float | int | None:
    """The value of an input that is a single known number."""
    value = node.optional(position)
    if value is None or value.data is None or value.data.size != 1:
        return None
    number: Any = value.data.reshape(-1)[0].item()
    return number if isinstance(number, int | float) else None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
