"""Quantised operators: integers in, integers out."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.products import convolution_arguments
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import OpCall, TensorSpec


@translates("QuantizeLinear")
def quantize(node: OnnxNode) -> Iterator[OpCall]:
    per_channel = node.tensor(1).numel > 1
    yield node.call(
        f"aten.quantize_per_{'channel' if per_channel else 'tensor'}.default", {"self": node.tensor(0)}
    )


@translates("DequantizeLinear")
def dequantize(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.dequantize.self", {"self": node.tensor(0)})


@translates("DynamicQuantizeLinear")
def quantize_dynamically(node: OnnxNode) -> Iterator[OpCall]:
    """Finds the smallest and the largest value first, then quantises."""
    x = node.tensor(0)
    yield node.call("aten.aminmax.default", {"self": x}, [value.spec for value in node.outputs[1:]])
    yield node.call("aten.quantize_per_tensor_dynamic.default", {"self": x}, [node.output])


@translates("QLinearConv")
def quantized_convolution(node: OnnxNode) -> Iterator[OpCall]:
    """Inputs: x, its scale and zero; w, its scale and zero; the output's scale and zero; the bias."""
    yield convolution_call(node, node.tensor(0), node.tensor(3), node.optional_tensor(8), node.output)


def convolution_call(
    node: OnnxNode, x: TensorSpec, w: TensorSpec, bias: TensorSpec | None, out: TensorSpec
) -> OpCall:
    """An integer convolution whose sums are rescaled to the output's scale."""
    axes = len(w.shape) - 2
    weights = (w,) if bias is None else (w, bias)
    return node.call(
        f"quantized.conv{axes}d.new",
        {"qx": x, "packed_weight": weights, **convolution_arguments(node, w)},
        [out],
    )


@translates("QLinearMatMul")
def quantized_matmul(node: OnnxNode) -> Iterator[OpCall]:
    yield linear_call(node, node.tensor(0), node.tensor(3), None, node.output)


def linear_call(
    node: OnnxNode, x: TensorSpec, w: TensorSpec, bias: TensorSpec | None, out: TensorSpec
) -> OpCall:
    """x: […, k], w: […, k, m]: an integer product whose sums are rescaled to the output's scale."""
    turned = reshaped(w, (*w.shape[:-2], w.shape[-1], w.shape[-2]))
    weights = (turned,) if bias is None else (turned, bias)
    return node.call("quantized.linear.default", {"X": x, "W_prepack": weights}, [out])
