"""The product of a few rows of int8 and packed weights, on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.narrow.loops import ProductSizes, lanes, product_of_rows, starts_of_rows
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.narrow import PIECE, PackedWeights

MOST_ROWS = 4
"""The most rows of x that share one pass over the weights. Their sums stay in registers."""

STREAMS = 2
"""Places of the weights that are read at once for one row of x. Rows of x and places together have at most
`MOST_ROWS` sums, which stay in registers.
"""


def narrow_product(x: Tensor, packed: PackedWeights) -> Tensor:
    """The product of x [B, K] int8 and the weights, as [B, N]: the result of
    `addercost.kernels.narrow.reference`. Raises ShapeError if `x` has another shape or type.
    """
    if x.dim() != 2 or x.shape[1] != packed.features or x.dtype != torch.int8:
        raise ShapeError(
            f"expected input [rows, {packed.features}] of int8, got {tuple(x.shape)} of {x.dtype}"
        )
    kind = torch.int32 if packed.scales is None else torch.float32
    out = torch.empty(x.shape[0], packed.words.shape[0], dtype=kind)
    for first in range(0, x.shape[0], MOST_ROWS):
        _block(x[first : first + MOST_ROWS], packed, out[first : first + MOST_ROWS])
    return out


def _block(x: Tensor, packed: PackedWeights, out: Tensor) -> None:
    words = packed.words
    batch, (rows, row_bytes) = x.shape[0], words.shape
    pieces = row_bytes // PIECE
    lacking = row_bytes * 8 // packed.bits - packed.features
    padded = torch.nn.functional.pad(x, (0, lacking)) if lacking else x.contiguous()
    # All pieces of ternary weights share one scale, so the middle of the codes is subtracted once.
    n_starts = 1 if packed.bits == 2 else pieces
    starts = torch.empty(batch, n_starts, lanes(), dtype=torch.int32)
    of_starts = ProductSizes(batch, pieces, padded.shape[1], starts.stride(0), 0)
    starts_of_rows(packed.bits)(padded.data_ptr(), starts.data_ptr(), as_array(of_starts))
    scales = packed.scales if packed.scales is not None else starts

    def run(source: int, target: int, numbers: Any) -> None:
        for loop, sizes, row, first_row in numbers:
            by_row = 4 * pieces * (first_row + row) if packed.bits == 4 else 0
            factors = scales.data_ptr() + by_row
            words_of, sums_of = source + row * row_bytes, target + 4 * row
            loop(words_of, padded.data_ptr(), starts.data_ptr(), factors, sums_of, sizes)

    calls = []
    for share in shares(1, rows, words.numel(), torch.get_num_threads()):
        numbers = []
        streams = STREAMS if STREAMS * batch <= MOST_ROWS else 1
        together = share.rows // streams * streams
        for row, rows_of, of in ((0, together, streams), (together, share.rows - together, 1)):
            if rows_of:
                sizes = ProductSizes(rows_of, pieces, padded.shape[1], starts.stride(0), out.stride(0))
                loop = product_of_rows(packed.bits, batch, of)
                numbers.append((loop, as_array(sizes), row, share.first_row))
        calls.append(NativeCall(run, share.first_row * row_bytes, 4 * share.first_row, numbers))
    run_shares(tuple(calls), words.data_ptr(), out.data_ptr())
