"""The operators that torchvision's detectors call, for a torchvision whose compiled operators torch cannot
load.

They compute the same results as torchvision's, so that a forward that needs values runs. Where torchvision is
built for the installed torch, its own operators are used and nothing of this file.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, NamedTuple

import torch
from torch import Tensor

_NEEDED = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""The schemas without which the import of torchvision fails."""

_CALLED = (
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
    "_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, SymInt batch_size, SymInt channels, SymInt height, SymInt width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
_ROWS_AT_ONCE = 512
"""How many boxes are compared with all others at a time."""

_KEPT: list[Any] = []
"""Keeps the library object, since its definitions disappear with it."""


def define_before_import() -> None:
    """Changes the import of torchvision so that it defines the schemas that it needs. They are not defined
    earlier, because a user's file may define them itself.
    """
    sys.meta_path.insert(0, _BeforeTorchvision())


class _BeforeTorchvision(MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            executed = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                _define(_NEEDED, {"nms": _suppressed})
                executed(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _define(schemas: Iterable[str], kernels: Mapping[str, Callable[..., Any]]) -> bool:
    """Defines operators and their kernels on the CPU, where nobody did. Returns whether all are new."""
    if not _KEPT:
        _KEPT.append(torch.library.Library("torchvision", "FRAGMENT"))
    missing = [schema for schema in schemas if not _is_defined(schema.partition("(")[0])]
    for schema in missing:
        _KEPT[0].define(schema)
    for name, kernel in kernels.items():
        if not torch._C._dispatch_has_kernel_for_dispatch_key(f"torchvision::{name}", "CPU"):
            _KEPT[0].impl(name, kernel, "CPU")
    return missing == list(schemas)


def _is_defined(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)


def let_torchvision_call_them() -> None:
    """Makes the imported torchvision call these operators. It would refuse otherwise, since its own were not
    loaded.
    """
    if not _KEPT or "torchvision.ops" not in sys.modules:
        return
    for name in ("torchvision.ops.boxes", "torchvision.ops.roi_align"):
        module: Any = sys.modules[name]
        module._assert_has_ops = _nothing
    pooling: Any = sys.modules["torchvision.ops.roi_align"]
    if pooling._has_ops is not _yes:
        pooling._has_ops = _yes
        if _define(_CALLED, {"roi_align": _pooled, "_roi_align_backward": _pooled_backward}):
            gradients: Any = importlib.import_module("torchvision._autograd_registrations")
            torch.library.register_autograd(
                "torchvision::roi_align",
                gradients._roi_align_backward,
                setup_context=gradients._roi_align_setup_context,
                lib=_KEPT[0],
            )


def why_not_timed(operators: Iterable[str]) -> str:
    """Why a forward that calls these operators (`torchvision.nms`) cannot be timed; "" if it can be."""
    if not _KEPT or not any(name.startswith("torchvision.") for name in operators):
        return ""
    return "torch cannot load torchvision's compiled operators; the ones in their place take other times"


def _nothing() -> None:
    pass


def _yes() -> bool:
    return True


def _suppressed(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: the indices of the kept boxes, the best score first. A box is dropped if its
    overlap with a kept box of a better score is above the threshold.
    """
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
    """[m, n]: whether the intersection of two boxes is more than the threshold times their union."""
    corner = torch.maximum(some[:, None, :2], boxes[None, :, :2])
    end = torch.minimum(some[:, None, 2:], boxes[None, :, 2:])
    common = (end - corner).clamp(0).prod(2)
    areas, others = ((item[:, 2:] - item[:, :2]).prod(1) for item in (some, boxes))
    return common / (areas[:, None] + others[None] - common) > threshold


def _pooled(
    input: Tensor, rois: Tensor, scale: float, height: int, width: int, ratio: int, aligned: bool
) -> Tensor:
    """input: [N, C, H, W], rois: [K, 5], out: [K, C, height, width]. Values between pixels are interpolated
    linearly along each side. So the means over a box's samples are products with one matrix for each side.
    """
    out = input.new_empty(len(rois), input.shape[1], height, width)
    for roi, pooled in zip(rois, out, strict=True):
        image = input[int(roi[0])]
        rows, columns = _sides(roi, image, scale, (height, width), ratio, aligned)
        pooled.copy_(rows.means @ image[:, rows.pixels, columns.pixels] @ columns.means.T)
    return out


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
    images = grad.new_zeros(batch_size, channels, height, width)
    for roi, its_grad in zip(rois, grad, strict=True):
        image = images[int(roi[0])]
        rows, columns = _sides(roi, image, scale, (pooled_height, pooled_width), ratio, aligned)
        image[:, rows.pixels, columns.pixels] += rows.means.T @ its_grad @ columns.means
    return images


class _Side(NamedTuple):
    """One side of a box. means: [bins, pixels], the weight of each pixel of a slice in the mean of each
    bin.
    """

    pixels: slice
    means: Tensor


def _sides(
    roi: Tensor, image: Tensor, scale: float, bins: tuple[int, int], ratio: int, aligned: bool
) -> tuple[_Side, _Side]:
    """(rows, columns) of a box [image, x, y, x, y] in an image [C, H, W]."""
    corner, end = (roi[[2, 1]] * scale).tolist(), (roi[[4, 3]] * scale).tolist()
    made = []
    for i, number in enumerate(bins):
        length = end[i] - corner[i]
        start = corner[i] - 0.5 if aligned else corner[i]
        bin_length = (length if aligned else max(length, 1.0)) / number
        samples = ratio if ratio > 0 else max(math.ceil(bin_length), 1)
        made.append(_side(start, bin_length, number, samples, image.shape[1 + i], image.dtype))
    return made[0], made[1]


def _side(start: float, length: float, bins: int, samples: int, size: int, dtype: torch.dtype) -> _Side:
    """The side for bins of that length along `size` pixels. A sample that is more than a pixel outside the
    image is 0.
    """
    at = start + length * (torch.arange(bins)[:, None] + (torch.arange(samples) + 0.5) / samples)
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    low = at.floor().long()
    share = at - low
    first, last = int(low.min()), min(int(low.max()) + 1, size - 1)
    means = torch.zeros(bins, last - first + 1)
    means.scatter_add_(1, low - first, (1 - share) * inside)
    means.scatter_add_(1, (low + 1).clamp(max=last) - first, share * inside)
    return _Side(slice(first, last + 1), (means / samples).to(dtype))
