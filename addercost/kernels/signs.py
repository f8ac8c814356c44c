"""Signs as words of bits. A packed binary layer keeps its weights in this form, and may pass its outputs on
in it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.errors import ArgumentError
from addercost.kernels.problem import empty_output

WORD = 32
FILTER_BLOCK = 32
"""The filters of a group are rounded up to a multiple of this, so that every block of a kernel is full."""


def words_of(channels: int) -> int:
    """The number of words that the signs of this many channels need."""
    return -(-channels // WORD)


def whole_blocks(filters: int) -> int:
    """The number of a group's filters rounded up to whole blocks."""
    return -(-filters // FILTER_BLOCK) * FILTER_BLOCK


def pack_filters(weight: Tensor, groups: int) -> Tensor:
    """Packs the signs of [K, C/G, R, S] into [G, R·S·⌈C/G/32⌉, K/G rounded up] int32. Filters are innermost.

    Bit i of the j-th word at a tap is set where channel 32·j + i is negative. Raises ArgumentError for a NaN,
    which has no sign."""
    if weight.isnan().any():
        raise ArgumentError("a weight is NaN, which has no sign to pack")
    filters = weight.shape[0] // groups
    grouped = _words(weight).unflatten(0, (groups, filters)).permute(0, 3, 4, 2, 1).flatten(1, 3)
    # Kernels need the words dense and in this order. Where `pad` has nothing to add, it returns the permuted
    # view.
    return F.pad(grouped, (0, -filters % FILTER_BLOCK)).contiguous()


def pack_image(image: Tensor) -> Tensor:
    """Packs the signs of [N, C, H, W] into [N, ⌈C/32⌉, H, W] int32, in the layout of `image`.

    Bit i of the j-th word of a pixel is set where channel 32·j + i is negative. Raises ArgumentError for a
    NaN."""
    if image.isnan().any():
        raise ArgumentError("a value between two binary layers is NaN, which has no sign to pass on")
    words = _words(image)
    return empty_output(image, list(words.shape), torch.int32).copy_(words)


def _words(values: Tensor) -> Tensor:
    """The signs of [K, C, R, S] as [K, ⌈C/32⌉, R, S] int32."""
    k, c, r, s = values.shape
    words = words_of(c)
    bits = torch.zeros(k, words * WORD, r, s, dtype=torch.int64, device=values.device)
    bits[:, :c] = values < 0
    shifts = torch.arange(WORD, device=values.device)[:, None, None]
    found = (bits.unflatten(1, (words, WORD)) << shifts).sum(2)
    # The highest bit of a word is the sign of an int32.
    words_of_signs: Tensor = found.where(found < 1 << 31, found - (1 << 32)).to(torch.int32)
    return words_of_signs


def words_by_filter(words: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """The same words as [K, ⌈C/G/32⌉, R, S], one filter after another. `shape` is that of the filters, [K,
    C/G, R, S].
    """
    k, c, r, s = shape
    taps = words[..., : k // words.shape[0]].unflatten(1, (r, s, words_of(c)))
    filters: Tensor = taps.permute(0, 4, 3, 1, 2).flatten(0, 1)
    return filters


def unpack_filters(words: Tensor, shape: tuple[int, int, int, int], dtype: torch.dtype) -> Tensor:
    """The ±1 weights of `shape` [K, C/G, R, S] whose signs are in `words`."""
    return unpack_image(words_by_filter(words, shape), shape[1], dtype)


def unpack_image(words: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """The ±1 image [N, C, H, W] whose signs are in `words`, [N, ⌈C/32⌉, H, W]."""
    bits = words[:, :, None] >> torch.arange(WORD, device=words.device)[:, None, None] & 1
    signs: Tensor = bits.flatten(1, 2)[:, :channels].to(dtype)
    return signs.mul_(-2).add_(1)


def pack_factors(scale: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """A factor and an addend for each filter, as [2, G, K/G rounded up]. Without a bias the addends are 0."""
    filters = scale.shape[0] // groups
    rows = scale.new_zeros(2, groups, whole_blocks(filters))
    for row, values in zip(rows, (scale, bias), strict=True):
        if values is not None:
            row[:, :filters] = values.view(groups, filters)
    return rows


def unpack_factors(factors: Tensor, filters: int) -> tuple[Tensor, Tensor]:
    """The factors and the addends, [K] each."""
    scale, bias = factors[..., : filters // factors.shape[1]].flatten(1)
    return scale, bias
