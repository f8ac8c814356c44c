"""What tiles make of matrix products on a GPU: waves of multiprocessors, and operands that are read again.

A kernel cuts the output, T × N, into tiles of one of a few sizes; each multiprocessor computes one tile after
the other. Tiles at the rim are computed whole, and the last wave takes as long as a full one. Where there are
few tiles, the sum is cut into pieces as well. A tile reads its rows of one operand and its columns of the
other, so each operand passes the second-level cache once for each row or column of tiles. Source of the
effects and of the sizes: NVIDIA, Matrix Multiplication Background User's Guide
(docs.nvidia.com/deeplearning/performance).

Either function takes the sizes that are best for it, so both are lower bounds whatever a library chooses.
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


def reread_bytes(products: Iterable[MatrixProduct]) -> float:
    """Bytes that tiles read beyond each operand's first time, with the tiles that read least again."""
    return sum(product.repeats * _reread(product) * product.operand_bytes for product in products)


def _reread(product: MatrixProduct) -> int:
    """Elements of one of the repeats. Windows of a convolution that overlap are read once by a tile."""
    t, n, k = product.outputs_each, product.filters, product.depth
    if min(t, n) < _SMALLEST:
        return 0
    return min(product.inputs * (-(-n // wide) - 1) + k * n * (-(-t // high) - 1) for high, wide in TILES)


def _waves(product: MatrixProduct, high: int, wide: int, pieces: int, multiprocessors: int) -> int:
    tiles = -(-product.outputs_each // high) * -(-product.filters // wide) * product.repeats * pieces
    return -(-tiles // multiprocessors)
