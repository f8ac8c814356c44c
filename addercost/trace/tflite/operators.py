"""TFLite's operators as calls of torch's operators that compute the same.

TFLite keeps channels last, but rules expect torch's order, so shapes are permuted. Products of integers are
those of quantised layers: their sums have 32 bits and are rescaled to the output's scale once. A function of
an 8-bit number, such as its sigmoid, is a look-up in a table of 256.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from addercost.errors import DataError
from addercost.trace.record import IN_REGISTERS, ArgValue, OpCall, TensorSpec
from addercost.trace.tflite.lstm import lstm, two_lstms
from addercost.trace.tflite.node import TfliteNode, channels_first, is_integer, of_rank, rescaled
from addercost.trace.tflite.rnn import rnn, two_rnns
from addercost.trace.tflite.svdf import svdf


def convolution(node: TfliteNode) -> Iterator[OpCall]:
    """x: [N, H, W, C], w: [K, R, S, C/G]; depthwise w: [1, R, S, K]; transposed w: [K, R, S, C]."""
    op = node.operator.op
    rank = 5 if op == "CONV_3D" else 4
    transposed = op == "TRANSPOSE_CONV"
    x = node.ranked(2 if transposed else 0, rank)
    w, out = node.ranked(1, rank), of_rank(node.output, rank, node)
    bias = node.optional(3 if transposed else 2)
    if op == "CONV_3D":
        # Its filters are [D, R, S, C, K].
        w = replace(w, shape=(w.shape[4], w.shape[3], *w.shape[:3]))
        groups = 1
    elif op == "DEPTHWISE_CONV_2D":
        groups = x.shape[-1]
        w = replace(w, shape=(w.shape[3], 1, *w.shape[1:3]))
    elif transposed:
        groups = 1
        w = replace(w, shape=(w.shape[3], w.shape[0], *w.shape[1:3]))
    else:
        groups = x.shape[-1] // w.shape[3] if w.shape[3] else 1
        w = channels_first(w)
    settings = node.operator.options
    sides = ("StrideD", "StrideH", "StrideW")[-(rank - 2) :]
    arguments: dict[str, ArgValue] = {
        "stride": tuple(max(settings.get(side, 1), 1) for side in sides),
        "padding": (0,) * (rank - 2),
        "dilation": (1,) * (rank - 2),
        "transposed": transposed,
        "output_padding": (0,) * (rank - 2),
        "groups": groups,
    }
    x, out = channels_first(x), channels_first(out)
    if is_integer(w) and not transposed and x.dtype != "int16":
        weights = (w,) if bias is None else (w, bias)
        dynamic = "" if is_integer(x) else "_dynamic"
        name = f"quantized.conv{rank - 2}d{dynamic}.new"
        given: dict[str, ArgValue] = {"qx": x, "packed_weight": weights, **arguments}
        yield from node.activated(lambda made: node.call(name, given, [made]), out)
        return
    given = {"input": x, "weight": w, "bias": bias, **arguments}
    yield from rescaled(node, "aten.convolution.default", given, x, out)


def fully_connected(node: TfliteNode) -> Iterator[OpCall]:
    """x: […, k], w: [m, k]. All axes before k are rows."""
    w, bias = node.ranked(1, 2), node.optional(2)
    k = w.shape[1]
    x, out = node.tensor(0), node.output
    x = replace(x, shape=(x.numel // k if k else 0, k))
    if is_integer(w) and x.dtype != "int16":
        weights = (w,) if bias is None else (w, bias)
        name = f"quantized.linear{'' if is_integer(x) else '_dynamic'}.default"
        yield from node.activated(lambda made: node.call(name, {"X": x, "W_prepack": weights}, [made]), out)
        return
    rows = replace(out, shape=(x.shape[0], w.shape[0]))
    given: dict[str, ArgValue] = {"input": x, "weight": w, "bias": bias}
    yield from rescaled(node, "aten.linear.default", given, x, rows)


def batch_matmul(node: TfliteNode) -> Iterator[OpCall]:
    a, b = node.tensor(0), node.tensor(1)
    if min(len(a.shape), len(b.shape)) < 2:
        raise DataError(f"the TFLite operator BATCH_MATMUL of {node.module!r} has a tensor without rows")
    turned = [
        replace(spec, shape=(*spec.shape[:-2], spec.shape[-1], spec.shape[-2]))
        if node.operator.options.get(name)
        else spec
        for spec, name in ((a, "AdjX"), (b, "AdjY"))
    ]
    given: dict[str, ArgValue] = {"self": turned[0], "other": turned[1]}
    yield from rescaled(node, "aten.matmul.default", given, a, node.output)


def pool(node: TfliteNode) -> Iterator[OpCall]:
    x, out = channels_first(node.ranked(0, 4)), channels_first(of_rank(node.output, 4, node))
    settings = node.operator.options
    name = "avg" if node.operator.op == "AVERAGE_POOL_2D" else "max"
    given: dict[str, ArgValue] = {
        "self": x,
        "kernel_size": (settings.get("FilterHeight", 1), settings.get("FilterWidth", 1)),
        "stride": (settings.get("StrideH", 1), settings.get("StrideW", 1)),
        "padding": (0, 0),
    }
    yield from node.activated(lambda made: node.call(f"aten.{name}_pool2d.default", given, [made]), out)


def resized(node: TfliteNode) -> Iterator[OpCall]:
    x, out = channels_first(node.ranked(0, 4)), channels_first(of_rank(node.output, 4, node))
    name = "bilinear2d" if node.operator.op == "RESIZE_BILINEAR" else "nearest2d"
    given: dict[str, ArgValue] = {"self": x, "output_size": out.shape[2:], "align_corners": False}
    yield node.call(f"aten.upsample_{name}.default", given, [out])


_JOINED = {
    "ADD": "add", "SUB": "sub", "MUL": "mul", "DIV": "div", "POW": "pow", "MAXIMUM": "maximum",
    "MINIMUM": "minimum", "FLOOR_MOD": "remainder", "ATAN2": "atan2", "EQUAL": "eq", "NOT_EQUAL": "ne",
    "GREATER": "gt", "GREATER_EQUAL": "ge", "LESS": "lt", "LESS_EQUAL": "le", "LOGICAL_AND": "logical_and",
    "LOGICAL_OR": "logical_or", "BITWISE_XOR": "bitwise_xor", "PRELU": "_prelu_kernel",
}  # fmt: skip
_RESCALED = {"ADD": "quantized.add", "SUB": "quantized.add", "MUL": "quantized.mul", "PRELU": "quantized.mul"}


def joined(node: TfliteNode) -> Iterator[OpCall]:
    a, b, out = node.tensor(0), node.tensor(1), node.output
    op = node.operator.op
    if is_integer(a) and op in _RESCALED:
        name, given = f"{_RESCALED[op]}.default", {"qa": a, "qb": b}
    else:
        name, given = f"aten.{_JOINED[op]}.Tensor", {"self": a, "other": b}
    yield from node.activated(lambda made: node.call(name, dict(given), [made]), out)


def squared_difference(node: TfliteNode) -> Iterator[OpCall]:
    out = node.output
    inner = replace(out, role=IN_REGISTERS)
    yield node.call("aten.sub.Tensor", {"self": node.tensor(0), "other": node.tensor(1)}, [inner])
    yield node.call("aten.mul.Tensor", {"self": inner, "other": inner})


def added(node: TfliteNode) -> Iterator[OpCall]:
    """ADD_N: terms are added one at a time."""
    for position in range(1, len(node.inputs)):
        yield node.call("aten.add.Tensor", {"self": node.output, "other": node.tensor(position)})


_EACH = {
    "RELU": "relu", "RELU6": "hardtanh", "RELU_N1_TO_1": "hardtanh", "RELU_0_TO_1": "hardtanh", "ABS": "abs",
    "NEG": "neg", "CEIL": "ceil", "FLOOR": "floor", "ROUND": "round", "SIGN": "sign",
    "LOGICAL_NOT": "logical_not", "LEAKY_RELU": "leaky_relu",
}  # fmt: skip
_FUNCTIONS = {
    "LOGISTIC": "sigmoid", "TANH": "tanh", "HARD_SWISH": "hardswish", "ELU": "elu", "GELU": "gelu",
    "EXP": "exp", "LOG": "log", "SQRT": "sqrt", "RSQRT": "rsqrt", "SIN": "sin", "COS": "cos",
}  # fmt: skip


def each(node: TfliteNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{_EACH[node.operator.op]}.default", {"self": node.tensor(0)})


def function(node: TfliteNode) -> Iterator[OpCall]:
    x = node.tensor(0)
    if x.dtype in ("int8", "uint8"):
        yield node.call("aten.take.default", {"self": TensorSpec((256,), x.dtype, "constant"), "index": x})
        return
    given: dict[str, ArgValue] = {"self": x}
    if node.operator.op == "GELU":
        given["approximate"] = "tanh" if node.operator.options.get("Approximate") else "none"
    yield node.call(f"aten.{_FUNCTIONS[node.operator.op]}.default", given)


def square(node: TfliteNode) -> Iterator[OpCall]:
    yield node.call("aten.mul.Tensor", {"self": node.tensor(0), "other": node.tensor(0)})


def softmax(node: TfliteNode) -> Iterator[OpCall]:
    name = "_softmax" if node.operator.op == "SOFTMAX" else "_log_softmax"
    yield node.call(f"aten.{name}.default", {"self": node.tensor(0), "dim": -1, "half_to_float": False})


_REDUCED = {
    "MEAN": "mean", "SUM": "sum", "REDUCE_PROD": "prod", "REDUCE_MAX": "amax", "REDUCE_MIN": "amin",
    "REDUCE_ANY": "any", "REDUCE_ALL": "all", "ARG_MAX": "argmax", "ARG_MIN": "argmin",
}  # fmt: skip


def reduced(node: TfliteNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{_REDUCED[node.operator.op]}.default", {"self": node.tensor(0)})


def running_sum(node: TfliteNode) -> Iterator[OpCall]:
    yield node.call("aten.cumsum.default", {"self": node.tensor(0), "dim": -1})


_CONVERTED = {"QUANTIZE": "quantize_per_tensor", "DEQUANTIZE": "dequantize", "CAST": "_to_copy"}


def converted(node: TfliteNode) -> Iterator[OpCall]:
    """Converting from half to single precision takes no arithmetic."""
    op, x = node.operator.op, node.tensor(0)
    name = "_to_copy" if op == "DEQUANTIZE" and not is_integer(x) else _CONVERTED[op]
    yield node.call(f"aten.{name}.default", {"self": x, "dtype": node.output.dtype})


VIEWS = {"RESHAPE": "view", "SQUEEZE": "squeeze", "EXPAND_DIMS": "unsqueeze", "BITCAST": "view"}
_MOVED = {
    "TRANSPOSE": "clone", "PAD": "constant_pad_nd", "PADV2": "constant_pad_nd",
    "MIRROR_PAD": "constant_pad_nd",
    "SPLIT": "clone", "SPLIT_V": "clone", "UNPACK": "clone", "SLICE": "clone", "STRIDED_SLICE": "clone",
    "TILE": "repeat", "BROADCAST_TO": "clone", "REVERSE_V2": "flip", "REVERSE_SEQUENCE": "flip",
    "SPACE_TO_DEPTH": "pixel_unshuffle", "DEPTH_TO_SPACE": "pixel_shuffle", "SPACE_TO_BATCH_ND": "clone",
    "BATCH_TO_SPACE_ND": "clone", "READ_VARIABLE": "clone", "DYNAMIC_UPDATE_SLICE": "clone",
}  # fmt: skip
_MADE = (
    "SHAPE", "RANK", "FILL", "RANGE", "ZEROS_LIKE", "VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE", "ONE_HOT",
)  # fmt: skip
_LOOKED_UP = ("GATHER", "GATHER_ND", "EMBEDDING_LOOKUP")


def view(node: TfliteNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{VIEWS[node.operator.op]}.default", {"self": node.tensor(0)}, tags=("view",))


def moved(node: TfliteNode) -> Iterator[OpCall]:
    first = 1 if node.operator.op == "SPLIT" else 0
    yield node.call(f"aten.{_MOVED[node.operator.op]}.default", {"self": node.tensor(first)})


def put_together(node: TfliteNode) -> Iterator[OpCall]:
    values = tuple(spec for spec in node.inputs if spec is not None)
    yield from node.activated(
        lambda made: node.call("aten.cat.default", {"tensors": values}, [made]), node.output
    )


def made(node: TfliteNode) -> Iterator[OpCall]:
    yield node.call("aten.full.default", {})


def looked_up(node: TfliteNode) -> Iterator[OpCall]:
    table, index = (1, 0) if node.operator.op == "EMBEDDING_LOOKUP" else (0, 1)
    given: dict[str, ArgValue] = {"self": node.tensor(table), "index": node.tensor(index)}
    yield node.call("aten.index_select.default", given)


def chosen(node: TfliteNode) -> Iterator[OpCall]:
    given: dict[str, ArgValue] = {
        "condition": node.tensor(0), "self": node.tensor(1), "other": node.tensor(2),
    }  # fmt: skip
    yield node.call("aten.where.self", given)


def normalized(node: TfliteNode) -> Iterator[OpCall]:
    """L2_NORMALIZATION: each vector along the last axis is divided by the root of its sum of squares."""
    x = node.tensor(0)
    vectors = replace(x, shape=(math.prod(x.shape[:-1]), 1), role=IN_REGISTERS)
    squares = replace(x, role=IN_REGISTERS)
    yield node.call("aten.mul.Tensor", {"self": x, "other": x}, [squares])
    yield node.call("aten.sum.dim_IntList", {"self": squares}, [vectors])
    yield node.call("aten.rsqrt.default", {"self": vectors}, [vectors])
    yield node.call("aten.mul.Tensor", {"self": x, "other": vectors})


TRANSLATORS: dict[str, Callable[[TfliteNode], Iterator[OpCall]]] = {
    **dict.fromkeys(("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"), convolution),
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    **dict.fromkeys(("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"), lstm),
    "BIDIRECTIONAL_SEQUENCE_LSTM": two_lstms,
    **dict.fromkeys(("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"), rnn),
    "BIDIRECTIONAL_SEQUENCE_RNN": two_rnns,
    "SVDF": svdf,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), pool),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), resized),
    **dict.fromkeys(_JOINED, joined),
    "SQUARED_DIFFERENCE": squared_difference,
    "ADD_N": added,
    **dict.fromkeys(_EACH, each),
    **dict.fromkeys(_FUNCTIONS, function),
    "SQUARE": square,
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), softmax),
    **dict.fromkeys(_REDUCED, reduced),
    "CUMSUM": running_sum,
    **dict.fromkeys(_CONVERTED, converted),
    **dict.fromkeys(VIEWS, view),
    **dict.fromkeys(_MOVED, moved),
    **dict.fromkeys(("CONCATENATION", "PACK"), put_together),
    **dict.fromkeys(_MADE, made),
    **dict.fromkeys(_LOOKED_UP, looked_up),
    **dict.fromkeys(("SELECT", "SELECT_V2"), chosen),
    "L2_NORMALIZATION": normalized,
}
