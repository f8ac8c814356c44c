"""Packed binary convolution by table look-up, for processors with vectors of 256 bits and no instruction
that counts the bits of a vector's lanes.

A look-up and an addition of bytes do 128 sites, where counting the bits of 256 sites takes eight
operations. The bytes of the words are looked up as they are; the weights are arranged once, a half of a
byte in each byte.
"""

from __future__ import annotations

import ctypes
import weakref
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from addercost.kernels.cpu.binary.lookup_loops import LANES, MOST_TERMS, TABLE, LookupNumbers, lookup_sums
from addercost.kernels.cpu.binary.packing import Packing, packable, plan_packing
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.ir.native import host_features
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.problem import Geometry
from addercost.kernels.signs import words_of

_TILES = {1: (8, 7, 5, 4, 6, 3, 2, 1), 2: (4, 5, 3, 2, 1)}
"""Pixels of a tile by vectors of filters; the first of equals is taken."""


@cache
def looks_up_here() -> bool:
    """Whether this processor is one of those."""
    features = host_features()
    return "avx2" in features and "avx512vpopcntdq" not in features


def takes(shape: tuple[int, int, int, int], geometry: Geometry) -> bool:
    """Whether the look-ups compute a layer with a weight of this shape, and faster than counting bits."""
    k, c, r, s = shape
    plain = geometry.groups == geometry.dilation[1] == 1 and k % LANES == 0
    return looks_up_here() and plain and c * r * s <= MOST_TERMS


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """calls: of the loop, of which each lacks weights, factors and table. shape, layout: of the output."""

    packing: Packing
    vectors: int
    calls: tuple[NativeCall, ...]
    shape: tuple[int, int, int, int]
    layout: torch.memory_format

    def run(self, image: Tensor, weights: Tensor, factors: Tensor, output: Tensor) -> None:
        """Computes the output of a packed image."""
        given = weights.data_ptr(), factors.data_ptr(), _table().data_ptr()
        calls = tuple(call._replace(function=partial(call.function, *given)) for call in self.calls)
        run_shares(calls, image.data_ptr(), output.data_ptr())


def convolve(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
) -> Tensor | None:
    """As `convolution.convolve`, for a layer that `takes` it."""
    if not packable(input.shape, input.stride()):
        input = input.contiguous()
    plan = lookup_plan(input.shape, input.stride(), shape, geometry, layout, torch.get_num_threads())
    image = plan.packing.fresh()
    if plan.packing.pack_into(input, image):
        return None
    output = torch.empty(plan.shape, dtype=torch.float32, memory_format=plan.layout)
    plan.run(image, arranged(words, plan.vectors), factors, output)
    return output if plan.layout is layout else output.contiguous(memory_format=layout)


@lru_cache(maxsize=1024)
def lookup_plan(
    input_size: tuple[int, int, int, int],
    input_stride: tuple[int, ...],
    weight_size: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
) -> LookupPlan:
    """The plan for images of these sizes and strides."""
    (n, _, height, width), (k, c, r, s) = input_size, weight_size
    (step_y, step_x), (top, left) = geometry.stride, geometry.padding
    p, q = geometry.output_size((height, width), (r, s))
    packing = plan_packing(input_size, input_stride, 1, geometry.padding, threads=threads)
    pixel = 4 * words_of(c)
    line = (width + 2 * left) * pixel
    by_image, by_row, rows, columns = (height + 2 * top) * line, step_y * line, p, q
    if r == s == step_y == step_x == 1 and not (top or left):
        rows, columns = 1, p * q
    vectors = 2 if k % (2 * LANES) == 0 else 1
    # Channels-first, pixels are stored in fours.
    channels_last = layout == torch.channels_last or columns < 4
    tiles = [t for t in _TILES[vectors] if t <= columns and (channels_last or t % 4 == 0)]
    pixels = min(tiles, key=lambda t: -(-columns // t) * t)
    calls = []
    for share in shares(n, rows, n * k * p * q * c * r * s // LANES, threads):
        numbers = LookupNumbers(
            images=share.images,
            rows=share.rows,
            columns=columns,
            blocks=k // LANES // vectors,
            filter_rows=r,
            run=s * pixel,
            terms=c * r * s,
            by_pixel=step_x * pixel,
            by_row=by_row,
            by_image=by_image,
            by_filter_row=geometry.dilation[0] * line,
            by_output_image=p * q * k,
            by_filter=p * q,
            filters=k,
        )
        source = share.first_image * by_image + share.first_row * by_row
        target = share.first_image * k * p * q + share.first_row * columns * (k if channels_last else 1)
        loop = lookup_sums(vectors, pixels, channels_last)
        calls.append(NativeCall(loop, source, 4 * target, as_array(numbers)))
    written = torch.channels_last if channels_last else layout
    return LookupPlan(packing, vectors, tuple(calls), (n, k, p, q), written)


@dataclass(frozen=True, slots=True)
class _Arranged:
    """words: a weak reference to them. as_were: a copy of their values."""

    words: Any
    as_were: Tensor
    halves: Tensor


_arranged: dict[int, _Arranged] = {}
"""By the words' identity."""


def arranged(words: Tensor, vectors: int) -> Tensor:
    """The words as the loop reads them, kept until they change or are gone. Comparing them with a copy takes
    less time than arranging them, and sees every change."""
    number = id(words)
    kept = _arranged.get(number)
    if kept is None or kept.words() is not words or not torch.equal(kept.as_were, words):
        reference = weakref.ref(words, partial(_forget, number))
        kept = _arranged[number] = _Arranged(reference, words.clone(), _halves(words, vectors))
    return kept.halves


def _forget(number: int, reference: Any) -> None:
    kept = _arranged.get(number)
    if kept is not None and kept.words is reference:
        del _arranged[number]


def _halves(words: Tensor, vectors: int) -> Tensor:
    """[block, byte of the taps, half, filter] bytes of words [1, taps, filters]."""
    of_bytes = words[0].contiguous().view(torch.uint8).unflatten(1, (-1, 4)).transpose(1, 2).flatten(0, 1)
    halves = torch.stack((of_bytes & 15, of_bytes >> 4), 1)
    made: Tensor = halves.unflatten(2, (-1, vectors * LANES)).permute(2, 0, 1, 3).contiguous()
    return made


@cache
def _table() -> Tensor:
    table = torch.empty(len(TABLE), dtype=torch.uint8)
    ctypes.memmove(table.data_ptr(), TABLE, len(TABLE))
    return table
