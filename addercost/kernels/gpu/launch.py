"""Torch tensors to kernel launches: layouts, tiles, grids."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels.gpu import kernels
from addercost.kernels.problem import Geometry, empty_output

LANES_M = LANES_N = 16
WARPS = 8
"""LANES_M × LANES_N threads: each holds a tile of its own."""

ROWS, MOST_COLUMNS = 8, 8
GRADIENT_ROWS = 4
"""The gradient also holds the input's tile in registers."""

UNROLL = 8
WORD = 32


def convolve(
    site: str, input: Tensor, weight: Tensor, geometry: Geometry, output: Tensor, emulate: bool = False
) -> Tensor:
    """Fills `output` [N, K, P, Q] with the site's sum of input [N, C, H, W] and weight [K, C/G, R, S].

    Inputs are floating point for "adder" and "mac", int32 words of 32 signs for "xnor" and of four bytes for
    "adder_u8". `emulate` replaces the instructions that an interpreter lacks.
    """
    n, _, h, w = input.shape
    k, c, r, s = weight.shape
    groups, group_filters = geometry.groups, k // geometry.groups
    p, q = output.shape[2:]
    if input.stride(1) != 1:
        input = input.contiguous(memory_format=torch.channels_last)
    columns = tile_columns(group_filters)
    tiles = _tiled(weight.unflatten(0, (groups, group_filters)), columns * LANES_N)
    zeros = torch.zeros(UNROLL, dtype=input.dtype, device=input.device)
    grid = (-(-n * p * q // (ROWS * LANES_M)), tiles.shape[1], groups)
    _kernel(kernels.convolution_kernel)[grid](
        input, tiles, output, zeros,
        n * p * q, c, h, w, group_filters, p, q,
        input.stride(0), input.stride(2), input.stride(3), *output.stride(),
        *geometry.stride, *geometry.padding, *geometry.dilation,
        r, s,
        SITE=site, EMULATE=emulate,
        ROWS=ROWS, COLUMNS=columns, LANES_M=LANES_M, LANES_N=LANES_N, UNROLL=UNROLL,
        num_warps=WARPS,
    )  # fmt: skip
    return output


def input_gradient(grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Σ g · HardTanh(w - x): [N, C, H, W] like `input`, for grad [N, K, P, Q] and weight [K, C/G, R, S]."""
    n, _, h, w = input.shape
    k, c, r, s = weight.shape
    groups, group_filters = geometry.groups, k // geometry.groups
    output = empty_output(input, list(input.shape))
    if grad.stride(1) != 1:
        grad = grad.contiguous(memory_format=torch.channels_last)
    columns = tile_columns(c)
    turned = weight.unflatten(0, (groups, group_filters)).transpose(1, 2)
    tiles = _tiled(turned, columns * LANES_N)
    zeros = torch.zeros(UNROLL, dtype=grad.dtype, device=grad.device)
    grid = (-(-n * h * w // (GRADIENT_ROWS * LANES_M)), tiles.shape[1], groups)
    _kernel(kernels.input_gradient_kernel)[grid](
        grad, input, tiles, output, zeros,
        n * h * w, c, h, w, group_filters, *grad.shape[2:],
        grad.stride(0), grad.stride(2), grad.stride(3), *input.stride(), *output.stride(),
        *geometry.stride, *geometry.padding, *geometry.dilation,
        r, s,
        ROWS=GRADIENT_ROWS, COLUMNS=columns, LANES_M=LANES_M, LANES_N=LANES_N, UNROLL=UNROLL,
        num_warps=WARPS,
    )  # fmt: skip
    return output


def pack_signs(image: Tensor, groups: int) -> Tensor:
    """[N, C, H, W] to [N, G·⌈C/G/32⌉, H, W] int32 words of signs, channels-last; bits beyond C are clear."""
    n, c, h, w = image.shape
    rows = image.permute(0, 2, 3, 1).reshape(n * h * w, groups, c // groups)
    words = -(-c // groups // WORD)
    packed = torch.empty((n, h, w, groups * words), dtype=torch.int32, device=image.device)
    block = 128
    grid = (-(-n * h * w // block), words, groups)
    _kernel(kernels.pack_signs_kernel)[grid](
        rows, packed, n * h * w, c // groups, words, *rows.stride(), BLOCK_M=block
    )
    return packed.permute(0, 3, 1, 2)


def pack_bytes(image: Tensor, groups: int) -> Tensor:
    """[N, C, H, W] uint8 to [N, G·⌈C/G/4⌉, H, W] int32 words of four channels, channels-last, zero beyond."""
    grouped = image.permute(0, 2, 3, 1).unflatten(3, (groups, -1))
    padded = F.pad(grouped, (0, -grouped.shape[4] % 4)).contiguous()
    words: Tensor = padded.view(torch.int32).flatten(3)
    return words.permute(0, 3, 1, 2)


def tile_columns(filters: int) -> int:
    """Filters per thread: the power of two that just covers them, at most MOST_COLUMNS."""
    columns = 1
    while columns < MOST_COLUMNS and columns * LANES_N < filters:
        columns *= 2
    return columns


def _tiled(weight: Tensor, block: int) -> Tensor:
    """[G, K, C, R, S] to [G, tiles of K, R·S·C, block], zero beyond K: a step's weights are neighbours."""
    groups, k = weight.shape[:2]
    padded = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, -k % block))
    tiles = padded.unflatten(1, (-1, block)).permute(0, 1, 4, 5, 3, 2)
    dense: Tensor = tiles.reshape(groups, tiles.shape[1], -1, block).contiguous()
    return dense


def _kernel(function: Any) -> Any:
    """The same function, untyped: what `triton.jit` returns has no useful type."""
    return function
