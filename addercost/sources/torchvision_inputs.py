"""Inputs that fit torchvision's models: an image, a clip, two frames, or a list of images and their boxes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from addercost.trace.inputs import ModelInputs

DETECTION, OPTICAL_FLOW = "detection", "optical_flow"

_FRAME = (1, 3, 520, 960)
"""The shape of the frames in torchvision's own example of optical flow."""

_BOXES = 8
"""Objects in an image of a training step."""


def inputs_of(task: str, shape: tuple[int, ...], batch: int, training: bool, keypoints: int) -> ModelInputs:
    """The inputs of a batch. shape: the shape of one image, [1, C, H, W]. keypoints: how many keypoints an
    object has, 0 for none.

    A detector chooses boxes by values, so its images have values. They are always the same.
    """
    if task == OPTICAL_FLOW:
        frames = [torch.empty((batch, *shape[1:]), device="meta") for _ in range(2)]
        return ModelInputs(tuple(frames))
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(shape[1:], generator=generator) for _ in range(batch)]
    targets = [_target(shape[2], shape[3], keypoints) for _ in range(batch)]
    return ModelInputs((images, targets)) if training else ModelInputs((images,))


def shape_of(task: str, name: str) -> tuple[int, ...] | None:
    """The shape of one input for models whose pretrained configuration does not give it."""
    if task == OPTICAL_FLOW:
        return _FRAME
    if task == DETECTION:
        size = 300 if name.startswith("ssd300") else 320 if "320" in name else 800
        return (1, 3, size, size)
    return None


def _target(height: int, width: int, keypoints: int) -> dict[str, Tensor]:
    """Objects of different sizes along the diagonal, each with a box, a class, a mask and keypoints."""
    steps = torch.arange(1, _BOXES + 1) / (2 * _BOXES)
    sides = torch.tensor([width, height, width, height])
    boxes = torch.stack([steps / 2, steps / 2, 2 * steps, 2 * steps], dim=1) * sides
    found: dict[str, Any] = {
        "boxes": boxes,
        "labels": torch.ones(_BOXES, dtype=torch.int64),
        "masks": torch.ones((_BOXES, height, width), dtype=torch.uint8),
    }
    if keypoints:
        points = boxes[:, None, :2].expand(-1, keypoints, -1)
        found["keypoints"] = torch.cat([points, torch.ones(_BOXES, keypoints, 1)], dim=2)
    return found
