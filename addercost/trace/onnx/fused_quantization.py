"""Graphs in which integers are written as floats between QuantizeLinear and DequantizeLinear.

A runtime computes a convolution or matrix product between the two on integers, and so it is counted. The
dequantised operands are read as the integers they are, and the sums are brought to the next scale once.
"""

from __future__ import annotations

from dataclasses import replace

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.quantized import convolution_call, dequantize, linear_call
from addercost.trace.record import OpCall, TensorSpec


def pending_dequantization(node: OnnxNode) -> OpCall:
    """The call of a DequantizeLinear, made if something reads its floats."""
    (call,) = dequantize(node)
    return call


def fused_call(node: OnnxNode, reader: str) -> OpCall | None:
    """The integer call of a convolution or product whose operands are dequantised; else None.

    reader: the operator that alone reads the output, if there is one.
    """
    if node.op not in ("Conv", "Gemm", "MatMul") or node.domain:
        return None
    x, w = node.value(0).dequantized, node.value(1).dequantized
    if x is None or w is None or not all(value.complete for value in node.outputs):
        return None
    bias = node.optional(2)
    added = None if bias is None else (bias.dequantized or bias).spec
    out: TensorSpec = node.output
    if reader == "QuantizeLinear":
        out = replace(out, dtype=x.spec.dtype)
    if node.op == "Conv":
        return convolution_call(node, x.spec, w.spec, added, out)
    a, b = (
        reshaped(spec, spec.shape[::-1]) if node.attributes.get(name) else spec
        for spec, name in ((x.spec, "transA"), (w.spec, "transB"))
    )
    return linear_call(node, a, b, added, out)
