"""Graphs in which QuantizeLinear and DequantizeLinear mark what a runtime computes on integers.

Between the two, such a graph has a convolution or matrix product of floats. A runtime computes it on
integers, so that is what is counted: the operands are read as the integers before DequantizeLinear, and the
sums are rescaled once, to the next scale.
"""

from __future__ import annotations

from dataclasses import replace

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.quantized import convolution_call, dequantize, linear_call
from addercost.trace.record import OpCall, TensorSpec


def pending_dequantization(node: OnnxNode) -> OpCall:
    """The call of a DequantizeLinear. It is recorded only if something reads its floats."""
    (call,) = dequantize(node)
    return call


def fused_call(node: OnnxNode, reader: str) -> OpCall | None:
    """The integer call of a convolution or product whose two operands are dequantised; None for other nodes.

    reader: the name of the operator that is the output's only reader; "" if there is no such operator.
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
