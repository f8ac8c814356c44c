"""The schedule of a layer that was not tuned: the tile that is estimated to take the least time.

The estimate is the number of sites (pairs of an input and a weight), including those that are computed in
vain at the edges, times factors for short chains of sums and for loads. On cores where a load is free beside
the arithmetic, a tile one vector of filters wide is best: the instruction that uses an input broadcasts it
from memory. On other cores a tile should need few loads for each site, so it has as many vectors and pixels
as the registers hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from addercost.kernels.cpu.dense.candidates import (
    filled_lanes,
    fits,
    may_join,
    may_keep_scratch,
    may_use_maxima,
)
from addercost.kernels.cpu.dense.extents import Extents, rounded
from addercost.kernels.cpu.dense.partition import many_blocks
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.processor import Core, host_core

_PIXELS = {
    32: {
        1: (8, 7, 10, 14, 12, 16, 6, 5, 3, 1, 4),
        2: (8, 7, 10, 12, 5, 3, 1, 4),
        3: (8, 7, 1, 4),
        4: (6, 5, 4, 3, 1),
    },
    16: {1: (6, 8, 10, 1, 4), 2: (4, 5, 6, 1), 3: (4, 1)},
}
"""Candidate numbers of pixels in a tile, by the number of registers and of vectors. Of several that are
equally good, the first is taken. Weights, broadcast inputs, differences and the sign mask need registers too.
"""
_OTHERS_OF_16 = {"mac": 1, "mac_powers": 1}
_MORE_OTHERS_OF_16 = 3
"""Of 16 registers, those that hold neither sums nor weights: a broadcast input and, where the arithmetic
needs them, the sign mask and the factor -1. The difference overwrites the input. For the adder, a tile of 2 ×
6 vectors needs one register too many: on Zen 3 it takes 1.4 to 1.8 times as long as one of 2 × 5."""
_WEIGHT_CYCLES = 0.5
"""Cycles that each vector of weights adds to a step on cores with 16 registers. A tile of few pixels reads
its weights often, and they come from the second-level cache. Measured with 3×3 layers of 128 and 256 channels
on Zen 3, where multiply-adds in tiles of 2 × 6 vectors take 0.67 to 0.84 times as long as in tiles of 2 × 4.
"""
_FEW_SUMS = {1: 2.0, 2: 1.5, 3: 1.2, 4: 1.1}
"""How many times as long a site takes in a tile of this few sums as in a large tile: so few sums do not hide
their latency. The values for 3 and 4 were measured on Zen 4 with layers of 3 × 3 and 4 × 4 pixels; the others
follow from the latency."""
_FEW_WORD_SUMS = {count: time for count, time in _FEW_SUMS.items() if count < 4}
"""The same for sums of integers. Their latency is one cycle, so four of them hide it."""
_TRANSPOSING = (8.0, 3.5)
"""How many steps of the sum take as long as transposing a tile of words or bytes: first for any number of
pixels, then for a power of two. Other numbers of pixels are written in several pieces. Measured with layers
of 28 × 28 pixels on Zen 4."""
_WORTH_JOINING = 0.98
"""Rows are joined if the tiles then take less than this share of the time."""
_FEW_FILTERS = 8
_FILTERS_ACROSS = 8
_FILTERS_ALONG_PLANES = (16, 12, 8)
_VECTORS_OF_16, _FILTERS_OF_16 = 2, 4
"""The tile along planes on cores with 16 registers. On Zen 3 it takes 0.75 to 0.88 times as long as tiles
along filters, which have to be transposed."""
_TILE_FILTERS = (1, 2, 4, 6, 8)
_CHANNELS_OF_MAXIMA, _FILTERS_OF_MAXIMA, _OUTPUTS_OF_MAXIMA = 32, 24, 32
_PIXELS_OF_MAXIMA, _SITES_OF_MAXIMA = 4, 1_500_000
"""The fewest channels, filters, outputs of an image and filter, pixels in a tile, and sites of a layer by
maxima. Measured on Ice Lake: layers with fewer take 0.9 to 2 times as long as by differences, ResNet's others
0.69 to 0.93 times."""
_OPERATIONS = {"mac": 1, "mac_powers": 1}
_OTHER_OPERATIONS = 3
"""Vector operations of a step: difference, absolute value and sum; or comparison, count and sum."""


def default_schedule(request: KernelRequest, core: Core | None = None) -> Schedule:
    """The schedule for `request` on `core`; without a core, on this machine's."""
    core = core or host_core()
    schedule = _by_differences(request, core)
    return replace(schedule, by_maxima=_by_maxima(request, core, schedule))


