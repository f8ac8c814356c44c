"""Depthwise convolution, one filter of one channel for each channel, that reads images where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from addercost.kernels.cpu.depthwise.pixels import across_channels
from addercost.kernels.cpu.depthwise.rows import along_rows
from addercost.kernels.cpu.depthwise.terms import SHORT_TAPS, Term, term
from addercost.kernels.cpu.depthwise.tile import DepthwiseLoop, DepthwiseNumbers
from addercost.kernels.cpu.depthwise.weights import laid
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.processor import vector_bytes
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.problem import Geometry

_TILES = (8, 7, 4, 2, 1)
_SITES_AN_ELEMENT = 2
"""Of the sites that `shares` counts as the work on one element."""
_MOST_SITES = 400
"""Written out for a tile: more would take a second to compile."""
_LONGEST_ROW = 32
"""Of a filter: a longer one would be much code."""


def takes(weight_size: tuple[int, ...], groups: int) -> bool:
    """Whether there is one filter of one channel for each channel, of no unusual width."""
    filters, channels, _, columns = weight_size
    return channels == 1 and filters == groups and columns <= _LONGEST_ROW


def convolve(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    layout: torch.memory_format,
    factors: Tensor | None = None,
    fill: int = 0,
) -> Tensor:
    """The sums of a `term` over input [N, C, H, W] and weight [C, 1, R, S] as [N, C, P, Q] in `layout`.

    `factors`, [2, C], holds each channel's factor and addend where the site has them. A padded tap has the
    value `fill`, which floats have no other than 0 of.
    """
    return _convolved(site, input, weight, geometry, layout, factors, fill)[0]


def convolve_signs(
    input: Tensor, weight: Tensor, geometry: Geometry, layout: torch.memory_format, factors: Tensor
) -> Tensor | None:
    """factor · Σ sign(x)·sign(w) + addend; the weight is floats, or int32 of which the lowest bit is set
    where one is negative. None where a NaN is met, which has no sign."""
    output, odd = _convolved("binary", input, weight, geometry, layout, factors)
    # It may have been an infinity.
    return None if odd and input.isnan().any() else output


def _convolved(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    layout: torch.memory_format,
    factors: Tensor | None = None,
    fill: int = 0,
) -> tuple[Tensor, bool]:
    """The output, and whether an input that is watched was not finite."""
    if not _readable(input):
        input = input.contiguous()
    n, c, h, w = input.shape
    r, s = weight.shape[2:]
    across = input.stride(1) == 1 and c > 1
    kind = torch.channels_last if across else torch.contiguous_format
    dtype = term(site).output
    output = torch.empty((n, c, *geometry.output_size((h, w), (r, s))), dtype=dtype, memory_format=kind)
    odd = _run(site, input, weight, geometry, output, across, factors, fill)
    return output if kind is layout else output.contiguous(memory_format=layout), odd


def gradient(
    site: str, grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, target: Tensor
) -> None:
    """Writes the sums over `grad` [N, C, P, Q], as the image, into `target` [N, C, H, W], at each of which
    `input` is held; `weight` is [C, 1, R, S] and turned round. The target's rows or pixels lie densely."""
    across = target.stride(1) == 1 and target.shape[1] > 1
    grad, input = (_dense(image, across) for image in (grad, input))
    _run(site, grad, weight, geometry, target, across, held=input)


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
    held: Tensor | None = None,
) -> bool:
    """Writes into `output`; whether an input that is watched was not finite."""
    r, s = weight.shape[2:]
    views = (
        input.shape,
        input.stride(),
        output.shape,
        output.stride(),
        None if held is None else held.stride(),
    )
    plan = _plan(site, *views, (r, s), geometry, across, torch.get_num_threads(), fill)
    taps = laid(weight.reshape(weight.shape[0], -1), across, plan.weight)
    others = [taps.data_ptr(), *(0 if other is None else other.data_ptr() for other in (factors, held))]
    calls = tuple(call._replace(function=partial(call.function, *others)) for call in plan.calls)
    return bool(run_shares(calls, input.data_ptr(), output.data_ptr()))


def _readable(image: Tensor) -> bool:
    """Whether rows or pixels lie densely."""
    return image.stride(1) == 1 or image.stride(3) == 1 or image.shape[3] == 1


@dataclass(frozen=True, slots=True)
class _Plan:
    calls: tuple[NativeCall, ...]
    weight: torch.dtype
    blank: Tensor
    """A row, or pixel, of padded taps, which the calls hold the address of."""


_Four = tuple[int, int, int, int]


@lru_cache(maxsize=4096)
def _plan(
    site: str,
    size: _Four,
    stride: _Four,
    output_size: _Four,
    output_stride: _Four,
    held_stride: _Four | None,
    filter_size: tuple[int, int],
    geometry: Geometry,
    across: bool,
    threads: int,
    fill: int,
) -> _Plan:
    (n, c, h, w), (p, q), (r, s) = size, output_size[2:], filter_size
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
    held = held_stride or (0, 0, 0, 0)
    calls = []
    for share in shares(n, p if across else c, n * c * p * q * r * s // _SITES_AN_ELEMENT, threads):
        numbers = DepthwiseNumbers(
            *(share.images, share.first_row, share.rows, c, h, w, p, q, r),
            *(geometry.stride[0], geometry.dilation[0], *geometry.padding),
            *(*stride, *output_stride, blank.data_ptr(), fill),
            *(*held, share.first_image * held[0]),
        )
        calls.append(
            NativeCall(
                function,
                share.first_image * stride[0] * made.input.itemsize,
                share.first_image * output_stride[0] * made.output.itemsize,
                as_array(numbers),
            )
        )
    return _Plan(tuple(calls), made.weight, blank)


def _lanes(size: int, most: int, whole: bool) -> int:
    """The vector for so many, of which all lanes hold something where it must be `whole`."""
    lanes = most
    while lanes > 1 and (lanes > size if whole else lanes // 2 >= size and lanes > 4):
        lanes //= 2
    return lanes


def _tile(size: int, made: Term) -> int:
    """How many a tile has: the last is moved back over the one before it."""
    # What is held needs as many registers as the sums, and 32 are there with long vectors only.
    most = 4 if made.held and vector_bytes() < 64 else _TILES[0]
    return next(count for count in _TILES if count <= min(size, most) and (-size % count == 0 or count <= 4))
