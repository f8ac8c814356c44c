"""Every schedule that the algorithm allows for a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from addercost.kernels.cpu.dense.partition import (
    KEPT_BYTES,
    MOST_VECTORS,
    enough_tasks,
    image_fits,
    scratch_bytes,
)
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.processor import Core
from addercost.kernels.signs import FILTER_BLOCK

_LEAST_LANES = 4


def candidates(request: KernelRequest, core: Core) -> Iterator[Schedule]:
    """All tiles that fit the registers, along filters or along pixels, each with and without joined rows, a
    kept scratch image and maxima where these are possible.
    """
    maxima = (False, True)[: 1 + may_use_maxima(request)]
    for tile in (*_along_filters(request, core), *_along_pixels(request, core)):
        joined = (False, True)[: 1 + may_join(request, tile)]
        kept = (False, True)[: 1 + may_keep_scratch(request, tile)]
        for choice in product(joined, kept, maxima):
            yield replace(tile, joined=choice[0], kept_scratch=choice[1], by_maxima=choice[2])


def allows(request: KernelRequest, core: Core, schedule: Schedule) -> bool:
    """Whether `schedule` is one of the candidates."""
    return schedule in candidates(request, core)


def register_lanes(request: KernelRequest, core: Core) -> int:
    """Lanes of a register, of which each has a running sum."""
    return core.vector_bytes // request.arithmetic.lane_bytes


def filled_lanes(request: KernelRequest, core: Core, used: int) -> int:
    """Lanes of the widest vector that `used` numbers fill to more than half; if they fill none, those of the
    narrowest.
    """
    lanes = register_lanes(request, core)
    while lanes > _LEAST_LANES and used <= lanes // 2:
        lanes //= 2
    return lanes


def lane_counts(request: KernelRequest, core: Core) -> Iterator[int]:
    """The possible numbers of lanes of a vector, the whole register first."""
    lanes = register_lanes(request, core)
    while lanes >= min(_LEAST_LANES, core.vector_bytes // 8):
        yield lanes
        lanes //= 2


def fits(request: KernelRequest, core: Core, vectors: int, others: int) -> bool:
    """Whether the registers hold a tile's sums, weights and stationary operands, and one term."""
    sums, stationary = vectors * others, len(request.arithmetic.stationary)
    if stationary:
        return sums * (1 + stationary) <= core.registers
    return sums + vectors < core.registers


def _along_filters(request: KernelRequest, core: Core) -> Iterator[Schedule]:
    # Packed weights and factors are stored in blocks of filters. A tile has to divide such a block.
    blocks = request.packed_filters or request.arithmetic.scaled
    for lanes in lane_counts(request, core):
        for vectors in range(1, MOST_VECTORS + 1):
            if blocks and FILTER_BLOCK % (lanes * vectors):
                continue
            for pixels in range(1, core.registers):
                if fits(request, core, vectors, pixels) and not _aborts(request, core, vectors, pixels):
                    yield Schedule(lanes, vectors, pixels)


def _aborts(request: KernelRequest, core: Core, vectors: int, pixels: int) -> bool:
    """Whether Halide's LLVM ends the process ("calling a function with a bad signature") when it compiles
    this tile.

    It does so for tiles of 9 pixels with 16 registers and of 17 with 32: where the output is in NCHW, and for
    sums of packed bytes or words in tiles one vector wide. All other tiles compile.
    """
    packed = request.arithmetic.packed > 1 or request.arithmetic.of_words
    refused = not request.channels_last_output or (packed and vectors == 1)
    return refused and pixels == core.registers // 2 + 1


def _along_pixels(request: KernelRequest, core: Core) -> Iterator[Schedule]:
    site, extents = request.arithmetic, request.extents
    if site.stationary or site.packed > 1 or extents.stride_x > 1:
        return
    in_place = request.direct and request.planes
    if not in_place and (request.direct or request.packed_filters):
        return
    for lanes in lane_counts(request, core):
        for vectors in range(1, MOST_VECTORS + 1):
            # Planes of words have slack behind them. Other planes must not be read beyond their last pixel.
            if in_place and not site.of_words and extents.columns % (lanes * vectors):
                continue
            for filters in range(1, core.registers):
                if site.of_words and FILTER_BLOCK % filters:
                    continue
                if fits(request, core, vectors, filters):
                    yield Schedule(lanes, vectors, filters, across=True)


def may_join(request: KernelRequest, schedule: Schedule) -> bool:
    """Whether rows may be joined while every thread still has a task."""
    extents = request.extents
    if not request.joinable or request.direct or schedule.across or not image_fits(request.site, extents):
        return False
    return enough_tasks(extents.images, extents.filters, request.threads)


def may_use_maxima(request: KernelRequest) -> bool:
    """Whether the arithmetic has a form with maxima. That needs an image without a border of its own."""
    return bool(request.arithmetic.by_maxima) and not request.bordered


def may_keep_scratch(request: KernelRequest, schedule: Schedule) -> bool:
    """Whether the input is copied as planes, and the copy of all images fits in a cache."""
    if request.direct or (request.channels_last_input and not schedule.across):
        return False
    return request.extents.images * scratch_bytes(request.site, request.extents) <= KEPT_BYTES
