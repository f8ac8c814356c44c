"""Packed binary convolution by table look-up, for processors with 256-bit vectors that cannot count the bits
of each lane in one instruction.

One look-up and one addition of bytes handle 128 pairs of an input's sign and a weight's sign. Counting bits
takes eight operations for 256 pairs. The image's words are used as they are, byte by byte. The weights are
rearranged once: each byte then holds half a byte of the packed weights.
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
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Call
from addercost.kernels.signs import words_of
from addercost.kernels.store import PLAIN, Store

_TILES = {1: (8, 7, 5, 4, 6, 3, 2, 1), 2: (4, 5, 3, 2, 1)}
"""Candidate numbers of pixels in a tile, by the tile's number of vectors of filters. Of several that are
equally good, the first is taken.
"""


@cache
def looks_up_here() -> bool:
    """Whether this processor has 256-bit vectors but no instruction that counts bits lane by lane."""
    features = host_features()
    return "avx2" in features and "avx512vpopcntdq" not in features


def takes(shape: tuple[int, int, int, int], geometry: Geometry) -> bool:
    """Whether the look-ups can compute a layer whose weight has this shape, on a processor where they are
    faster than counting bits.
    """
    k, c, r, s = shape
    plain = geometry.groups == geometry.dilation[1] == 1 and k % LANES == 0
    return looks_up_here() and plain and c * r * s <= MOST_TERMS


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """How to compute the layer for images of one size.

    calls: of the loop; each still needs the addresses of weights, factors and table. shape, layout, dtype: of
    the output.
    """

    packing: Packing
    vectors: int
    calls: tuple[NativeCall, ...]
    shape: tuple[int, int, int, int]
    layout: torch.memory_format
    dtype: torch.dtype

    def run(
        self, image: Tensor, weights: Tensor, factors: Tensor, shortcut: Tensor | None, output: Tensor
    ) -> None:
        """Computes `output` from a packed image."""
        added = 0 if shortcut is None else shortcut.data_ptr()
        others = weights.data_ptr(), factors.data_ptr(), _table().data_ptr(), added
        run_shares(self.calls, image.data_ptr(), output.data_ptr(), others)


def convolve(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    signs: bool = False,
    store: Store = PLAIN,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    """The same result as `convolution.convolve`, for a layer of which `takes` is true. With `signs` it is
    the signs of that result alone, as `signs.pack_image` packs them.
    """
    stored = store, shortcut is not None
    if (call := _call(input, shape, geometry, layout, signs, *stored)) is None:
        input = input.contiguous()
        call = _call(input, shape, geometry, layout, signs, *stored)
        assert call is not None
    return call(input, words, factors, *(() if shortcut is None else (shortcut,)))


def ready_of(
    input: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    signs: bool = False,
    store: Store = PLAIN,
    adds: bool = False,
) -> Call | None:
    """`convolve` for an input of this size, these strides and this type, which may have no data, as a
    function of input, words, factors and, if it `adds` one, a shortcut. None where the input has to be copied
    first.
    """
    return _call(input, shape, geometry, output_layout(input), signs, store, adds)


def _call(
    input: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    signs: bool,
    store: Store,
    adds: bool,
) -> Call | None:
    of_words = input.dtype == torch.int32
    if not packable(input.shape, input.stride(), of_words):
        return None
    place = (input.shape, input.stride(), shape, geometry, layout)
    plan = lookup_plan(*place, torch.get_num_threads(), of_words, signs, store, adds)
    return partial(_convolve, plan, layout)


def _convolve(
    plan: LookupPlan,
    layout: torch.memory_format,
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    image = plan.packing.fresh()
    if plan.packing.pack_into(input, image):
        return None
    output = torch.empty(plan.shape, dtype=plan.dtype, memory_format=plan.layout)
    if shortcut is not None:
        shortcut = shortcut.contiguous(memory_format=plan.layout)
    plan.run(image, arranged(words, plan.vectors), factors, shortcut, output)
    return output if plan.layout is layout else output.contiguous(memory_format=layout)


@lru_cache(maxsize=1024)
def lookup_plan(
    input_size: tuple[int, int, int, int],
    input_stride: tuple[int, ...],
    weight_size: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
    of_words: bool = False,
    signs: bool = False,
    store: Store = PLAIN,
    adds: bool = False,
) -> LookupPlan:
    """The plan for images of these sizes and strides. of_words: their channels are words already. signs: the
    outputs are words of signs. adds: a shortcut is added to them."""
    (n, _, height, width), (k, c, r, s) = input_size, weight_size
    (step_y, step_x), (top, left) = geometry.stride, geometry.padding
    p, q = geometry.output_size((height, width), (r, s))
    packing = plan_packing(input_size, input_stride, 1, geometry.padding, threads=threads, of_words=of_words)
    pixel = 4 * words_of(c)
    line = (width + 2 * left) * pixel
    by_image, by_row, rows, columns = (height + 2 * top) * line, step_y * line, p, q
    if r == s == step_y == step_x == 1 and not (top or left):
        rows, columns = 1, p * q
    vectors = 2 if k % (2 * LANES) == 0 else 1
    # Channels-first floats are stored four pixels at a time.
    channels_last = layout == torch.channels_last or (columns < 4 and not signs)
    outputs = k // LANES if signs else k
    by_output, by_pixel = (1, outputs) if channels_last else (p * q, 1)
    tiles = [t for t in _TILES[vectors] if t <= columns and (channels_last or signs or t % 4 == 0)]
    pixels = min(tiles, key=lambda t: -(-columns // t) * t)
    calls = []
    for share in shares(n, rows, n * k * p * q * c * r * s // LANES, threads):
        before = share.first_image * p * q * outputs + share.first_row * columns * by_pixel
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
            by_output_image=p * q * outputs,
            by_output_pixel=by_pixel,
            by_output=by_output,
            filters=k,
            before=before,
            least=_bits(store.least),
            most=_bits(store.most),
        )
        source = share.first_image * by_image + share.first_row * by_row
        loop = lookup_sums(vectors, pixels, channels_last, signs, adds, store != PLAIN)
        calls.append(NativeCall(loop, source, 4 * before, as_array(numbers)))
    written = torch.channels_last if channels_last else layout
    dtype = torch.int32 if signs else torch.float32
    return LookupPlan(packing, vectors, tuple(calls), (n, outputs, p, q), written, dtype)


def _bits(value: float) -> int:
    """The bits of an fp32."""
    return ctypes.c_int32.from_buffer(ctypes.c_float(value)).value


@dataclass(frozen=True, slots=True)
class _Arranged:
    """Rearranged weights, with what shows whether they are still valid.

    words: a weak reference to the packed weights. as_were: a copy of their values. halves: the rearranged
    weights.
    """

    words: Any
    as_were: Tensor
    halves: Tensor


_arranged: dict[int, _Arranged] = {}
"""The rearranged weights by the `id` of the packed ones."""


def arranged(words: Tensor, vectors: int) -> Tensor:
    """The packed weights in the order in which the loop reads them.

    They are kept until the packed weights change or are deleted. Comparing the packed weights with a copy
    takes less time than rearranging them, and notices every change."""
    number = id(words)
    kept = _arranged.get(number)
    if kept is None or kept.words() is not words or not _same_words(kept.as_were, words):
        reference = weakref.ref(words, partial(_forget, number))
        kept = _arranged[number] = _Arranged(reference, words.clone(), _halves(words, vectors))
    return kept.halves


def _same_words(a: Tensor, b: Tensor) -> bool:
    """Whether two dense tensors have the same bits. `torch.equal` compares element by element."""
    return a.shape == b.shape and not _memcmp(a.data_ptr(), b.data_ptr(), a.nbytes)


_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t


def _forget(number: int, reference: Any) -> None:
    kept = _arranged.get(number)
    if kept is not None and kept.words is reference:
        del _arranged[number]


def _halves(words: Tensor, vectors: int) -> Tensor:
    """Turns words [1, taps, filters] into bytes [block, byte of the taps, half, filter]."""
    of_bytes = words[0].contiguous().view(torch.uint8).unflatten(1, (-1, 4)).transpose(1, 2).flatten(0, 1)
    halves = torch.stack((of_bytes & 15, of_bytes >> 4), 1)
    made: Tensor = halves.unflatten(2, (-1, vectors * LANES)).permute(2, 0, 1, 3).contiguous()
    return made


@cache
def _table() -> Tensor:
    table = torch.empty(len(TABLE), dtype=torch.uint8)
    ctypes.memmove(table.data_ptr(), TABLE, len(TABLE))
    return table
