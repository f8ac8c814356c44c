"""Launches the kernels on torch tensors: it chooses layouts, tiles and grids.

With `emulate`, PTX is replaced by plain Triton, for the interpreter and for GPUs of other vendors.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels.gpu import kernels, weight_gradient
from addercost.kernels.gpu.tiles import (
    GRADIENT_TILES,
    MOST_REGISTERS,
    RUN_TILES,
    SUM_TILES,
    UNROLL,
    WARPS,
    Tile,
    choose,
    processors,
)
from addercost.kernels.problem import Geometry, empty_output

WORD = 32
_LOAD_BYTES = 16
_LARGEST_SPLIT_BYTES = 64 << 20
_MOST_NUMBERED = (1 << 31) - (1 << 16)
"""The most pixels, and the most words of a tile's weights. Kernels number them in 32 bits, up to the end of
the last tile.
"""
_MOST_PROGRAMS = 65535
"""The most programs along a grid's second and third dimension. Source: CUDA programming guide, technical
specifications.
"""
_WIDTHS = [tile.block_n for tile in (*SUM_TILES, *GRADIENT_TILES, *RUN_TILES)]
_NARROWEST, _WIDEST = min(_WIDTHS), max(_WIDTHS)


def addressable(input: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry) -> bool:
    """Whether the kernels' 32-bit numbers and CUDA's grids suffice for an input [N, C, H, W] and a weight [K,
    C/G, R, S], forward and backward."""
    (n, _, h, w), (k, c, r, s) = input, weight
    padded = h + 2 * geometry.padding[0], w + 2 * geometry.padding[1]
    longest = max(c, k // geometry.groups)
    return (
        n * padded[0] * padded[1] <= _MOST_NUMBERED
        and longest * r * s * _WIDEST <= _MOST_NUMBERED
        and -(-longest // _NARROWEST) <= _MOST_PROGRAMS
        and max(geometry.groups, r * s) <= _MOST_PROGRAMS
    )


def convolve(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    output: Tensor,
    emulate: bool = False,
    tile: Tile | None = None,
) -> Tensor:
    """Fills `output` [N, K, P, Q] with the sums of arithmetic `site` over input [N, C, H, W] and weight [K,
    C/G, R, S].

    Inputs are floating point for "adder" and "mac", int32 words of 32 signs for "xnor", words of four bytes
    for "adder_u8", and words of two fp16 channels for "adder_half2". Without `tile`, the best one is chosen.
    """
    n, _, h, w = input.shape
    k, c, r, s = weight.shape
    groups, group_filters = geometry.groups, k // geometry.groups
    p, q = output.shape[2:]
    if input.stride(1) != 1:
        input = input.contiguous(memory_format=torch.channels_last)
    tiles = RUN_TILES if site == "adder_half2" else SUM_TILES
    tile = tile or choose(tiles, n * p * q, group_filters, groups, processors(input.device))
    tiled = _tiled(_words(weight).unflatten(0, (groups, group_filters)), tile.block_n)
    zeros = _zeros(input)
    grid = (-(-n * p * q // tile.block_m), tiled.shape[1], groups)
    _kernel(kernels.convolution_kernel)[grid](
        input, tiled, output, zeros,
        n * p * q, c, h, w, group_filters, p, q,
        input.stride(0), input.stride(2), input.stride(3), *output.stride(),
        *geometry.stride, *geometry.padding, *geometry.dilation,
        r, s,
        SITE=site, EMULATE=emulate, ALIGNED=_aligned(input, c), DENSE=_dense(output, group_filters),
        **tile.constants(), **_options(),
    )  # fmt: skip
    return output


def input_gradient(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    gradient: str = "full",
    emulate: bool = False,
    tile: Tile | None = None,
) -> Tensor:
    """Σ g · HardTanh(w - x), or Σ g · sign(w - x): [N, C, H, W] like `input`.

    grad: [N, K, P, Q]; weight: [K, C/G, R, S].
    """
    n, _, h, w = input.shape
    k, c, r, s = weight.shape
    groups, group_filters = geometry.groups, k // geometry.groups
    output = empty_output(input, list(input.shape))
    if grad.stride(1) != 1:
        grad = grad.contiguous(memory_format=torch.channels_last)
    (stride_h, stride_w) = geometry.stride
    phases, pixels = stride_h * stride_w, n * -(-h // stride_h) * -(-w // stride_w)
    tile = tile or choose(GRADIENT_TILES, pixels, c, groups * phases, processors(input.device))
    exchanged = _words(weight).unflatten(0, (groups, group_filters)).transpose(1, 2)
    tiled = _tiled(exchanged, tile.block_n)
    zeros = _zeros(grad)
    grid = (-(-pixels // tile.block_m) * phases, tiled.shape[1], groups)
    _kernel(kernels.input_gradient_kernel)[grid](
        grad, input, tiled, output, zeros,
        pixels, c, h, w, group_filters, *grad.shape[2:],
        grad.stride(0), grad.stride(2), grad.stride(3), *input.stride(), *output.stride(),
        *geometry.stride, *geometry.padding, *geometry.dilation,
        r, s,
        SITE="clip" if gradient == "full" else "sign", EMULATE=emulate, ALIGNED=_aligned(grad, group_filters),
        **tile.constants(), **_options(),
    )  # fmt: skip
    return output


def weight_gradient_of(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor:
    """Σ g · (x - w), computed as gᵀx - w·Σg, or Σ g · sign(x - w): [K, C/G, R, S] like `weight`. Sums are in
    fp32.
    """
    n, _, h, w = input.shape
    k, c, r, s = weight.shape
    groups, group_filters = geometry.groups, k // geometry.groups
    p, q = grad.shape[2:]
    if input.stride(1) != 1:
        input = input.contiguous(memory_format=torch.channels_last)
    if grad.stride(1) != 1:
        grad = grad.contiguous(memory_format=torch.channels_last)
    pixels, least = n * p * q, 32
    block_k, block_c = _block(group_filters), _block(c)
    tiles = -(-group_filters // block_k) * -(-c // block_c)
    wanted = -(-4 * processors(input.device) // (tiles * r * s * groups))
    room = max(1, _LARGEST_SPLIT_BYTES // (4 * weight.numel()))
    each = -(-pixels // max(1, min(wanted, room, -(-pixels // (8 * least)))))
    each += -each % least
    splits = -(-pixels // each)
    part = torch.empty((splits, *weight.shape), dtype=torch.float32, device=weight.device)
    common = (
        pixels, each, c, h, w, group_filters, p, q,
        grad.stride(0), grad.stride(2), grad.stride(3),
        input.stride(0), input.stride(2), input.stride(3),
        *geometry.stride, *geometry.padding, *geometry.dilation,
        s, r * s, groups,
    )  # fmt: skip
    grid = (tiles, r * s, splits * groups)
    blocks = {"BLOCK_K": block_k, "BLOCK_C": block_c, "num_warps": WARPS}
    if gradient == "sign":
        _kernel(weight_gradient.weight_sign_kernel)[grid](
            grad, input, weight.contiguous(), part, *common, **blocks
        )
        return part.sum(0).to(weight.dtype)
    _kernel(weight_gradient.weight_product_kernel)[grid](grad, input, part, *common, BLOCK_P=least, **blocks)
    pull = grad.sum((0, 2, 3), dtype=torch.float32)[:, None, None, None]
    return part.sum(0).addcmul_(weight.float(), pull, value=-1).to(weight.dtype)


def pack_signs(image: Tensor, groups: int) -> Tensor:
    """[N, C, H, W] to [N, G·⌈C/G/32⌉, H, W] int32 words of signs, channels-last. Bits beyond the last channel
    are 0.
    """
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
    """[N, C, H, W] uint8 to [N, G·⌈C/G/4⌉, H, W] int32 words of four channels, channels-last. Bytes beyond
    the last channel are 0.
    """
    grouped = image.permute(0, 2, 3, 1).unflatten(3, (groups, -1))
    padded = F.pad(grouped, (0, -grouped.shape[4] % 4))
    n, h, w, _, width = padded.shape
    return _as_words(padded).view(n, h, w, groups * width // 4).permute(0, 3, 1, 2)


def pack_halves(image: Tensor) -> Tensor:
    """[N, C, H, W] fp16 to [N, C/2, H, W] int32 words of two channels, channels-last. C must be even."""
    n, c, h, w = image.shape
    return _as_words(image.permute(0, 2, 3, 1)).view(n, h, w, c // 2).permute(0, 3, 1, 2)


def _as_words(tensor: Tensor) -> Tensor:
    """The elements of a tensor in order, as one row of int32.

    The tensor is flattened first: a dimension of size 1 may have any stride, and with such a stride torch
    refuses to view the elements as wider ones."""
    row = tensor.reshape(-1)
    row = row.clone() if row.storage_offset() % (4 // row.element_size()) else row
    return row.view(torch.int32)


def _tiled(weight: Tensor, block: int) -> Tensor:
    """[G, K, C, R, S] to [G, tiles of K, R·S·C, block], zero beyond K. The weights of a step become
    neighbours.
    """
    groups, k = weight.shape[:2]
    padded = F.pad(weight, (0, 0, 0, 0, 0, 0, 0, -k % block)) if k % block else weight
    tiles = padded.unflatten(1, (-1, block)).permute(0, 1, 4, 5, 3, 2)
    dense: Tensor = tiles.reshape(groups, tiles.shape[1], -1, block).contiguous()
    return dense


def _words(weight: Tensor) -> Tensor:
    """The weight with 32-bit elements. Half precision is widened here, once, instead of in the inner loop."""
    return weight if weight.element_size() == 4 else weight.float()


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros(UNROLL, dtype=like.dtype, device=like.device)


def _aligned(channels_last: Tensor, group_channels: int) -> bool:
    """Whether each group's channels of every pixel start at a multiple of 16 bytes."""
    size = channels_last.element_size()
    strides = (channels_last.stride(i) for i in (0, 2, 3) if channels_last.shape[i] > 1)
    numbers = (*strides, group_channels if channels_last.shape[1] > group_channels else 0)
    return channels_last.data_ptr() % _LOAD_BYTES == 0 and all(n * size % _LOAD_BYTES == 0 for n in numbers)


def _dense(output: Tensor, group_filters: int) -> bool:
    """Whether four neighbouring filters can be written at once."""
    return (
        output.element_size() == 4
        and output.stride(1) == 1
        and group_filters % 4 == 0
        and all(stride % 4 == 0 for stride in (output.stride(0), output.stride(2), output.stride(3)))
        and output.data_ptr() % _LOAD_BYTES == 0
    )


def _block(size: int) -> int:
    """The power of two that covers `size`: at least 16, the smallest matrix product, and at most 64."""
    return min(64, max(16, 1 << (size - 1).bit_length()))


def _options() -> dict[str, int]:
    """Compiler options. AMD's compiler has no option that limits registers."""
    return {"num_warps": WARPS} | ({} if torch.version.hip else {"maxnreg": MOST_REGISTERS})


def _kernel(function: Any) -> Any:
    """The same function, untyped, because the type that `triton.jit` returns does not help."""
    return function
