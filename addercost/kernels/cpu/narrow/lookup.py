"""The product of a few rows of int8 and weights that are stored as indices of tables, on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.narrow.lookup_loops import (
    TABLE_BYTES,
    LookupSizes,
    lookups_of_blocks,
    shuffles_here,
    tables_of_rows,
)
from addercost.kernels.cpu.shares import NativeCall, by_streams, run_shares, shares
from addercost.kernels.narrow_lookup import CHUNK, FORMS, ROWS, LookupWeights

MOST_ROWS = 4
"""The most rows of x that share one pass over the indices."""

STREAMS = {2: 2, 4: 1}
"""Places of the weights that are read at once for one row of x, by the number of bits. Registers do not hold
the sums of two places of 4-bit weights, which have four planes.
"""


def lookup_product(x: Tensor, weights: LookupWeights) -> Tensor | None:
    """The product of x [B, K] int8 and the weights, as [B, N]: the result of
    `addercost.kernels.narrow_lookup.reference`. Returns None on a processor that cannot look bytes up in a
    register. Raises ShapeError if `x` has another shape or type.
    """
    if x.dim() != 2 or x.shape[1] != weights.features or x.dtype != torch.int8:
        raise ShapeError(
            f"expected input [rows, {weights.features}] of int8, got {tuple(x.shape)} of {x.dtype}"
        )
    if not shuffles_here():
        return None
    kind = torch.int32 if weights.scales is None else torch.float32
    out = torch.empty(x.shape[0], weights.words.shape[0] * ROWS, dtype=kind)
    for rows, sums in zip(x.split(MOST_ROWS), out.split(MOST_ROWS), strict=True):
        _block(rows, weights, sums)
    return out[:, : weights.outputs]


def _block(x: Tensor, weights: LookupWeights, out: Tensor) -> None:
    plan = _plan(weights.bits, x.shape[0], *weights.words.shape[:2], out.stride(0), torch.get_num_threads())
    lacking = plan.features - x.shape[1]
    padded = torch.nn.functional.pad(x, (0, lacking)) if lacking else x.contiguous()
    tables = torch.empty(plan.n_tables * TABLE_BYTES, dtype=torch.uint8)
    tables_of_rows(weights.bits)(padded.data_ptr(), tables.data_ptr(), plan.n_tables)
    scales = tables if weights.scales is None else weights.scales
    others = tables.data_ptr(), scales.data_ptr()
    run_shares(plan.calls, weights.words.data_ptr(), out.data_ptr(), others)


class _LookupPlan(NamedTuple):
    """features: of a padded row of x. n_tables: of all rows. calls: the shares of the weights."""

    features: int
    n_tables: int
    calls: tuple[NativeCall, ...]


@lru_cache(maxsize=1024)
def _plan(bits: int, batch: int, blocks: int, chunks: int, out_stride: int, threads: int) -> _LookupPlan:
    """The plan for `batch` rows of x, at most `MOST_ROWS`, and weights of so many blocks and chunks."""
    form = FORMS[bits]
    row_tables, block_bytes = chunks * form.tables, chunks * form.chunk_bytes
    calls = []
    for share in shares(1, blocks, blocks * block_bytes, threads):
        streams = STREAMS[bits] if batch == 1 else 1
        for block, blocks_of, of in by_streams(share.rows, streams):
            first = share.first_row + block
            first_scale = ROWS * chunks * first if bits == 4 else 0
            sizes = LookupSizes(blocks_of, chunks, row_tables * TABLE_BYTES, out_stride, first_scale)
            loop = lookups_of_blocks(bits, batch, of)
            calls.append(NativeCall(loop, first * block_bytes, 4 * ROWS * first, as_array(sizes)))
    return _LookupPlan(chunks * CHUNK, batch * row_tables, tuple(calls))
