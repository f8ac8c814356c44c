"""Which compiled class a problem uses: the tile that wastes least of it."""

from __future__ import annotations

from dataclasses import replace

from addercost.kernels.cpu.dense.extents import Extents, rounded
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.partition import image_fits, keeps_scratch
from addercost.kernels.cpu.dense.sites import SITES
from addercost.kernels.cpu.processor import vector_bytes

_PIXELS_WIDE = {2: (8, 7, 10, 12, 5, 3, 1, 4), 3: (8, 7, 1, 4), 1: (8, 7, 10, 14, 12, 16, 6, 5, 3, 1, 4)}
_PIXELS_NARROW = {2: (4, 5, 6, 1), 3: (4, 1), 1: (6, 8, 10, 1, 4)}
"""Tile widths by the number of vectors, for 32 and for 16 vector registers; the first of equals is taken.
Weights, broadcast inputs, differences and the sign mask need registers as well."""
_FEW_SUMS = {1: 2.0, 2: 1.5, 3: 1.2, 4: 1.1}
"""A site in a tile of so few sums, which do not hide their latency, takes this many times as long as in a
large tile: 3 and 4 from layers of 3 × 3 and 4 × 4 pixels on Zen 4, the others by the latency itself."""
_FEW_WORD_SUMS = {count: time for count, time in _FEW_SUMS.items() if count < 4}
"""The same for sums of integers, whose latency is one cycle: four of them hide it."""
_TRANSPOSING = (8.0, 3.5)
"""Transposing a tile of words or bytes takes as long as so many steps of the sum, by whether its pixels are a
power of two: others are written in several pieces. From layers of 28 × 28 pixels on Zen 4."""
_WORTH_JOINING = 0.98
"""Rows are joined where the tiles' time falls below this share."""
_FEW_FILTERS = 8
_FILTERS_ACROSS = 8
_FILTERS_ALONG_PLANES = (16, 12, 8)
_TILE_FILTERS = (1, 2, 4, 6, 8)


def choose_class(
    site: str,
    extents: Extents,
    channels_last_input: bool,
    channels_last_output: bool,
    direct: bool,
    filters_innermost: bool = False,
    bordered: bool = False,
    threads: int | None = None,
    planes: bool = False,
) -> KernelClass:
    """The class whose tile wastes least of `extents`; `bordered` says that the input is a copy for the
    kernel, with its border and slack; with `threads` it may join the output's rows, if that leaves a task
    for each; `planes` says that pixels of a row are neighbours in the output and are, or can be, in the
    input."""
    # Words of signs, whose weights are packed for the kernel as well.
    words = SITES[site].of_words
    filters_innermost = filters_innermost or words
    layouts = channels_last_input, channels_last_output
    narrow = extents.channels < extents.filter_x
    if not (direct or filters_innermost) and (across := _across(site, extents)) is not None:
        return KernelClass(site, *across, *layouts, direct=False, narrow=narrow, across=True)
    if words and planes and (vectors := _vectors_across(extents)):
        return _along_row(site, extents, vectors, _FILTERS_ACROSS, filters_innermost=True)
    if direct and planes and not words and _along_planes(site, extents):
        filters = min(_FILTERS_ALONG_PLANES, key=lambda count: rounded(extents.filters, count))
        return _along_row(site, extents, 1, filters)
    # A u8 lane is the eight bytes whose differences one SAD lane sums.
    lanes = vector_bytes() // (8 if SITES[site].packed > 1 else 4)
    while lanes > 4 and extents.filters <= lanes // 2:
        lanes //= 2
    transposed = bordered and not channels_last_output
    time, (vectors, pixels) = _tile(site, extents, lanes, filters_innermost, bordered, transposed)
    joined = False
    if threads is not None and not direct and image_fits(site, extents):
        in_one, tile = _tile(site, extents.joined(), lanes, filters_innermost, bordered)
        if joined := in_one < _WORTH_JOINING * time and enough_tasks(
            extents.images, extents.filters, threads
        ):
            vectors, pixels = tile
    taps = extents.channels * extents.filter_y * extents.filter_x
    axes = 2
    if bordered and extents.filter_x == 1:
        axes = 0 if extents.filter_y == 1 else 1
    squares = SITES[site].packed == 1 and taps % lanes == 0 and not filters_innermost
    kernel = KernelClass(
        site,
        lanes,
        vectors,
        pixels,
        *layouts,
        direct,
        narrow,
        whole_squares=squares,
        filters_innermost=filters_innermost,
        slack=bordered,
        filter_axes=axes,
        joined=joined,
        whole_filters=bordered and extents.filters % (lanes * vectors) == 0,
        whole_columns=bordered and extents.columns % pixels == 0,
    )
    return replace(kernel, kept_scratch=keeps_scratch(kernel, extents))


