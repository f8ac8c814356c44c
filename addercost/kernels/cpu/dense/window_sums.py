"""The sum of the inputs, and of their magnitudes, under the filter at each place of the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from addercost.kernels.cpu.dense.buffers import filled
from addercost.kernels.cpu.dense.sum_loops import (
    ChannelSums,
    WindowSums,
    sums_of_pixels,
    sums_of_planes,
    sums_of_windows,
)
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.ir.halves import converts
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.problem import Geometry

_FP32_BYTES = 4
_TOGETHER = 4


@dataclass(frozen=True, slots=True)
class WindowSumsPlan:
    """How to compute [2, G, N, P, Q] of an image: sums of values, then sums of magnitudes.

    pixels: the elements of the sums of single pixels, with the border; 0 where these are the result.
    """

    channels: tuple[NativeCall, ...]
    windows: NativeCall | None
    pixels: int

    def write(self, image: int, target: int) -> None:
        """Reads the image at one address and writes the sums to another."""
        if self.windows is None:
            run_shares(self.channels, image, target)
            return
        of_pixels = filled(self.pixels, torch.float32)
        run_shares(self.channels, image, of_pixels.data_ptr())
        run_shares((self.windows,), of_pixels.data_ptr(), target)


def plan_window_sums(
    size: Sequence[int],
    stride: Sequence[int],
    filter_size: tuple[int, int],
    geometry: Geometry,
    threads: int,
    dtype: torch.dtype,
) -> WindowSumsPlan | None:
    """The plan for an image [N, C, H, W] of this format with these strides. None where neither channels nor
    columns are neighbours in memory, and for a format that no instruction converts to fp32.
    """
    n, channels, h, w = size
    groups, (pad_y, pad_x) = geometry.groups, geometry.padding
    (r, s), (p, q) = filter_size, geometry.output_size((h, w), filter_size)
    lanes = vector_bytes() // _FP32_BYTES
    by_image, by_channel, by_row, by_column = stride
    height, width = h + 2 * pad_y, w + 2 * pad_x
    rows, columns = h, w
    alone = (r, s) == (1, 1) == geometry.stride and not (pad_y or pad_x)
    if not converts(dtype):
        return None
    if by_channel == 1 or channels == groups:
        loop = sums_of_pixels(lanes, dtype)
    elif by_column == 1 or w == 1:
        if alone and by_row == w:
            rows, columns = 1, h * w
        loop = sums_of_planes(lanes, _TOGETHER if columns >= _TOGETHER * lanes else 1, dtype)
    else:
        return None
    of_group = channels // groups
    plane = height * width
    calls = []
    for share in shares(n, rows, n * channels * h * w, threads):
        sums = ChannelSums(
            share.images, groups, share.rows, columns, of_group,
            by_image, of_group * by_channel, by_row, by_column, by_channel,
            plane, n * plane, width, groups * n * plane,
        )  # fmt: skip
        source = share.first_image * by_image + share.first_row * by_row
        to = share.first_image * plane + (share.first_row + pad_y) * width + pad_x
        calls.append(NativeCall(loop, dtype.itemsize * source, _FP32_BYTES * to, as_array(sums)))
    if alone:
        return WindowSumsPlan(tuple(calls), None, 0)
    (step_y, step_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    windows = WindowSums(
        2 * groups * n, p, q, r, s,
        plane, step_y * width, step_x, dilation_y * width, dilation_x,
        p * q, q,
    )  # fmt: skip
    call = NativeCall(sums_of_windows(lanes, step_x > 1), 0, 0, as_array(windows))
    return WindowSumsPlan(tuple(calls), call, 2 * groups * n * plane)