def _by_maxima(request: KernelRequest, core: Core, schedule: Schedule) -> bool:
    """Whether maxima save more time than the sums beside them take."""
    extents = request.extents
    outputs = extents.images * extents.rows * extents.columns * extents.filters
    sites = outputs * extents.channels * extents.filter_y * extents.filter_x
    return (
        core.prefers_maxima
        and may_use_maxima(request)
        and extents.channels >= _CHANNELS_OF_MAXIMA
        and extents.filters >= _FILTERS_OF_MAXIMA
        and extents.rows * extents.columns >= _OUTPUTS_OF_MAXIMA
        and schedule.pixels >= _PIXELS_OF_MAXIMA
        and sites >= _SITES_OF_MAXIMA
    )


def _by_differences(request: KernelRequest, core: Core) -> Schedule:
    """The rule's tile and what is joined or copied, of either form."""
    site, extents = request.arithmetic, request.extents
    few_filters = None if request.direct or request.packed_filters else _across(request, core)
    if few_filters is not None:
        return few_filters
    if request.direct and request.planes:
        if site.of_words and (vectors := _vectors_across(request, core)):
            return Schedule(core.vector_bytes // 4, vectors, _FILTERS_ACROSS, across=True)
        if not site.of_words and _along_planes(request, core):
            return _planes_tile(request, core)
    time, schedule = _tile(request, core, extents, request.bordered and not request.channels_last_output)
    if may_join(request, schedule):
        in_one, tile = _tile(request, core, extents.joined())
        if in_one < _WORTH_JOINING * time:
            schedule = replace(tile, joined=True)
    kept = may_keep_scratch(request, schedule) and many_blocks(request.site, schedule, extents)
    return replace(schedule, kept_scratch=kept)


def _tile(
    request: KernelRequest, core: Core, extents: Extents, transposed: bool = False
) -> tuple[float, Schedule]:
    """The tile that takes the least time for an image of `extents`, and that time in arbitrary units."""
    site, wide = request.arithmetic, core.registers == 32
    lanes = filled_lanes(request, core, extents.filters)
    few, most = (_FEW_WORD_SUMS, 3) if site.of_words else (_FEW_SUMS, 4)
    short = most if wide else 3
    steps = extents.channels * extents.filter_y * extents.filter_x / site.packed

    def time(tile: Schedule) -> float:
        filters, columns = rounded(extents.filters, tile.block), rounded(extents.columns, tile.pixels)
        transposing = _TRANSPOSING[tile.pixels & (tile.pixels - 1) == 0] / steps if transposed else 0
        sites = filters * extents.rows * columns
        return (
            sites
            * few.get(tile.vectors * tile.pixels, 1)
            * (1 + transposing)
            * load_factor(request.site, core, tile.vectors, tile.pixels)
            * (1 if core.registers == 32 else 1 + _WEIGHT_CYCLES / _cycles(request.site, core) / tile.pixels)
        )

    tiles = [
        Schedule(lanes, vectors, pixels)
        for vectors in _vector_counts(request, core, lanes)
        for pixels in _PIXELS[core.registers][vectors]
        if _stays_in_registers(request, core, vectors, pixels)
        # A short tile has too few sums to hide their latency. It is for short rows only.
        and (pixels > short or vectors > 3 or extents.columns <= short)
    ]
    if request.bordered and extents.filters <= lanes:
        # A long tile hides the latency of short sums.
        tiles.sort(key=lambda tile: -tile.pixels)
    best = min(tiles, key=time)
    return time(best), best


def load_factor(site: str, core: Core, vectors: int, others: int) -> float:
    """How many times as long a site takes with its loads as without: a step of v vectors and p broadcasts has
    v + p loads.
    """
    return 1 + core.load_cycles / _cycles(site, core) * (1 / vectors + 1 / others)


def _cycles(site: str, core: Core) -> float:
    """Cycles of the arithmetic of a step on one vector."""
    return _OPERATIONS.get(site, _OTHER_OPERATIONS) / core.ports


def _vector_counts(request: KernelRequest, core: Core, lanes: int) -> tuple[int, ...]:
    site, more = request.arithmetic, request.extents.filters > lanes
    stationary, packed = len(site.stationary), site.packed
    wide = core.vector_bytes >= 64
    if not more or stationary > 1:
        return (1,)
    if core.load_cycles:
        # Weights of words and factors are stored in blocks of 32 filters.
        return (1, 2) if stationary or site.of_words or (site.scaled and site.lane_bytes == 4) else (1, 2, 4)
    # With 32 registers, a broadcast input is read from memory by the instruction that uses it, so using it
    # twice saves nothing.
    if not (stationary or packed > 1 or not wide):
        return (1,)
    # Factors are stored in blocks of 32 filters, which three vectors do not divide.
    return (2,) if stationary or request.packed_filters or site.scaled else (2, 3)


def _stays_in_registers(request: KernelRequest, core: Core, vectors: int, pixels: int) -> bool:
    if core.registers == 16 and vectors > 1:
        others = _OTHERS_OF_16.get(request.site, _MORE_OTHERS_OF_16)
        if vectors * pixels + vectors + others > core.registers:
            return False
    # Each stationary operand needs as many registers as the sums.
    stationary = len(request.arithmetic.stationary)
    return not stationary or pixels * vectors <= core.registers // 2 // stationary


def _across(request: KernelRequest, core: Core) -> Schedule | None:
    """A tile whose vectors run along a row, for layers whose filters fill too few lanes; None for all
    others.
    """
    site, extents = request.arithmetic, request.extents
    if site.stationary or site.packed > 1 or extents.stride_x > 1:
        return None
    if extents.filters > _FEW_FILTERS or extents.columns < 2 * extents.filters:
        return None
    lanes = filled_lanes(request, core, extents.columns)
    filters = next(count for count in _TILE_FILTERS if count >= extents.filters)
    most = 4 if filters <= 4 else 2
    counts = [count for count in range(1, most + 1) if fits(request, core, count, filters)]
    vectors = min(counts, key=lambda count: (rounded(extents.columns, lanes * count), -count))
    return Schedule(lanes, vectors, filters, across=True)


def _along_planes(request: KernelRequest, core: Core) -> bool:
    """Whether a 1×1 layer is read in place and its planes divide into whole vectors."""
    site, extents = request.arithmetic, request.extents
    plain = not site.stationary and site.packed == 1
    few, wide = core.registers == 16, core.vector_bytes >= 64
    run = core.vector_bytes // 4 * (_VECTORS_OF_16 if few else 1)
    return plain and (few or wide) and extents.filters >= 4 and extents.columns % run == 0


def _planes_tile(request: KernelRequest, core: Core) -> Schedule:
    extents, lanes = request.extents, core.vector_bytes // 4
    if core.registers == 16:
        return Schedule(lanes, _VECTORS_OF_16, _FILTERS_OF_16, across=True)

    def shapes() -> Iterator[Schedule]:
        for filters in _FILTERS_ALONG_PLANES:
            for vectors in (1, 2) if core.load_cycles else (1,):
                if extents.columns % (lanes * vectors) == 0 and fits(request, core, vectors, filters):
                    yield Schedule(lanes, vectors, filters, across=True)

    def time(tile: Schedule) -> float:
        loads = load_factor(request.site, core, tile.vectors, tile.pixels)
        return rounded(extents.filters, tile.pixels) * loads

    return min(shapes(), key=time)


def _vectors_across(request: KernelRequest, core: Core) -> int:
    """The number of vectors in a tile of words along a row of pixels, for a 1×1 layer at stride 1 with long
    rows. It is 0 where a tile of filters that has to be transposed costs less."""
    extents, lanes = request.extents, core.vector_bytes // 4
    counts = [count for count in (2, 1) if fits(request, core, count, _FILTERS_ACROSS)]
    vectors = min(counts, key=lambda count: rounded(extents.columns, lanes * count))
    # Both sides count operations for one vector of outputs. Transposing it takes about four.
    work = 1.5 * extents.channels + 2.5
    wasted = (rounded(extents.columns, lanes * vectors) / extents.columns - 1) * work
    return vectors if wasted < 4 else 0