def _tile(
    site: str, extents: Extents, lanes: int, filters_innermost: bool, bordered: bool, transposed: bool = False
) -> tuple[float, tuple[int, int]]:
    """The shortest time of a tile for an image of `extents`, with what is computed in vain, in arbitrary
    units, and that tile's (vectors, pixels)."""
    stationary, packed = len(SITES[site].stationary), SITES[site].packed
    wide = vector_bytes() >= 64
    counts: tuple[int, ...] = (1,)
    # With 32 registers, a broadcast input is read from memory by the instruction that uses it, so using it
    # twice saves nothing.
    if extents.filters > lanes and stationary < 2 and (stationary or packed > 1 or not wide):
        # Factors are stored in blocks of 32 filters, which three vectors do not divide.
        counts = (2,) if stationary or filters_innermost or SITES[site].scaled else (2, 3)

    few, most = (_FEW_WORD_SUMS, 3) if SITES[site].of_words else (_FEW_SUMS, 4)
    registers, short = (32, most) if wide else (16, 3)
    steps = extents.channels * extents.filter_y * extents.filter_x / packed

    def time(tile: tuple[int, int]) -> float:
        vectors, pixels = tile
        sites = rounded(extents.filters, lanes * vectors) * extents.rows * rounded(extents.columns, pixels)
        transposing = _TRANSPOSING[pixels & (pixels - 1) == 0] / steps if transposed else 0
        return sites * few.get(vectors * pixels, 1) * (1 + transposing)

    tiles = [
        (vectors, pixels)
        for vectors, widths in (_PIXELS_WIDE if wide else _PIXELS_NARROW).items()
        for pixels in widths
        if vectors in counts
        # Each stationary operand takes as many registers as the sums.
        and (not stationary or pixels * vectors <= registers // 2 // stationary)
        # A short tile has too few sums to hide their latency. It is for short rows only.
        and (pixels > short or extents.columns <= short)
    ]
    if bordered and extents.filters <= lanes:
        # A long tile hides the latency of short sums.
        tiles.sort(key=lambda tile: -tile[1])
    best = min(tiles, key=time)
    return time(best), best


def _across(site: str, extents: Extents) -> tuple[int, int, int] | None:
    """(lanes, vectors, filters) of a tile with vectors along a row, where filters fill too few lanes."""
    if SITES[site].stationary or SITES[site].packed > 1 or extents.stride_x > 1:
        return None
    if extents.filters > _FEW_FILTERS or extents.columns < 2 * extents.filters:
        return None
    lanes = vector_bytes() // 4
    while lanes > 4 and extents.columns <= lanes // 2:
        lanes //= 2
    filters = next(count for count in _TILE_FILTERS if count >= extents.filters)
    most = 4 if filters <= 4 else 2
    vectors = min(range(1, most + 1), key=lambda count: (rounded(extents.columns, lanes * count), -count))
    return lanes, vectors, filters


def _along_row(
    site: str, extents: Extents, vectors: int, filters: int, filters_innermost: bool = False
) -> KernelClass:
    """Vectors along a row of a 1×1 layer whose planes are read and written in place."""
    lanes = vector_bytes() // 4
    return KernelClass(
        site,
        lanes,
        vectors,
        filters,
        channels_last_input=False,
        channels_last_output=False,
        direct=True,
        narrow=False,
        across=True,
        filters_innermost=filters_innermost,
        slack=True,
        filter_axes=0,
        whole_filters=extents.filters % filters == 0,
        whole_columns=extents.columns % (lanes * vectors) == 0,
    )


def _along_planes(site: str, extents: Extents) -> bool:
    """Whether the planes of a 1×1 layer that is read in place divide into whole vectors."""
    plain = not SITES[site].stationary and SITES[site].packed == 1
    wide = vector_bytes() >= 64
    return plain and wide and extents.filters >= 4 and extents.columns % (vector_bytes() // 4) == 0


def _vectors_across(extents: Extents) -> int:
    """Vectors of a tile of words along a row of pixels, in a 1×1 layer at stride 1 whose rows are
    long; 0 where transposing a tile of filters costs less."""
    lanes = vector_bytes() // 4
    vectors = min((2, 1), key=lambda count: rounded(extents.columns, lanes * count))
    # In operations for a vector of outputs, of which transposing takes about four.
    work = 1.5 * extents.channels + 2.5
    wasted = (rounded(extents.columns, lanes * vectors) / extents.columns - 1) * work
    return vectors if wasted < 4 else 0


def enough_tasks(images: int, filters: int, threads: int) -> bool:
    """Whether there is a task for each thread where an image's rows are joined to one."""
    return images >= threads or filters // (vector_bytes() // 4) >= threads
