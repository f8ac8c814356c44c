"""Normalisations and softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import OpCall, TensorSpec


@translates("BatchNormalization")
def batch_norm(node: OnnxNode) -> Iterator[OpCall]:
    x, scale, shift, mean, variance = (node.tensor(i) for i in range(5))
    yield node.call(
        "aten.native_batch_norm.default",
        {
            "input": x, "weight": scale, "bias": shift, "running_mean": mean, "running_var": variance,
            "training": bool(node.attributes.get("training_mode", 0)),
            "momentum": float(node.attributes.get("momentum", 0.9)),
            "eps": float(node.attributes.get("epsilon", 1e-5)),
        },
        [node.output],
    )  # fmt: skip


@translates("InstanceNormalization")
def instance_norm(node: OnnxNode) -> Iterator[OpCall]:
    x, scale, shift = (node.tensor(i) for i in range(3))
    yield node.call(
        "aten.instance_norm.default",
        {"input": x, "weight": scale, "bias": shift, "use_input_stats": True},
        [node.output],
    )


@translates("GroupNormalization")
def group_norm(node: OnnxNode) -> Iterator[OpCall]:
    x, scale, shift = (node.tensor(i) for i in range(3))
    yield node.call(
        "aten.native_group_norm.default",
        {"input": x, "weight": scale, "bias": shift, "group": int(node.attributes["num_groups"])},
        [node.output],
    )


@translates("LayerNormalization", "RMSNormalization")
def layer_norm(node: OnnxNode) -> Iterator[OpCall]:
    yield layer_norm_call(node, node.tensor(0), node.optional_tensor(1), node.optional_tensor(2))


def layer_norm_call(
    node: OnnxNode, x: TensorSpec, scale: TensorSpec | None, shift: TensorSpec | None
) -> OpCall:
    """Normalises over the axes from `axis` on; without a mean for the RMS form."""
    axis = int(node.attributes.get("axis", -1))
    root_mean_square = "RMS" in node.op or "Simplified" in node.op
    return node.call(
        "aten._fused_rms_norm.default" if root_mean_square else "aten.native_layer_norm.default",
        {"input": x, "normalized_shape": x.shape[axis:], "weight": scale, "bias": shift},
        [node.output],
    )


@translates("LRN")
def local_response_norm(node: OnnxNode) -> Iterator[OpCall]:
    """x / (k + α·mean of x² over `size` neighbouring channels)^β, as torch computes it."""
    x, size = node.tensor(0), int(node.attributes["size"])
    windows = reshaped(x, (x.shape[0], 1, x.shape[1], math.prod(x.shape[2:])))
    yield node.call("aten.mul.Tensor", {"self": x, "other": x})
    yield node.call("aten.avg_pool2d.default", {"self": windows, "kernel_size": (size, 1)}, [windows])
    yield node.call("aten.mul.Scalar", {"self": x, "other": node.attributes.get("alpha", 1e-4)})
    yield node.call("aten.add.Scalar", {"self": x, "other": node.attributes.get("bias", 1.0)})
    yield node.call(
        "aten.pow.Tensor_Scalar", {"self": x, "exponent": float(node.attributes.get("beta", 0.75))}
    )
    yield node.call("aten.div.Tensor", {"self": x, "other": x})


@translates("LpNormalization")
def lp_norm(node: OnnxNode) -> Iterator[OpCall]:
    x, axis = node.tensor(0), int(node.attributes.get("axis", -1))
    lengths = reshaped(x, [1 if i == axis % len(x.shape) else n for i, n in enumerate(x.shape)])
    first = int(node.attributes.get("p", 2)) == 1
    yield node.call("aten.abs.default" if first else "aten.square.default", {"self": x}, [x])
    yield node.call("aten.sum.dim_IntList", {"self": x}, [lengths])
    if not first:
        yield node.call("aten.sqrt.default", {"self": lengths}, [lengths])
    yield node.call("aten.div.Tensor", {"self": x, "other": lengths})


@translates("MeanVarianceNormalization")
def mean_variance_norm(node: OnnxNode) -> Iterator[OpCall]:
    x, axes = node.tensor(0), node.integers("axes") or (0, 2, 3)
    rows = math.prod(n for i, n in enumerate(x.shape) if i not in {axis % len(x.shape) for axis in axes})
    flat = reshaped(x, (rows, x.numel // max(rows, 1)))
    yield node.call(
        "aten.native_layer_norm.default", {"input": flat, "normalized_shape": flat.shape[1:]}, [node.output]
    )


@translates("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: OnnxNode) -> Iterator[OpCall]:
    """Softmax along one axis; before opset 13 over that axis and all later ones."""
    x = node.tensor(0)
    axis = int(node.attributes.get("axis", -1 if node.opset >= 13 else 1))
    if node.opset < 13 and x.shape:
        rows = math.prod(x.shape[:axis])
        x, axis = reshaped(x, (rows, x.numel // max(rows, 1))), 1
    if node.op == "Hardmax":
        yield node.call("aten.argmax.default", {"self": x, "dim": axis}, [reshaped(x, x.shape[:-1])])
        return
    name = "_softmax" if node.op == "Softmax" else "_log_softmax"
    yield node.call(f"aten.{name}.default", {"self": x, "dim": axis, "half_to_float": False})
