"""Packs the signs of fp32 channels into words: bit i of word j is set where channel 32·j + i is negative."""

from __future__ import annotations

from functools import cache
from typing import Any

import halide as hl
import torch
from torch import Tensor

from addercost.kernels.cpu.buffers import halide_buffer

WORD = 32


def pack_signs(image: Tensor, groups: int) -> Tensor:
    """[N, C, H, W] fp32 to [N, G·⌈C/G/32⌉, H, W] int32, channels-last; bits beyond the channels are clear."""
    n, c, h, w = image.shape
    if not (image.is_contiguous() or image.is_contiguous(memory_format=torch.channels_last)):
        image = image.contiguous()
    words = -(-c // groups // WORD)
    packed = torch.empty((n, h, w, groups, words), dtype=torch.int32)
    grouped = image.unflatten(1, (groups, -1))
    pixels_last = image.is_contiguous() and h * w > 1
    if pixels_last:
        source = grouped.reshape(n, groups, c // groups, h * w).permute(0, 3, 1, 2)
    else:
        source = image.permute(0, 2, 3, 1).reshape(n, h * w, groups, c // groups)
    kernel = _compiled(pixels_last, c // groups % WORD == 0)
    kernel(halide_buffer(source), halide_buffer(packed.view(n, h * w, groups, words)))
    return packed.flatten(3).permute(0, 3, 1, 2)


@cache
def _compiled(pixels_last: bool, whole_words: bool) -> Any:
    """The callable (input [c, g, pixel, n], words [j, g, pixel, n]), innermost first."""
    source = hl.ImageParam(hl.Float(32), 4, "source")
    j, g, m, n = (hl.Var(name) for name in "jgmn")
    bit = hl.RDom([(0, WORD)], "bit")
    channels = source.dim(0).extent()
    channel = j * WORD + bit.x
    negative = source[channel if whole_words else hl.min(channel, channels - 1), g, m, n] < 0
    if not whole_words:
        negative = negative & (channel < channels)
    shifted = hl.cast(hl.UInt(32), 1) << hl.cast(hl.UInt(32), bit.x)
    word, output = hl.Func("word"), hl.Func("words")
    word[j, g, m, n] = hl.cast(hl.UInt(32), 0)
    word[j, g, m, n] += hl.select(negative, shifted, hl.cast(hl.UInt(32), 0))
    output[j, g, m, n] = hl.cast(hl.Int(32), word[j, g, m, n])
    if pixels_last:
        source.dim(0).set_stride(hl.Expr())
        source.dim(2).set_stride(1)
        mo, mi = hl.Var("mo"), hl.Var("mi")
        output.split(m, mo, mi, 16, hl.TailStrategy.GuardWithIf).reorder(mi, mo, j, g, n).vectorize(mi)
        # The nine taps of a filter are most of a vector: masked loads, where a guard would go one by one.
        word.compute_at(output, mo).vectorize(m, 16, hl.TailStrategy.RoundUp)
        word.update().reorder(m, bit.x).vectorize(m, 16, hl.TailStrategy.PredicateLoads).unroll(bit.x)
    else:
        word.compute_at(output, j).update().atomic().vectorize(bit.x)
    return output.compile_to_callable([source], hl.get_jit_target_from_environment())
