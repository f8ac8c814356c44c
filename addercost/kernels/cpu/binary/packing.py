"""Packs the signs of fp32 channels into words: bit i of word j is set where channel 32·j + i is negative. An
image that is words already is only given its border.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from addercost.kernels.cpu.binary.loops import (
    PackNumbers,
    copy_words,
    pack_pixels,
    pack_rows,
    pack_runs,
)
from addercost.kernels.cpu.dense.buffers import filled
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.ir.native import masks_bytes
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.signs import WORD, words_of

_MASKED_LANES, _LANES = (64, 16), (32, 16, 8)
"""How many pixels of a row are packed at a time: with mask registers, and without. Several vectors at once
read a longer stretch of each channel's row."""


def pack_signs(
    image: Tensor,
    groups: int,
    padding: tuple[int, int] = (0, 0),
    slack_pixels: int = 0,
    planar: bool = False,
) -> Tensor | None:
    """Packs the signs of [N, C, H, W] fp32 into [N, G·⌈C/G/32⌉, H + 2·padding, W + 2·padding] int32 words,
    channels-last, or with `planar` channels-first.

    The bits of the border, and those beyond the last channel, are 0. The memory extends `slack_pixels` beyond
    the last pixel. Returns None where the image has a NaN, which has no sign.
    """
    if not packable(image.shape, image.stride()):
        image = image.contiguous()
    packing = plan_packing(image.shape, image.stride(), groups, padding, slack_pixels, planar)
    memory = packing.fresh()
    if packing.pack_into(image, memory):
        return None
    return memory.as_strided(packing.size, packing.stride)


def packable(size: tuple[int, ...], stride: tuple[int, ...], of_words: bool = False) -> bool:
    """Whether an image with these strides can be packed without copying it first."""
    return of_words or size[1] == 1 or stride[1] == 1 or size[3] == 1 or stride[3] in (1, 2)


@dataclass(frozen=True, slots=True)
class Packing:
    """How to pack images of one size and one set of strides."""

    calls: tuple[NativeCall, ...]
    bordered: bool
    elements: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def fresh(self) -> Tensor:
        """Memory for the words. A border in it is zero, the rest uninitialised."""
        if self.bordered:
            return filled(self.elements, torch.int32)
        return torch.empty(self.elements, dtype=torch.int32)

    def pack_into(self, image: Tensor, memory: Tensor) -> bool:
        """Packs `image` into `memory` and leaves the border alone. Returns whether the image has a NaN."""
        return bool(run_shares(self.calls, image.data_ptr(), memory.data_ptr()))


@lru_cache(maxsize=4096)
def plan_packing(
    size: tuple[int, ...],
    stride: tuple[int, ...],
    groups: int,
    padding: tuple[int, int] = (0, 0),
    slack_pixels: int = 0,
    planar: bool = False,
    threads: int = 1,
    of_words: bool = False,
) -> Packing:
    """How to pack [N, C, H, W] images of this size and these strides, which must be `packable`, into the
    layout of `pack_signs`.

    planar: the words are channels-first, one plane for each word of a pixel. A large image is shared among
    `threads` threads. of_words: C counts words, which are packed already."""
    (n, c, h, w), (top, left) = size, padding
    words = c // groups if of_words else words_of(c // groups)
    total = groups * words
    rows, columns = h + 2 * top, w + 2 * left
    pixel = 1 if planar else total
    row, word = columns * pixel, rows * columns if planar else 1
    target = (rows * columns * total, row, pixel, word)
    # An image of one channel also counts as channels-first, because `pack_rows` takes more pixels at a time.
    channels_last = stride[1] == 1 if c > 1 else w > 1 and stride[3] not in (1, 2)
    calls = []
    for share in shares(n, h, n * c * h * w, threads):
        extents = (share.images, share.rows, w, groups, words, c // groups)
        numbers = PackNumbers._make((*extents, *stride, *target))
        loop, numbers = _copying(numbers) if of_words else _loop(numbers, channels_last)
        source = share.first_image * stride[0] + share.first_row * stride[2]
        first = share.first_image * target[0] + (share.first_row + top) * row + left * pixel
        calls.append(NativeCall(loop, 4 * source, 4 * first, as_array(numbers)))
    return Packing(
        tuple(calls),
        bool(top or left),
        # A kernel reads up to a tile of pixels beyond the last one, and ignores what it reads there.
        n * target[0] + slack_pixels * pixel,
        (n, total, rows, columns),
        (target[0], word, row, pixel),
    )


def _copying(numbers: PackNumbers) -> tuple[Any, PackNumbers]:
    """The loop that copies words, and the numbers to call it with. A row of dense pixels is one run."""
    total = numbers.groups * numbers.words
    numbers = numbers._replace(words=total)
    if numbers.sc == numbers.tw == 1 and numbers.sx == numbers.tx == total:
        numbers = numbers._replace(words=total * numbers.w, w=1)
    return copy_words(), numbers


def _loop(numbers: PackNumbers, channels_last: bool) -> tuple[Any, PackNumbers]:
    """The loop that suits these numbers, and the numbers to call it with. Rows may be joined into one row,
    and the pixels of a row into one run of words."""
    (_, h, w, groups, words, channels), (sy, sx) = numbers[:6], numbers[8:10]
    if h > 1 and sy == w * sx and numbers.ty == w * numbers.tx:
        w, h = w * h, 1
        numbers = numbers._replace(w=w, h=h)
    if not channels_last:
        choices = _MASKED_LANES if masks_bytes() else _LANES
        lanes = next((count for count in choices if count <= w), choices[-1])
        masked = masks_bytes() or w < lanes
        return pack_rows(lanes, sx if w > 1 else 1, numbers.tx == 1, masked), numbers
    if channels % WORD or numbers.tw != 1:
        return pack_pixels(16 if channels <= 16 else WORD), numbers
    run = words * groups
    if sx == WORD * run:
        return pack_runs(), numbers._replace(words=run * w, w=1)
    return pack_runs(), numbers._replace(words=run)
