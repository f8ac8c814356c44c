"""A batch norm with running statistics as one factor and one addend for each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def affine(bias: Tensor | None, norm: BatchNorm | None, filters: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and addend, [K] each in fp64, for a layer's bias followed by the batch norm; filters:
    [K, ...].
    """
    factor = torch.ones(filters.shape[0], dtype=torch.float64, device=filters.device)
    addend = torch.zeros_like(factor) if bias is None else bias.detach().double()
    if norm is None:
        return factor, addend
    assert norm.running_mean is not None and norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach().double()
    addend = (addend - norm.running_mean.double()) * factor
    return factor, addend if norm.bias is None else addend + norm.bias.detach().double()
