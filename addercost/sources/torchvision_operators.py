"""The operators that torchvision's detectors call, for a torchvision whose compiled ones torch cannot load.

They compute what torchvision's do, so that a forward that needs values runs. Where torchvision is built for
the torch that is installed, its own stay in place and nothing here is used.
"""

from __future__ import annotations

import importlib
import math
import sys
from typing import Any

import torch
from torch import Tensor

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
_BOXES_AT_ONCE = 64
"""torchvision's roi_align in Python takes 16 times the memory of its output."""

_ROWS_AT_ONCE = 512
"""Boxes that are compared with all others at once."""

_KEPT: list[Any] = []
"""Keeps the library: its definitions go away with the object."""


def define() -> None:
    """Defines the operators. torchvision's import fails where the schemas of two of them are missing."""
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    library.impl("nms", _suppressed, "CPU")
    library.impl("roi_align", _pooled, "CPU")
    library.impl("_roi_align_backward", _pooled_backward, "CPU")
    _KEPT.append(library)


def let_torchvision_call_them() -> None:
    """Makes the torchvision that is imported call them, which refuses to, as its own were not loaded."""
    if not _KEPT or "torchvision.ops" not in sys.modules:
        return
    for name in ("torchvision.ops.boxes", "torchvision.ops.roi_align"):
        module: Any = sys.modules[name]
        module._assert_has_ops = _nothing
    pooling: Any = sys.modules["torchvision.ops.roi_align"]
    if pooling._has_ops is not _yes:
        pooling._has_ops = _yes
        gradients: Any = importlib.import_module("torchvision._autograd_registrations")
        torch.library.register_autograd(
            "torchvision::roi_align",
            gradients._roi_align_backward,
            setup_context=gradients._roi_align_setup_context,
            lib=_KEPT[0],
        )


def _nothing() -> None:
    pass


def _yes() -> bool:
    return True


def _suppressed(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes kept, by score: each that no better one kept covers by more than the threshold."""
    order = scores.argsort(descending=True, stable=True)
    boxes = dets[order]
    left = torch.ones(len(boxes), dtype=torch.bool)
    for start in range(0, len(boxes), _ROWS_AT_ONCE):
        apart = ~_covering(boxes[start : start + _ROWS_AT_ONCE], boxes, iou_threshold)
        for i, others in enumerate(apart, start):
            if left[i]:
                left[i + 1 :] &= others[i + 1 :]
    return order[left]


def _covering(some: Tensor, boxes: Tensor, threshold: float) -> Tensor:
    """[m, n]: whether the common part of two boxes is more than such a share of both together."""
    corner = torch.maximum(some[:, None, :2], boxes[None, :, :2])
    end = torch.minimum(some[:, None, 2:], boxes[None, :, 2:])
    common = (end - corner).clamp(0).prod(2)
    areas, others = ((item[:, 2:] - item[:, :2]).prod(1) for item in (some, boxes))
    return common / (areas[:, None] + others[None] - common) > threshold


def _pooled(
    input: Tensor, rois: Tensor, scale: float, height: int, width: int, ratio: int, aligned: bool
) -> Tensor:
    """input: [N, C, H, W], rois: [K, 5], out: [K, C, height, width]."""
    if not len(rois):
        return input.new_empty(0, input.shape[1], height, width)
    if ratio <= 0:
        return torch.stack([_pooled_by_sides(input, roi, scale, height, width, aligned) for roi in rois])
    pool = sys.modules["torchvision.ops.roi_align"]._roi_align.__wrapped__  # type: ignore[attr-defined]
    parts = rois.split(_BOXES_AT_ONCE)
    return torch.cat([pool(input, part, scale, height, width, ratio, aligned) for part in parts])


def _pooled_by_sides(
    input: Tensor, roi: Tensor, scale: float, height: int, width: int, aligned: bool
) -> Tensor:
    """One box with as many samples as its sides are long. A value between pixels is linear along each side,
    so the mean over samples is a product with one matrix a side.
    """
    image, corner, end = input[int(roi[0])], roi[[2, 1]] * scale, roi[[4, 3]] * scale
    sides = end - corner if aligned else (end - corner).clamp(min=1)
    if aligned:
        corner = corner - 0.5
    rows, columns = (
        _means(float(corner[i]), float(sides[i]) / bins, bins, image.shape[1 + i]).to(input.dtype)
        for i, bins in enumerate((height, width))
    )
    return rows @ image @ columns.T


def _means(start: float, length: float, bins: int, size: int) -> Tensor:
    """[bins, size]: what each of `size` pixels adds to the mean of each bin of that length."""
    samples = max(math.ceil(length), 1)
    at = start + length * (torch.arange(bins)[:, None] + (torch.arange(samples) + 0.5) / samples)
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    low = at.floor().long()
    share = at - low
    made = torch.zeros(bins, size)
    made.scatter_add_(1, low, (1 - share) * inside)
    made.scatter_add_(1, (low + 1).clamp(max=size - 1), share * inside)
    return made / samples


def _pooled_backward(
    grad: Tensor,
    rois: Tensor,
    scale: float,
    pooled_height: int,
    pooled_width: int,
    batch_size: int,
    channels: int,
    height: int,
    width: int,
    ratio: int,
    aligned: bool,
) -> Tensor:
    """Linear in the images, so those that were pooled do not matter."""
    images = grad.new_zeros(batch_size, channels, height, width).requires_grad_()
    for part, its_grad in zip(rois.split(_BOXES_AT_ONCE), grad.split(_BOXES_AT_ONCE), strict=True):
        with torch.enable_grad():
            out = _pooled(images, part, scale, pooled_height, pooled_width, ratio, aligned)
        out.backward(its_grad)
    return images.grad if images.grad is not None else torch.zeros_like(images)
