"""Output shapes of pooling layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from addercost.trace.shape_registry import fast, is_plain, new

_aten = torch.ops.aten


@fast(_aten.max_pool2d_with_indices.default)
def _max_pool2d(
    input: Tensor,
    kernel_size: list[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    shape = _pooled(input, kernel_size, stride, padding, dilation, ceil_mode)
    if shape is None:
        return NotImplemented
    return new(input, shape), torch.empty(shape, dtype=torch.int64, device="meta")


@fast(_aten.avg_pool2d.default)
def _avg_pool2d(
    input: Tensor,
    kernel_size: list[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    if not input.is_floating_point() or divisor_override == 0:
        return NotImplemented
    shape = _pooled(input, kernel_size, stride, padding, (1, 1), ceil_mode)
    return NotImplemented if shape is None else new(input, shape)


def _pooled(
    input: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> list[int] | None:
    """[N, C, H, W] → [N, C, P, Q]; None for arguments that torch has to handle."""
    kernel, move = _pair(kernel_size), _pair(stride or kernel_size)
    pad, step = _pair(padding), _pair(dilation)
    if ceil_mode or not is_plain(input) or input.dim() != 4 or math.prod(input.shape) == 0:
        return None
    if (
        min(kernel) < 1
        or min(move) < 1
        or min(step) < 1
        or any(not 0 <= p <= k // 2 for p, k in zip(pad, kernel, strict=True))
    ):
        return None
    out = [
        (size + 2 * p - s * (k - 1) - 1) // m + 1
        for size, p, s, k, m in zip(input.shape[2:], pad, step, kernel, move, strict=True)
    ]
    return None if min(out) < 1 else [*input.shape[:2], *out]


def _pair(value: Sequence[int]) -> tuple[int, int]:
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
