"""How many samples region pooling takes, where the sizes of the boxes determine it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from addercost.trace.attended_scores import Facts, known_values
from addercost.trace.record import SAMPLED_LINES, SAMPLES


def _samples(given: Mapping[str, Any], sensitive: bool) -> dict[str, int]:
    """A bin of height h and width w has ⌈h⌉·⌈w⌉ samples, on ⌈h⌉ rows and ⌈w⌉ columns."""
    rois = known_values(given["rois"]) if given["sampling_ratio"] <= 0 else None
    if rois is None:
        return {}
    moved = sensitive or given.get("aligned")
    with _disable_current_modes():
        corners = rois[:, 1:].detach() * given["spatial_scale"] - (0.5 if moved else 0.0)
        sides = corners[:, 2:] - corners[:, :2]
        if sensitive or not moved:
            sides = sides.clamp(min=0.1 if sensitive else 1.0)
        bins = torch.tensor([given["pooled_width"], given["pooled_height"]])
        each = (sides / bins).ceil().clamp(min=0).to(torch.int64)
        return {
            SAMPLES: int(each.prod(1).sum() * bins.prod()),
            SAMPLED_LINES: int((each * bins).sum()),
        }


def _whole_channels(given: Mapping[str, Any]) -> dict[str, int]:
    return _samples(given, sensitive=False)


def _sensitive_to_position(given: Mapping[str, Any]) -> dict[str, int]:
    return _samples(given, sensitive=True)


SAMPLED: Mapping[str, Facts] = {
    "torchvision.roi_align": _whole_channels,
    "torchvision._roi_align_backward": _whole_channels,
    "torchvision.ps_roi_align": _sensitive_to_position,
    "torchvision._ps_roi_align_backward": _sensitive_to_position,
}
"""By the operator's name."""
