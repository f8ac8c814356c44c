"""Cuts the work of a kernel into strips, blocks and tasks that fit caches and threads.

A strip is some rows of an image's output, a block is some tiles of filters, and a task is what one thread
computes without interruption.
"""

from __future__ import annotations

from typing import NamedTuple

from addercost.kernels.cpu.dense.extents import Extents, rounded
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES
from addercost.kernels.cpu.processor import vector_bytes

SCRATCH_BYTES = 256 << 10
"""The intended size of a strip's input: together with a block of weights it should stay in a core's
second-level cache.
"""
BLOCK_BYTES = 1 << 20
"""The intended size of a block's weights."""
KEPT_BYTES = 8 << 20
"""The largest input of a task that is copied once for all its blocks."""
IN_PLACE_FILTERS, IN_PLACE_BYTES = 32, 3 << 18
"""Filters in a block of a layer that reads its input in place and writes planes, if its weights and an image
of outputs take more bytes than these. A tile writes a piece of a cache line in the plane of each of its
filters, and the next tile along the row writes the next piece: the lines of so many planes stay in the
first-level cache meanwhile. On an Emerald Rapids core a multiply-add of 8 to 912 channels with 63 × 63 pixels
takes a seventh of the time by this, one of 64 to 256 with 57 × 57 two fifths, one of 1024 to 256 with 14 × 14
0.9 times as long. Smaller layers take 1.03 times as long.
"""
_FEWEST_TILES = 4
"""The fewest vectors of filters in a block, however many taps they have, because each block copies the input
again."""
MOST_VECTORS = 4
"""Vectors in the widest tile."""
_WORTH_KEEPING = 2
"""From this many blocks on, one copy of the input for all blocks saves more time than it costs in cache
misses.
"""


class Partition(NamedTuple):
    """How the output is cut into tasks. These are the last parameters of a compiled kernel.

    strip_rows: rows in a strip. task_strips, task_blocks: strips and blocks in a task. block_tiles: tiles of
    filters in a block.
    """

    strip_rows: int
    task_strips: int
    task_blocks: int
    block_tiles: int


def partition(kernel: KernelClass, extents: Extents, threads: int) -> Partition:
    """Cuts the output into strips that fit the cache and shares them among `threads` threads. If there are
    fewer strips than threads, the threads share blocks of filters, or the strips become smaller."""
    if kernel.joined:
        extents = extents.joined()
    rows = extents.rows
    if kernel.direct or kernel.joined:
        strip = rows
    else:
        row_bytes = extents.scratch_columns * extents.channels * SITES[kernel.site].operand.bytes()
        filter_rows = extents.dilation_y * (extents.filter_y - 1) + 1
        fitting = (SCRATCH_BYTES // max(1, row_bytes) - filter_rows) // extents.stride_y + 1
        strip = max(1, min(rows, fitting))
    tiles, most = -(-extents.filters // kernel.block), _block_tiles(kernel.site, kernel, extents)
    if kernel.direct and kernel.transposed_output and _image_bytes(kernel.site, extents) > IN_PLACE_BYTES:
        most = min(most, max(1, IN_PLACE_FILTERS // kernel.block))
    few = extents.images * -(-rows // strip) < threads
    if few and tiles >= threads:
        # Every thread gets as many blocks as the others: of three blocks for two threads, one thread would
        # compute two.
        block_tiles = -(-tiles // rounded(-(-tiles // most), threads))
        blocks = -(-tiles // block_tiles)
        return Partition(strip, extents.images * rows, -(-blocks // threads), block_tiles)
    blocks = -(-tiles // most)
    block_tiles = -(-tiles // blocks)
    if few:
        strip = max(1, -(-rows // threads))
    else:
        # All strips have the same height, and every thread gets as many as the others.
        number = -(-rows // strip)
        strip = -(-rows // (rounded(number, threads) if extents.images % threads else number))
    strips = extents.images * -(-rows // strip)
    task_blocks = blocks if strips >= threads else max(1, blocks * strips // threads)
    return Partition(strip, -(-strips // threads), task_blocks, block_tiles)


def _block_tiles(site: str, tile: KernelClass | Schedule, extents: Extents) -> int:
    """How many tiles of filters share a copy of the input: few enough that their weights stay in the
    cache.
    """
    return max(_FEWEST_TILES // tile.vectors, BLOCK_BYTES // (tile.block * _filter_bytes(site, extents)))


def _image_bytes(site: str, extents: Extents) -> int:
    """Bytes of the weights and of an image of outputs."""
    plane_bytes = extents.rows * extents.columns * SITES[site].output.itemsize
    return extents.filters * (_filter_bytes(site, extents) + plane_bytes)


def _filter_bytes(site: str, extents: Extents) -> int:
    """Bytes of a filter's weights."""
    return extents.channels * extents.filter_y * extents.filter_x * int(SITES[site].operand.bytes())


def many_blocks(site: str, schedule: Schedule, extents: Extents) -> bool:
    """Whether there are so many blocks that copying the input's planes once for all of them takes less time
    than copying them for each.
    """
    tiles = -(-extents.filters // schedule.block)
    return tiles >= _WORTH_KEEPING * _block_tiles(site, schedule, extents)


def image_fits(site: str, extents: Extents) -> bool:
    """Whether an image of several rows, with its border, is small enough to be one strip."""
    return extents.rows > 1 and scratch_bytes(site, extents) <= 2 * SCRATCH_BYTES


def scratch_bytes(site: str, extents: Extents) -> int:
    return extents.scratch_elements * int(SITES[site].operand.bytes())


def enough_tasks(images: int, filters: int, threads: int) -> bool:
    """Whether every thread has a task although the rows of an image are joined into one: an image, or a tile
    of filters, which is at most `MOST_VECTORS` wide.
    """
    return images >= threads or filters // (MOST_VECTORS * vector_bytes() // 4) >= threads
