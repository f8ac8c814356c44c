"""Two effects of tiles on matrix products on a GPU: incomplete waves of tiles, and operands that are read
repeatedly.

A kernel cuts the output, T × N, into tiles of one of a few sizes; each multiprocessor computes one tile after
the other. Tiles at the rim are computed whole, and the last wave takes as long as a full one. Where there are
few tiles, the sum is cut into pieces as well. A tile reads its rows of one operand and its columns of the
other, so each operand passes the second-level cache once for each row or column of tiles. Source of the
effects and of the sizes: NVIDIA, Matrix Multiplication Background User's Guide
(docs.nvidia.com/deeplearning/performance).

Each function takes the sizes of tiles that give its smallest result, so both results are lower bounds for
whatever sizes a library chooses. Products of fewer than 8 filters or rows run in kernels of another kind; no
effect is computed for them.
"""

from __future__ import annotations

from collections.abc import Iterable

from addercost.counts.matrix_products import MatrixProduct

TILES = ((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64))
PIECES = (1, 2, 4, 8, 16)
_FEWEST_TERMS = 256
_SMALLEST = 8


def waves_factor(products: Iterable[MatrixProduct], multiprocessors: int) -> float:
    """How many times as long products take as without tiles and waves, at least 1: Σ (sites + idle sites of
    partly filled tiles and waves) / Σ sites; 1 without any sites.
    """
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
    """Bytes that tiles read in addition to reading each operand once, with the sizes of tiles that read
    least.
    """
    return sum(product.repeats * _reread(product) * product.operand_bytes for product in products)


def _reread(product: MatrixProduct) -> int:
    """Elements that one repeat of the product reads additionally. A tile reads the overlap of a convolution's
    windows once.
    """
    t, n, k = product.outputs_each, product.filters, product.depth
    if min(t, n) < _SMALLEST:
        return 0
    return min(product.inputs * (-(-n // wide) - 1) + k * n * (-(-t // high) - 1) for high, wide in TILES)


def _waves(product: MatrixProduct, high: int, wide: int, pieces: int, multiprocessors: int) -> int:
    tiles = -(-product.outputs_each // high) * -(-product.filters // wide) * product.repeats * pieces
    return -(-tiles // multiprocessors)
