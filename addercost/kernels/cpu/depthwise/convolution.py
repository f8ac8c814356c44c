"""Depthwise convolution: each channel has one filter of its own. Images are read in place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from addercost.kernels.cpu.depthwise.pixels import across_channels
from addercost.kernels.cpu.depthwise.rows import along_rows
from addercost.kernels.cpu.depthwise.terms import SHORT_TAPS, Term, term
from addercost.kernels.cpu.depthwise.tile import DepthwiseLoop, DepthwiseNumbers
from addercost.kernels.cpu.depthwise.weights import LoopOrder, loop_order
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.ir.halves import converts
from addercost.kernels.cpu.ir.native import masks_bytes
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Ready

_TILES = (8, 7, 4, 2, 1)
_SITES_AN_ELEMENT = 2
"""Sites (pairs of an input and a weight) that take as long as copying one element. `shares` counts
elements.
"""
_MOST_SITES = 400
"""The most sites that are unrolled in a tile; compiling more would take a second."""
_LONGEST_ROW = 32
"""The widest filter. The taps of a row are unrolled, so a wider one would be too much code."""


def takes(weight_size: tuple[int, ...], groups: int) -> bool:
    """Whether each channel has one filter of its own, at most `_LONGEST_ROW` wide."""
    filters, channels, _, columns = weight_size
    return channels == 1 and filters == groups and columns <= _LONGEST_ROW


def takes_half(input: Tensor, weight: Tensor) -> bool:
    """Whether the loop reads these operands of half precision as they are: they are of one type, and one
    instruction converts them. Rows need masked loads of 16 bits at borders, which have one as well.
    """
    readable = _is_across(input) or masks_bytes()
    return input.dtype == weight.dtype and readable and converts(input.dtype)


def _is_across(image: Tensor) -> bool:
    return image.stride(1) == 1 and image.shape[1] > 1


def convolve(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    layout: torch.memory_format,
    factors: Tensor | None = None,
    fill: int = 0,
) -> Tensor:
    """The sums of the arithmetic `site` (see `terms.term`) over input [N, C, H, W] and weight [C, 1, R, S],
    as [N, C, P, Q] in `layout`.

    factors: [2, C], the factor and the addend of each channel, where the arithmetic has them. fill: the value
    of a padded tap of bytes. A padded tap of floats is always 0.
    """
    return _convolved(site, input, weight, geometry, layout, factors, fill)[0]


def convolve_signs(
    input: Tensor, weight: Tensor, geometry: Geometry, layout: torch.memory_format, factors: Tensor
) -> Tensor | None:
    """factor · Σ sign(x)·sign(w) + addend of an fp32 input.

    weight: floats, or int32 whose lowest bit is set where the weight is negative. Returns None where the
    input has a NaN, which has no sign."""
    output, not_finite = _convolved("binary", input, weight, geometry, layout, factors)
    # An infinity has a sign, so only a NaN counts.
    return None if not_finite and input.isnan().any() else output


def ready_of(site: str, input: Tensor, weight: Tensor, geometry: Geometry) -> Ready | None:
    """`convolve` for floating-point operands of these sizes and strides, which may have no data. None where
    they have to be copied or converted first.
    """
    layout, across = output_layout(input), _is_across(input)
    if input.dtype != weight.dtype or (input.dtype != torch.float32 and not takes_half(input, weight)):
        return None
    written = torch.channels_last if across else torch.contiguous_format
    if not _readable(input) or _viewable(weight) is not weight or written is not layout:
        return None
    (n, c, h, w), (r, s) = input.shape, weight.shape[2:]
    shape = n, c, *geometry.output_size((h, w), (r, s))
    output = torch.empty(shape, device="meta", memory_format=layout)
    views = input.shape, input.stride(), output.shape, output.stride(), None
    weights = weight.shape, weight.stride(), weight.dtype
    plan = _plan(site, *views, *weights, geometry, across, torch.get_num_threads())
    return Ready(shape, layout, plan.write, term(site).output)


def _convolved(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    layout: torch.memory_format,
    factors: Tensor | None = None,
    fill: int = 0,
) -> tuple[Tensor, bool]:
    """The output, and whether an input is not finite. The latter is always False for an arithmetic that is
    not watched.
    """
    if not _readable(input):
        input = input.contiguous()
    n, c, h, w = input.shape
    r, s = weight.shape[2:]
    across = _is_across(input)
    kind = torch.channels_last if across else torch.contiguous_format
    dtype = term(site).output
    output = torch.empty((n, c, *geometry.output_size((h, w), (r, s))), dtype=dtype, memory_format=kind)
    not_finite = _run(site, input, weight, geometry, output, across, factors, fill)
    return output if kind is layout else output.contiguous(memory_format=layout), not_finite


def gradient(
    site: str, grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, target: Tensor
) -> None:
    """Writes the gradient into `target` [N, C, H, W], whose rows, or the channels of each pixel, must be
    contiguous.

    grad: [N, C, P, Q], read as the image. input: the layer's input, in the target's shape; it is the
    stationary operand. weight: [C, 1, R, S], flipped."""
    across = target.stride(1) == 1 and target.shape[1] > 1
    grad, input = (_dense(image, across) for image in (grad, input))
    _run(site, grad, weight, geometry, target, across, stationary=input)


def _dense(image: Tensor, across: bool) -> Tensor:
    if image.stride(1 if across else 3) == 1 or (image.shape[3] == 1 and not across):
        return image
    return image.contiguous(memory_format=torch.channels_last if across else torch.contiguous_format)


def _run(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    output: Tensor,
    across: bool,
    factors: Tensor | None = None,
    fill: int = 0,
    stationary: Tensor | None = None,
) -> bool:
    """Writes into `output`. Returns whether an input is not finite; always False for an arithmetic that is
    not watched.
    """
    views = (
        input.shape,
        input.stride(),
        output.shape,
        output.stride(),
        None if stationary is None else stationary.stride(),
    )
    weight = _viewable(weight)
    weights = weight.shape, weight.stride(), weight.dtype
    plan = _plan(site, *views, *weights, geometry, across, torch.get_num_threads(), fill)
    others = (0 if other is None else other.data_ptr() for other in (factors, stationary))
    return plan.write(input.data_ptr(), weight.data_ptr(), output.data_ptr(), *others)


def _viewable(weight: Tensor) -> Tensor:
    """The weight [C, 1, R, S] itself where its taps can be viewed as one axis, else a copy."""
    _, _, r, s = weight.shape
    if r == 1 or s == 1 or weight.stride(2) == s * weight.stride(3):
        return weight
    return weight.contiguous()


def _readable(image: Tensor) -> bool:
    """Whether rows, or the channels of each pixel, are contiguous."""
    return image.stride(1) == 1 or image.stride(3) == 1 or image.shape[3] == 1


@dataclass(frozen=True, slots=True)
class DepthwisePlan:
    calls: tuple[NativeCall, ...]
    order: LoopOrder
    blank: Tensor
    """A row or a pixel of padded taps. The calls contain its address, so it must live as long as they do."""

    def write(self, image: int, weights: int, output: int, factors: int = 0, stationary: int = 0) -> bool:
        """Computes the output from operands at these addresses. Returns whether an input is not finite;
        always False for an arithmetic that is not watched.
        """
        taps, memory = self.order.of(weights)
        not_finite = bool(run_shares(self.calls, image, output, (taps, factors, stationary)))
        del memory
        return not_finite


_Four = tuple[int, int, int, int]


@lru_cache(maxsize=4096)
def _plan(
    site: str,
    size: _Four,
    stride: _Four,
    output_size: _Four,
    output_stride: _Four,
    stationary_stride: _Four | None,
    weight_size: _Four,
    weight_stride: _Four,
    weight_type: torch.dtype,
    geometry: Geometry,
    across: bool,
    threads: int,
    fill: int = 0,
) -> DepthwisePlan:
    (n, c, h, w), (p, q), (r, s) = size, output_size[2:], weight_size[2:]
    many_taps = site.startswith("adder_u8") and r * s > SHORT_TAPS
    made = term(site, many_taps)
    most = vector_bytes() // (2 if made.input == torch.uint8 else 4)
    row = s, geometry.stride[1], geometry.dilation[1]
    if across:
        lanes = _lanes(c, most, whole=True)
        function = across_channels(DepthwiseLoop(site, many_taps, lanes, _tile(q, made), *row))
    else:
        lanes, tile = _lanes(q, most, whole=False), _tile(p, made)
        rows = r if r * s * tile <= _MOST_SITES else 1
        column = rows, geometry.stride[0], geometry.dilation[0]
        function = along_rows(DepthwiseLoop(site, many_taps, lanes, tile, *row, *column, whole=lanes <= q))
    blank = torch.full((max(w, lanes),), fill, dtype=made.input)
    stationary = stationary_stride or (0, 0, 0, 0)
    calls = []
    for share in shares(n, p if across else c, n * c * p * q * r * s // _SITES_AN_ELEMENT, threads):
        numbers = DepthwiseNumbers(
            *(share.images, share.first_row, share.rows, c, h, w, p, q, r),
            *(geometry.stride[0], geometry.dilation[0], *geometry.padding),
            *(*stride, *output_stride, blank.data_ptr(), fill),
            *(*stationary, share.first_image * stationary[0]),
        )
        calls.append(
            NativeCall(
                function,
                share.first_image * stride[0] * made.input.itemsize,
                share.first_image * output_stride[0] * made.output.itemsize,
                as_array(numbers),
            )
        )
    weight = torch.empty_strided(weight_size, weight_stride, dtype=weight_type, device="meta")
    return DepthwisePlan(tuple(calls), loop_order(weight.flatten(1), across, made.weight), blank)


def _lanes(size: int, most: int, whole: bool) -> int:
    """Lanes of the longest vector that suits `size` elements. With `whole`, every lane has an element."""
    lanes = most
    while lanes > 1 and (lanes > size if whole else lanes // 2 >= size and lanes > 4):
        lanes //= 2
    return lanes


def _tile(size: int, made: Term) -> int:
    """Vectors in a tile. The last tile is moved back to end at the edge, so it overlaps the one before it."""
    # A stationary operand needs as many registers as the sums, and only AVX-512 has 32 of them.
    most = 4 if made.stationary and vector_bytes() < 64 else _TILES[0]
    return next(count for count in _TILES if count <= min(size, most) and (-size % count == 0 or count <= 4))
