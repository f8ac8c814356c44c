"""Convolutions, matrix products and attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from addercost.errors import DataError
from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import ArgValue, OpCall, TensorSpec


def convolution_arguments(node: OnnxNode, weight: TensorSpec) -> dict[str, ArgValue]:
    """Stride, padding and the other arguments of a convolution whose weight is [K, C/G, *R] (transposed: [C,
    K/G, *R]).
    """
    axes = len(weight.shape) - 2
    transposed = node.op == "ConvTranspose"
    ones: tuple[int, ...] = (1,) * axes

    def along(name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
        values = node.integers(name) or usual
        if len(values) != len(usual):
            raise DataError(f"the ONNX node {node.title} of {node.module!r} has {len(values)} {name}")
        return values

    pads = along("pads", (0,) * (2 * axes))
    return {
        "stride": along("strides", ones),
        "padding": tuple(max(a, b) for a, b in zip(pads[:axes], pads[axes:], strict=True)),
        "dilation": along("dilations", ones),
        "transposed": transposed,
        "output_padding": along("output_padding", (0,) * axes),
        "groups": int(node.attributes.get("group", 1)),
    }


@translates("Conv", "ConvTranspose")
def convolution(node: OnnxNode) -> Iterator[OpCall]:
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


@translates("ConvInteger")
def integer_convolution(node: OnnxNode) -> Iterator[OpCall]:
    """A convolution of integers without a bias. Inputs 2 and 3 are zero points, which are subtracted first
    where they are given.
    """
    weight = node.tensor(1)
    yield from _without_zero_points(node)
    yield node.call(
        "aten.convolution.default",
        {"input": node.tensor(0), "weight": weight, "bias": None, **convolution_arguments(node, weight)},
    )


@translates("DeformConv")
def deformable(node: OnnxNode) -> Iterator[OpCall]:
    axes = len(node.tensor(1).shape) - 2
    stride = node.integers("strides") or (1,) * axes
    pads = node.integers("pads") or (0,) * (2 * axes)
    dilation = node.integers("dilations") or (1,) * axes
    yield node.call(
        "torchvision.deform_conv2d.default",
        {
            "input": node.tensor(0),
            "weight": node.tensor(1),
            "offset": node.tensor(2),
            "mask": node.optional_tensor(4),
            "bias": node.optional_tensor(3),
            "stride_h": stride[0], "stride_w": stride[-1],
            "pad_h": pads[0], "pad_w": pads[axes - 1],
            "dilation_h": dilation[0], "dilation_w": dilation[-1],
            "groups": int(node.attributes.get("group", 1)),
            "offset_groups": int(node.attributes.get("offset_group", 1)),
            "use_mask": node.optional_tensor(4) is not None,
        },
    )  # fmt: skip


@translates("MatMul")
def matmul(node: OnnxNode) -> Iterator[OpCall]:
    yield from product(node, node.tensor(0), node.tensor(1))


@translates("MatMulInteger")
def integer_matmul(node: OnnxNode) -> Iterator[OpCall]:
    yield from _without_zero_points(node)
    yield from product(node, node.tensor(0), node.tensor(1))


def product(node: OnnxNode, a: TensorSpec, b: TensorSpec) -> Iterator[OpCall]:
    """a: […, n, k] · b: […, k, m]. With a plain matrix on the right this is a linear layer over all rows of
    a.
    """
    if len(b.shape) == 2 and len(a.shape) >= 2:
        rows = math.prod(a.shape[:-1])
        yield node.call("aten.mm.default", {"self": reshaped(a, (rows, a.shape[-1])), "mat2": b})
    else:
        yield node.call("aten.matmul.default", {"self": a, "other": b})


def _without_zero_points(node: OnnxNode) -> Iterator[OpCall]:
    for position in (2, 3):
        zero = node.optional(position)
        if zero is not None and not (zero.data is not None and not zero.data.any()):
            x = node.tensor(position - 2)
            yield node.call("aten.sub.Tensor", {"self": x, "other": zero.spec}, [reshaped(x, x.shape)])


@translates("Gemm")
def gemm(node: OnnxNode) -> Iterator[OpCall]:
    """α·A·B + β·C, where A and B may be transposed."""
    a, b = (
        reshaped(node.tensor(i), node.tensor(i).shape[::-1]) if node.attributes.get(name) else node.tensor(i)
        for i, name in enumerate(("transA", "transB"))
    )
    added, alpha = node.optional_tensor(2), _factor(node, "alpha")
    if added is not None:
        yield node.call(
            "aten.addmm.default",
            {"self": added, "mat1": a, "mat2": b, "beta": _factor(node, "beta"), "alpha": alpha},
        )
        return
    yield node.call("aten.mm.default", {"self": a, "mat2": b})
    if alpha != 1:
        yield node.call("aten.mul.Scalar", {"self": node.output, "other": alpha})


def _factor(node: OnnxNode, name: str) -> float | int:
    value = float(node.attributes.get(name, 1.0))
    return int(value) if value.is_integer() else value


@translates("Einsum")
def einsum(node: OnnxNode) -> Iterator[OpCall]:
    equation: Any = node.attributes["equation"]
    yield node.call(
        "aten.einsum.default",
        {
            "equation": equation.decode() if isinstance(equation, bytes) else str(equation),
            "tensors": tuple(value.spec for value in node.given()),
        },
    )


@translates("Attention")
def attention(node: OnnxNode) -> Iterator[OpCall]:
    """q, k, v: [B, heads, length, size], or [B, length, heads·size]. Inputs 4 and 5 are earlier keys and
    values, to which the new ones are appended.
    """
    q, k, v = (node.tensor(i) for i in range(3))
    q_heads, kv_heads = (int(node.attributes.get(name, 0)) for name in ("q_num_heads", "kv_num_heads"))
    if len(q.shape) == 3:
        q, k, v = by_head(q, q_heads), by_head(k, kv_heads), by_head(v, kv_heads)
    before = node.optional_tensor(4)
    if before is not None:
        k, v = (reshaped(x, (*x.shape[:2], x.shape[2] + before.shape[2], x.shape[3])) for x in (k, v))
    yield node.call(
        "aten.scaled_dot_product_attention.default",
        {
            "query": q, "key": k, "value": v,
            "attn_mask": node.optional_tensor(3),
            "dropout_p": 0.0,
            "is_causal": bool(node.attributes.get("is_causal", 0)),
            "scale": node.attributes.get("scale"),
            "enable_gqa": q.shape[1] != k.shape[1],
        },
        [reshaped(q, (*q.shape[:-1], v.shape[-1]))],
    )  # fmt: skip


def by_head(x: TensorSpec, heads: int) -> TensorSpec:
    """[B, length, heads·size] viewed as [B, heads, length, size]."""
    batch, length, width = x.shape
    return reshaped(x, (batch, heads, length, width // max(heads, 1)))
