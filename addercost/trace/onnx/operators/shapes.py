"""Output shapes that ONNX's own inference does not know: those of ONNX Runtime's operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.products import convolution_arguments
from addercost.trace.record import TensorSpec

_DOMAIN = "com.microsoft"


def _like_input(node: OnnxNode) -> tuple[TensorSpec, ...]:
    return (node.tensor(0),)


def _matmul(node: OnnxNode) -> tuple[TensorSpec, ...]:
    a, b = node.tensor(0), node.tensor(1)
    rows = a.shape[-1] if node.attributes.get("transA") else a.shape[-2]
    columns = b.shape[-2] if node.attributes.get("transB") else b.shape[-1]
    longer = max(a.shape[:-2], b.shape[:-2], key=len)
    return (reshaped(a, (*longer, rows, columns)),)


def _convolution(node: OnnxNode) -> tuple[TensorSpec, ...]:
    """⌊(H + padding - dilation·(R - 1) - 1) / stride⌋ + 1 along each axis."""
    x, w = node.tensor(0), node.tensor(3 if node.op == "QLinearConv" else 1)
    arguments = convolution_arguments(node, w)
    axes = len(w.shape) - 2
    pads = node.integers("pads") or (0,) * (2 * axes)
    stride, dilation = arguments["stride"], arguments["dilation"]
    assert isinstance(stride, tuple) and isinstance(dilation, tuple)
    sizes = []
    for i, (size, taps) in enumerate(zip(x.shape[2:], w.shape[2:], strict=True)):
        step, spread = stride[i], dilation[i]
        assert isinstance(step, int) and isinstance(spread, int)
        sizes.append((size + pads[i] + pads[axes + i] - spread * (taps - 1) - 1) // step + 1)
    return (reshaped(x, (x.shape[0], w.shape[0], *sizes)),)


def _broadcast(node: OnnxNode) -> tuple[TensorSpec, ...]:
    a, b = node.tensor(0), node.tensor(3)
    return (a if a.numel >= b.numel else replace(b, dtype=a.dtype),)


def _attention(node: OnnxNode) -> tuple[TensorSpec, ...]:
    q, v = node.tensor(0), node.optional_tensor(2)
    return (
        q if v is None or node.op == "GroupQueryAttention" else reshaped(q, (*q.shape[:-1], v.shape[-1])),
    )


def _dequantized(node: OnnxNode) -> tuple[TensorSpec, ...]:
    return (replace(node.tensor(0), dtype=node.tensor(1).dtype),)


def _quantized(node: OnnxNode) -> tuple[TensorSpec, ...]:
    zero = node.optional_tensor(2)
    return (replace(node.tensor(0), dtype=zero.dtype if zero else "uint8"),)


def _gemm(node: OnnxNode) -> tuple[TensorSpec, ...]:
    a, b = node.tensor(0), node.tensor(3)
    columns = b.shape[0] if node.attributes.get("transB") else b.shape[1]
    zero = node.optional_tensor(8)
    return (replace(a, shape=(a.shape[0], columns), dtype=zero.dtype if zero else "float32"),)


def _few_bits(node: OnnxNode) -> tuple[TensorSpec, ...]:
    x = node.tensor(0)
    return (reshaped(x, (*x.shape[:-1], int(node.attributes["N"]))),)


OUTPUT_TYPES: dict[tuple[str, str], Callable[[OnnxNode], tuple[TensorSpec, ...]]] = {
    **{
        (_DOMAIN, op): _like_input
        for op in (
            "Gelu", "FastGelu", "BiasGelu", "QuickGelu", "SkipLayerNormalization",
            "SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization",
        )
    },
    (_DOMAIN, "FusedMatMul"): _matmul,
    (_DOMAIN, "FusedConv"): _convolution,
    (_DOMAIN, "QLinearConv"): _convolution,
    (_DOMAIN, "QLinearAdd"): _broadcast,
    (_DOMAIN, "QLinearMul"): _broadcast,
    (_DOMAIN, "MultiHeadAttention"): _attention,
    (_DOMAIN, "GroupQueryAttention"): _attention,
    (_DOMAIN, "DequantizeLinear"): _dequantized,
    (_DOMAIN, "QuantizeLinear"): _quantized,
    (_DOMAIN, "QGemm"): _gemm,
    (_DOMAIN, "MatMulNBits"): _few_bits,
}  # fmt: skip
"""By domain and operator: a function that gives the specs of the outputs that matter."""
