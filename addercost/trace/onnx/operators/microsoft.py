"""Operators of ONNX Runtime, domain com.microsoft. Its optimiser fuses several standard operators into one of
these.
"""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.normalization import layer_norm_call
from addercost.trace.onnx.operators.products import by_head, convolution_arguments, product
from addercost.trace.onnx.operators.quantized import convolution_call, linear_call
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import OpCall, TensorSpec

DOMAIN = "com.microsoft"


@translates("FusedMatMul", domain=DOMAIN)
def fused_matmul(node: OnnxNode) -> Iterator[OpCall]:
    a, b = node.tensor(0), node.tensor(1)
    if node.attributes.get("transA"):
        a = reshaped(a, (*a.shape[:-2], a.shape[-1], a.shape[-2]))
    if node.attributes.get("transB"):
        b = reshaped(b, (*b.shape[:-2], b.shape[-1], b.shape[-2]))
    yield from product(node, a, b)
    if float(node.attributes.get("alpha", 1.0)) != 1.0:
        yield node.call("aten.mul.Scalar", {"self": node.output, "other": node.attributes["alpha"]})


@translates("FusedConv", domain=DOMAIN)
def fused_convolution(node: OnnxNode) -> Iterator[OpCall]:
    """A convolution; then input 3 is added; then an activation."""
    weight = node.tensor(1)
    yield node.call(
        "aten.convolution.default",
        {
            "input": node.tensor(0),
            "weight": weight,
            "bias": node.optional_tensor(2),
            **convolution_arguments(node, weight),
        },
    )
    added = node.optional_tensor(3)
    if added is not None:
        yield node.call("aten.add.Tensor", {"self": node.output, "other": added})
    activation = str(node.attributes.get("activation", ""))
    names = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "LeakyRelu": "leaky_relu",
             "HardSigmoid": "hardsigmoid", "HardSwish": "hardswish", "Clip": "relu6"}  # fmt: skip
    if activation in names:
        yield node.call(f"aten.{names[activation]}.default", {"self": node.output})
    elif activation:
        yield node.uncounted()


@translates("Gelu", "FastGelu", "BiasGelu", "QuickGelu", domain=DOMAIN)
def gelu(node: OnnxNode) -> Iterator[OpCall]:
    x, bias = node.tensor(0), node.optional_tensor(1)
    if bias is not None:
        yield node.call("aten.add.Tensor", {"self": x, "other": bias})
    if node.op == "QuickGelu":
        yield node.call("aten.mul.Scalar", {"self": x, "other": node.attributes.get("alpha", 1.702)})
        yield node.call("aten.silu.default", {"self": x})
        return
    yield node.call(
        "aten.gelu.default", {"self": x, "approximate": "tanh" if node.op == "FastGelu" else "none"}
    )


@translates(
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "SimplifiedLayerNormalization",
    domain=DOMAIN,
)
def skip_layer_norm(node: OnnxNode) -> Iterator[OpCall]:
    """x + skip (+ bias), then normalised."""
    x = node.tensor(0)
    if node.op == "SimplifiedLayerNormalization":
        yield layer_norm_call(node, x, node.optional_tensor(1), None)
        return
    simplified = node.op == "SkipSimplifiedLayerNormalization"
    yield node.call("aten.add.Tensor", {"self": x, "other": node.tensor(1)}, [node.output])
    bias = node.optional_tensor(3 if simplified else 4)
    if bias is not None:
        yield node.call("aten.add.Tensor", {"self": x, "other": bias}, [node.output])
    yield layer_norm_call(node, x, node.optional_tensor(2), None if simplified else node.optional_tensor(3))


@translates("MultiHeadAttention", "GroupQueryAttention", domain=DOMAIN)
def multi_head_attention(node: OnnxNode) -> Iterator[OpCall]:
    """q, k, v: [B, length, heads·size]. Inputs 6 and 7 are earlier keys and values (inputs 3 and 4 in the
    grouped form).
    """
    heads = int(node.attributes["num_heads"])
    shared = int(node.attributes.get("kv_num_heads", heads))
    k, v = node.optional_tensor(1), node.optional_tensor(2)
    if k is None or v is None or len(k.shape) != 3:
        # In packed forms, shapes do not determine which part is q, k or v.
        yield node.uncounted()
        return
    q, k, v = by_head(node.tensor(0), heads), by_head(k, shared), by_head(v, shared)
    before = node.optional_tensor(3 if node.op == "GroupQueryAttention" else 6)
    if before is not None:
        k, v = (reshaped(x, (*x.shape[:2], x.shape[2] + before.shape[2], x.shape[3])) for x in (k, v))
    yield node.call(
        "aten.scaled_dot_product_attention.default",
        {
            "query": q,
            "key": k,
            "value": v,
            "attn_mask": node.optional_tensor(5) if node.op == "MultiHeadAttention" else None,
            "dropout_p": 0.0,
            "is_causal": node.op == "GroupQueryAttention" or bool(node.attributes.get("unidirectional")),
            "enable_gqa": heads != shared,
        },
        [reshaped(q, (*q.shape[:-1], v.shape[-1]))],
    )


@translates("QLinearAdd", "QLinearMul", domain=DOMAIN)
def quantized_elementwise(node: OnnxNode) -> Iterator[OpCall]:
    """a, its scale and zero; b, its scale and zero."""
    name = "add" if node.op == "QLinearAdd" else "mul"
    yield node.call(f"quantized.{name}.default", {"qa": node.tensor(0), "qb": node.tensor(3)})


@translates("QGemm", domain=DOMAIN)
def quantized_gemm(node: OnnxNode) -> Iterator[OpCall]:
    a, b = node.tensor(0), node.tensor(3)
    if node.attributes.get("transB"):
        b = reshaped(b, b.shape[::-1])
    yield linear_call(node, a, b, node.optional_tensor(6), node.output)


@translates("QLinearConv", domain=DOMAIN)
def quantized_convolution(node: OnnxNode) -> Iterator[OpCall]:
    yield convolution_call(node, node.tensor(0), node.tensor(3), node.optional_tensor(8), node.output)


@translates("DequantizeLinear", domain=DOMAIN)
def dequantize(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.dequantize.self", {"self": node.tensor(0)})


@translates("QuantizeLinear", domain=DOMAIN)
def quantize(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.quantize_per_tensor.default", {"self": node.tensor(0)})


@translates("MatMulNBits", domain=DOMAIN)
def matmul_of_few_bits(node: OnnxNode) -> Iterator[OpCall]:
    """x: […, k] in floating point. The weights are unpacked to x's format, with a scale and a zero point
    each.
    """
    x, k, m = node.tensor(0), int(node.attributes["K"]), int(node.attributes["N"])
    bits = int(node.attributes.get("bits", 4))
    weight = TensorSpec((k, m), f"uint{bits}", node.tensor(1).role, node.tensor(1).name)
    unpacked = TensorSpec((k, m), x.dtype, "derived", weight.name)
    yield node.call("aten.dequantize.self", {"self": weight}, [unpacked])
    yield node.call("aten.mm.default", {"self": reshaped(x, (x.numel // max(k, 1), k)), "mat2": unpacked})
