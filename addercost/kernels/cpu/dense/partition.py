"""How a kernel's work is cut into strips, blocks and tasks that fit caches and threads."""

from __future__ import annotations

from typing import NamedTuple

from addercost.kernels.cpu.dense.extents import Extents, rounded
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES
from addercost.kernels.cpu.processor import vector_bytes

SCRATCH_BYTES = 256 << 10
"""The aim for one strip of input: with a block of weights it should stay in a core's second-level cache."""
BLOCK_BYTES = 1 << 20
"""The aim for a block's weights."""
KEPT_BYTES = 8 << 20
"""A task's whole input is copied once for all its blocks up to this size."""
_FEWEST_TILES = 4
"""The fewest vectors of filters in a block, however many taps they have: each block copies the input
again."""
_WORTH_KEEPING = 2
"""From so many blocks on, one copy of the input for all of them saves more than it takes from the caches."""


class Partition(NamedTuple):
    """How the output is cut into tasks: the last parameters of a compiled kernel."""

    strip_rows: int
    task_strips: int
    task_blocks: int
    block_tiles: int


def partition(kernel: KernelClass, extents: Extents, threads: int) -> Partition:
    """Strips that fit the cache, shared out over `threads`: by strips of the output if there are enough,
    else by blocks of filters."""
    if kernel.joined:
        extents = extents.joined()
    rows = extents.rows
    if kernel.direct or kernel.joined:
        strip = rows
    else:
        row_bytes = extents.scratch_columns * extents.channels * SITES[kernel.site].element.bytes()
        filter_rows = extents.dilation_y * (extents.filter_y - 1) + 1
        fitting = (SCRATCH_BYTES // max(1, row_bytes) - filter_rows) // extents.stride_y + 1
        strip = max(1, min(rows, fitting))
    tiles, most = -(-extents.filters // kernel.block), _block_tiles(kernel.site, kernel, extents)
    few = extents.images * -(-rows // strip) < threads
    if few and tiles >= threads:
        # As many blocks for each thread: of three, one thread would compute two.
        block_tiles = -(-tiles // rounded(-(-tiles // most), threads))
        blocks = -(-tiles // block_tiles)
        return Partition(strip, extents.images * rows, -(-blocks // threads), block_tiles)
    blocks = -(-tiles // most)
    block_tiles = -(-tiles // blocks)
    if few:
        strip = max(1, -(-rows // threads))
    else:
        # Strips of equal height, and as many for each thread.
        number = -(-rows // strip)
        strip = -(-rows // (rounded(number, threads) if extents.images % threads else number))
    strips = extents.images * -(-rows // strip)
    task_blocks = blocks if strips >= threads else max(1, blocks * strips // threads)
    return Partition(strip, -(-strips // threads), task_blocks, block_tiles)


def _block_tiles(site: str, tile: KernelClass | Schedule, extents: Extents) -> int:
    """Tiles of filters that share a copy of the input, few enough that their weights stay in the cache."""
    taps = extents.channels * extents.filter_y * extents.filter_x
    tile_bytes = taps * tile.block * int(SITES[site].element.bytes())
    return max(_FEWEST_TILES // tile.vectors, BLOCK_BYTES // tile_bytes)


def many_blocks(site: str, schedule: Schedule, extents: Extents) -> bool:
    """Whether so many blocks would copy the input's planes that one copy for all of them takes less time."""
    tiles = -(-extents.filters // schedule.block)
    return tiles >= _WORTH_KEEPING * _block_tiles(site, schedule, extents)


def image_fits(site: str, extents: Extents) -> bool:
    """Whether an image of several rows, with its border, may be one strip."""
    return extents.rows > 1 and scratch_bytes(site, extents) <= 2 * SCRATCH_BYTES


def scratch_bytes(site: str, extents: Extents) -> int:
    return extents.scratch_elements * int(SITES[site].element.bytes())


def enough_tasks(images: int, filters: int, threads: int) -> bool:
    """Whether there is a task for each thread where an image's rows are joined to one."""
    return images >= threads or filters // (vector_bytes() // 4) >= threads
