"""Adder layers of 1×1 filters over a few pixels. They take as long as reading their weights once."""

from __future__ import annotations

import math
from functools import lru_cache, partial

import torch
from torch import Tensor

from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.ir.halves import converts
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.cpu.rows.loops import RowSizes, distances
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Ready

MOST_ROWS = 4
"""The most pixels that share one pass over the weights. For more, a kernel that keeps tiles of outputs in
registers is faster.
"""
_SUMS = 4
"""Sums in registers. An addition waits for the previous one to the same sum, and meanwhile those to other
sums start.
"""
_FP32_BYTES = 4


def convolve(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    """-Σ|x - w| of input [N, C, H, W] and weight [K, C, 1, 1], as [N, K, H, W] in the input's layout and
    format: fp32, fp16 or bf16. Sums are in fp32, and rounded once to a half format.

    Returns None unless operands are of one such format, the filters are 1×1 without groups, padding and
    strides, there are at most `MOST_ROWS` pixels, and channels are neighbours in memory.
    """
    plan = plan_of(input, weight, geometry)
    return None if plan is None else plan(input, weight)


def plan_of(input: Tensor, weight: Tensor, geometry: Geometry) -> Ready | None:
    """How to compute a layer of these sizes, strides and types. None where `convolve` returns None."""
    # Nearly every layer returns here. Looking up a plan at each of its calls would cost more.
    if input.numel() > MOST_ROWS * input.shape[1] or weight.shape[2:] != (1, 1):
        return None
    if weight.dtype != input.dtype or not converts(input.dtype):
        return None
    place = (input.dtype, input.shape, input.stride(), weight.shape, weight.stride())
    return _plan(*place, geometry, output_layout(input), torch.get_num_threads())


def _write(calls: tuple[NativeCall, ...], x: int, weights: int, out: int) -> None:
    run_shares(calls, weights, out, (x,))


@lru_cache(maxsize=4096)
def _plan(
    dtype: torch.dtype,
    size: tuple[int, int, int, int],
    stride: tuple[int, ...],
    weight_size: tuple[int, int, int, int],
    weight_stride: tuple[int, ...],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
) -> Ready | None:
    """The plan for 1×1 filters on at most `MOST_ROWS` pixels; None where strides, groups or the memory layout
    do not suit the loop.
    """
    (n, channels, h, w), filters, pixels = size, weight_size[0], math.prod(size) // max(size[1], 1)
    along = [axis for axis in (0, 2, 3) if size[axis] > 1]
    neighbours = channels == 1 or stride[1] == weight_stride[1] == 1
    if geometry != Geometry() or not neighbours or len(along) > 1 or not pixels:
        return None
    shape = (n, filters, h, w)
    output = torch.empty(shape, device="meta", memory_format=layout)
    x_row, out_row = (of[along[0]] if along else 0 for of in (stride, output.stride()))
    weight_row, out_weight = weight_stride[0], output.stride(1)
    calls = []
    for share in shares(1, filters, filters * channels, threads):
        together = next(rows for rows in (_SUMS // pixels, 1) if rows <= share.rows)
        sizes = RowSizes(share.rows, channels, x_row, weight_row, out_row, out_weight)
        loop = distances(vector_bytes() // _FP32_BYTES, pixels, together, dtype)
        first = dtype.itemsize * share.first_row
        calls.append(NativeCall(loop, weight_row * first, out_weight * first, as_array(sizes)))
    return Ready(shape, layout, partial(_write, tuple(calls)), dtype)
