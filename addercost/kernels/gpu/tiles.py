"""Chooses the tile that a program computes: the one with the least work for the busiest processor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

WARPS = 4
WARP_ROWS, WARP_COLUMNS = 8, 4
"""The shape of a warp's threads. `kernels.LANES_N` equals the second number."""

MOST_REGISTERS = 168
"""The limit of registers of a thread. Three programs then fit on a processor, and the warps of two compute
while the third waits for memory.
"""

RESIDENT = 3
UNROLL = 8
"""Channels of a step. A load of 16 bytes has four words or eight halves."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The sums of a thread, rows × columns, and how many of the program's warps lie side by side along the
    filters.
    """

    rows: int
    columns: int
    warps_n: int

    @property
    def lanes_m(self) -> int:
        return WARP_ROWS * WARPS // self.warps_n

    @property
    def block_m(self) -> int:
        return self.rows * self.lanes_m

    @property
    def block_n(self) -> int:
        return self.columns * self.warps_n * WARP_COLUMNS

    def constants(self) -> dict[str, int]:
        """The tile as the kernel's compile-time arguments."""
        return {
            "ROWS": self.rows,
            "COLUMNS": self.columns,
            "LANES_M": self.lanes_m,
            "WARPS_N": self.warps_n,
            "UNROLL": UNROLL,
        }

    @property
    def step_instructions(self) -> float:
        """Instructions of a thread for one channel: two for each site, and those of loads and addresses,
        which were counted in the disassembly."""
        return 2 * self.rows * self.columns + 0.75 * self.rows + 0.25 * self.columns + 1


SUM_TILES = tuple(Tile(r, c, w) for r, c in ((8, 8), (8, 4), (4, 4)) for w in (1, 2, 4))
GRADIENT_TILES = tuple(Tile(r, c, w) for r, c in ((4, 8), (4, 4)) for w in (1, 2, 4))
"""Tiles for the input gradient, which also keeps the input's tile in registers."""

RUN_TILES = tuple(Tile(r, c, w) for r, c in ((8, 4), (4, 4)) for w in (1, 2, 4))
"""Tiles for sums in halves, which keep a tile of running sums beside the tile of totals."""


@lru_cache(maxsize=4096)
def choose(tiles: tuple[Tile, ...], rows: int, columns: int, groups: int, processors: int) -> Tile:
    """The tile for `groups` products of rows × columns.

    A program that an edge leaves half empty costs as much as a full one. Fewer than RESIDENT programs on a
    processor take as long as RESIDENT, because it waits for memory."""

    def cost(tile: Tile) -> float:
        programs = -(-rows // tile.block_m) * -(-columns // tile.block_n) * groups
        return max(-(-programs // processors), RESIDENT) * tile.step_instructions

    return min(tiles, key=cost)


def processors(device: torch.device) -> int:
    """Streaming multiprocessors of a GPU; 1 elsewhere, where kernels are only interpreted."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
