"""The product of a few rows of int8 and packed weights, on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.narrow.loops import ProductSizes, lanes, product_of_rows, starts_of_rows
from addercost.kernels.cpu.shares import NativeCall, by_streams, run_shares, shares
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
    for rows, sums in zip(x.split(MOST_ROWS), out.split(MOST_ROWS), strict=True):
        _block(rows, packed, sums)
    return out


def _block(x: Tensor, packed: PackedWeights, out: Tensor) -> None:
    words, batch = packed.words, x.shape[0]
    plan = plan_of(packed.bits, batch, *words.shape, out.stride(0), torch.get_num_threads())
    lacking = plan.features - packed.features
    padded = torch.nn.functional.pad(x, (0, lacking)) if lacking else x.contiguous()
    starts = torch.empty(batch * plan.starts, dtype=torch.int32)
    scales = starts if packed.scales is None else packed.scales
    plan.run(*(tensor.data_ptr() for tensor in (padded, starts, scales, words, out)))


class ProductPlan(NamedTuple):
    """How to multiply some rows of codes by all weights. features: of a padded row. starts: numbers of int32
    that each row's sums begin with. start: the loop that computes them, and its numbers. calls: the shares.
    """

    features: int
    starts: int
    start: tuple[Any, Any]
    calls: tuple[NativeCall, ...]

    def run(self, x: int, starts: int, scales: int, words: int, out: int) -> None:
        """Multiplies the operands at these addresses. x: padded rows of int8. starts: room for the numbers
        that the sums begin with. scales: of pieces of 4-bit weights; any address for ternary ones.
        """
        loop, sizes = self.start
        loop(x, starts, sizes)
        run_shares(self.calls, words, out, (x, starts, scales))


@lru_cache(maxsize=1024)
def plan_of(bits: int, batch: int, rows: int, row_bytes: int, out_stride: int, threads: int) -> ProductPlan:
    """The plan for `batch` rows of codes, at most `MOST_ROWS`, and packed weights [rows, row_bytes].
    out_stride: elements from one row of the result to the next.
    """
    pieces, features = row_bytes // PIECE, row_bytes * 8 // bits
    # All pieces of ternary weights share one scale, so the middle of the codes is subtracted once.
    starts = lanes() * (1 if bits == 2 else pieces)
    calls = []
    for share in shares(1, rows, rows * row_bytes, threads):
        streams = STREAMS if STREAMS * batch <= MOST_ROWS else 1
        for row, rows_of, of in by_streams(share.rows, streams):
            first = share.first_row + row
            first_scale = first * pieces if bits == 4 else 0
            sizes = as_array(ProductSizes(rows_of, pieces, features, starts, out_stride, first_scale))
            calls.append(NativeCall(product_of_rows(bits, batch, of), first * row_bytes, 4 * first, sizes))
    start = starts_of_rows(bits), as_array(ProductSizes(batch, pieces, features, starts, 0))
    return ProductPlan(features, starts, start, tuple(calls))
