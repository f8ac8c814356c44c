"""Depthwise convolution, one filter of one channel for each channel, that reads images where they lie."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from addercost.kernels.cpu.depthwise_pixels import across_channels
from addercost.kernels.cpu.depthwise_rows import along_rows
from addercost.kernels.cpu.depthwise_terms import SHORT_TAPS, Term, term
from addercost.kernels.cpu.depthwise_tile import NUMBERS, Loop
from addercost.kernels.cpu.depthwise_weights import laid
from addercost.kernels.cpu.plan import vector_bytes
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.problem import Geometry

_TILES = (8, 7, 4, 2, 1)
_SITES_AN_ELEMENT = 2
"""Of the sites that `shares` counts as the work on one element."""


_MOST_SITES = 400
"""Written out for a tile: more are compiled for long."""
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
    value `fill`, which floats have no other than 0 of. "binary" takes signs as in `kernels.signs`, or floats
    that have one.
    """
    if not _readable(input):
        input = input.contiguous()
    r, s = weight.shape[2:]
    plan = _plan(site, input.shape, input.stride(), (r, s), geometry, layout, torch.get_num_threads(), fill)
    taps = laid(weight.reshape(weight.shape[0], -1), plan.across_channels, plan.term.weight)
    output = torch.empty(plan.shape, dtype=plan.term.output, memory_format=plan.layout)
    others = taps.data_ptr(), 0 if factors is None else factors.data_ptr()
    calls = tuple(call._replace(function=partial(call.function, *others)) for call in plan.calls)
    run_shares(calls, input.data_ptr(), output.data_ptr())
    return output if plan.layout is layout else output.contiguous(memory_format=layout)


def _readable(image: Tensor) -> bool:
    """Whether rows or pixels lie densely."""
    return image.stride(1) == 1 or image.stride(3) == 1 or image.shape[3] == 1


@dataclass(frozen=True, slots=True)
class _Plan:
    calls: tuple[NativeCall, ...]
    across_channels: bool
    shape: tuple[int, int, int, int]
    term: Term
    layout: torch.memory_format
    blank: Tensor
    """A row, or pixel, of padded taps, which the calls hold the address of."""


@lru_cache(maxsize=4096)
def _plan(
    site: str,
    size: tuple[int, int, int, int],
    stride: tuple[int, int, int, int],
    filter_size: tuple[int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
    fill: int,
) -> _Plan:
    (n, c, h, w), (r, s) = size, filter_size
    p, q = geometry.output_size((h, w), filter_size)
    many_taps = r * s > SHORT_TAPS
    made = term(site, many_taps)
    # A single column is a row as well, and a single channel has no other vectors.
    across = stride[1] == 1 and c > 1
    kind = torch.channels_last if across else torch.contiguous_format
    most = vector_bytes() // (2 if made.element == "i8" else 4)
    row = s, geometry.stride[1], geometry.dilation[1]
    many = many_taps and made.sum == "i32"
    if across:
        lanes = _lanes(c, most, whole=True)
        function = across_channels(Loop(site, many, lanes, _tile(q), *row))
    else:
        lanes, tile = _lanes(q, most, whole=False), _tile(p)
        rows = r if r * s * tile <= _MOST_SITES else 1
        column = rows, geometry.stride[0], geometry.dilation[0]
        function = along_rows(Loop(site, many, lanes, tile, *row, *column, whole=lanes <= q))
    blank = torch.full((max(w, lanes),), fill, dtype=made.input)
    output = torch.empty((n, c, p, q), device="meta", memory_format=kind).stride()
    if across:
        # Torch leaves the strides of a single row or column open.
        output = (p * q * c, 1, q * c, c)
    element, out = made.input.itemsize, made.output.itemsize
    calls = []
    sites = n * c * p * q * r * s
    for share in shares(n, p if across else c, sites // _SITES_AN_ELEMENT, threads):
        numbers = (
            *(share.images, share.first_row, share.rows, c, h, w, p, q, r),
            *(geometry.stride[0], geometry.dilation[0], *geometry.padding),
            *(*stride, *output, blank.data_ptr(), fill),
        )
        calls.append(
            NativeCall(
                function,
                share.first_image * stride[0] * element,
                share.first_image * output[0] * out,
                (ctypes.c_int64 * len(NUMBERS))(*numbers),
            )
        )
    return _Plan(tuple(calls), across, (n, c, p, q), made, kind, blank)


def _lanes(size: int, most: int, whole: bool) -> int:
    """The vector for so many, of which all lanes hold something where it must be `whole`."""
    lanes = most
    while lanes > 1 and (lanes > size if whole else lanes // 2 >= size and lanes > 4):
        lanes //= 2
    return lanes


def _tile(size: int) -> int:
    """How many a tile has: the last is moved back over the one before it."""
    return next(count for count in _TILES if count <= size and (-size % count == 0 or count <= 4))
