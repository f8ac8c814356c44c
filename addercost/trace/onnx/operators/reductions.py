"""Reductions, sorting and selection."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import OpCall

_REDUCTIONS = {
    "ReduceSum": "sum", "ReduceMean": "mean", "ReduceProd": "prod", "ReduceMax": "amax", "ReduceMin": "amin",
    "ReduceLogSumExp": "logsumexp", "ArgMax": "argmax", "ArgMin": "argmin",
}  # fmt: skip
_BEFORE = {"ReduceL1": "abs", "ReduceL2": "square", "ReduceSumSquare": "square"}


@translates(*_REDUCTIONS)
def reduced(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{_REDUCTIONS[node.op]}.default", {"self": node.tensor(0)})


@translates(*_BEFORE, "ReduceLogSum")
def reduced_after(node: OnnxNode) -> Iterator[OpCall]:
    """A function of each element, then their sum, and then perhaps a root or a logarithm."""
    x = node.tensor(0)
    if node.op in _BEFORE:
        yield node.call(f"aten.{_BEFORE[node.op]}.default", {"self": x}, [x])
    yield node.call("aten.sum.dim_IntList", {"self": x})
    last = {"ReduceL2": "sqrt", "ReduceLogSum": "log"}.get(node.op)
    if last:
        yield node.call(f"aten.{last}.default", {"self": node.output})


@translates("CumSum", "CumProd")
def running(node: OnnxNode) -> Iterator[OpCall]:
    axis = node.integers("axis", 1) or (-1,)
    yield node.call(f"aten.{node.op.lower()}.default", {"self": node.tensor(0), "dim": axis[0]})


@translates("TopK")
def largest(node: OnnxNode) -> Iterator[OpCall]:
    axis = int(node.attributes.get("axis", -1))
    yield node.call("aten.topk.default", {"self": node.tensor(0), "k": node.output.shape[axis], "dim": axis})


@translates("NonZero")
def nonzero(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten.nonzero.default", {"self": node.tensor(0)})


@translates("Unique")
def unique(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten._unique2.default", {"self": node.tensor(0)})


@translates("Det")
def determinant(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call("aten._linalg_det.default", {"A": node.tensor(0)})


@translates("NonMaxSuppression")
def suppressed(node: OnnxNode) -> Iterator[OpCall]:
    """boxes: [N, boxes, 4], scores: [N, classes, boxes]: each class of each image is suppressed
    separately.
    """
    boxes, scores = node.tensor(0), node.tensor(1)
    one = type(boxes)(boxes.shape[1:], boxes.dtype)
    for _ in range(boxes.shape[0] * scores.shape[1]):
        yield node.call(
            "torchvision.nms.default",
            {"dets": one, "scores": type(scores)(scores.shape[2:], scores.dtype), "iou_threshold": 0.5},
            [node.output],
        )
