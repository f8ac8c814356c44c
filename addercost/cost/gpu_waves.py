"""How much longer matrix products take on a GPU whose multiprocessors compute whole tiles, in whole waves.

A kernel cuts the output, T × N, into tiles of one of a few sizes; each multiprocessor computes one tile after
the other. Tiles at the rim are computed whole, and the last wave takes as long as a full one. Where there are
few tiles, the sum is cut into pieces as well. Source of the effect and of the sizes: NVIDIA, Matrix
Multiplication Background User's Guide (docs.nvidia.com/deeplearning/performance). Taken is the choice that
loses least, as a library's heuristic aims at, so the factor is a lower bound.

Products of fewer than 8 filters or rows have kernels of another kind and lose nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable

from addercost.counts.matrix_products import MatrixProduct

TILES = ((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64))
PIECES = (1, 2, 4, 8, 16)
_FEWEST_TERMS = 256
_SMALLEST = 8


def waves_factor(products: Iterable[MatrixProduct], multiprocessors: int) -> float:
    """Σ sites with what tiles and waves add / Σ sites, at least 1; 1 without any sites."""
    sites = with_waves = 0.0
    for product in products:
        sites += product.sites
        with_waves += product.sites * _factor(product, multiprocessors)
    return with_waves / sites if sites else 1.0


def _factor(product: MatrixProduct, multiprocessors: int) -> float:
    t, n = product.outputs_each, product.filters
    if min(t, n) < _SMALLEST or not product.sites:
        return 1.0
    least = min(
        _waves(product, high, wide, pieces, multiprocessors) * multiprocessors * high * wide / pieces
        for high, wide in TILES
        for pieces in PIECES
        if pieces == 1 or product.depth // pieces >= _FEWEST_TERMS
    )
    return least / (product.repeats * t * n)


def _waves(product: MatrixProduct, high: int, wide: int, pieces: int, multiprocessors: int) -> int:
    tiles = -(-product.outputs_each // high) * -(-product.filters // wide) * product.repeats * pieces
    return -(-tiles // multiprocessors)
