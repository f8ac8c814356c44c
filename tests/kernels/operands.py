"""Random operands of a layer's kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from addercost.kernels.problem import Geometry


def operands(
    image: tuple[int, int, int, int],
    filters: tuple[int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
) -> tuple[Tensor, Tensor]:
    """x: [N, C, H, W] in the layout, weight: [K, C / groups, R, S]; the same for equal sizes."""
    generator = torch.Generator().manual_seed(sum(image) + sum(filters))
    k, r, s = filters
    x = torch.randn(image, generator=generator).contiguous(memory_format=layout)
    return x, torch.randn(k, image[1] // geometry.groups, r, s, generator=generator)
