"""The product of a few rows of int8 and weights that are stored as indices of tables, on the CPU."""

from __future__ import annotations

from typing import Any

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
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
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
    for first in range(0, x.shape[0], MOST_ROWS):
        _block(x[first : first + MOST_ROWS], weights, out[first : first + MOST_ROWS])
    return out[:, : weights.outputs]


def _block(x: Tensor, weights: LookupWeights, out: Tensor) -> None:
    form, (blocks, chunks, _) = FORMS[weights.bits], weights.words.shape
    lacking = chunks * CHUNK - x.shape[1]
    padded = torch.nn.functional.pad(x, (0, lacking)) if lacking else x.contiguous()
    batch, row_tables = x.shape[0], chunks * form.tables
    tables = torch.empty(batch, row_tables * TABLE_BYTES, dtype=torch.uint8)
    tables_of_rows(weights.bits)(padded.data_ptr(), tables.data_ptr(), batch * row_tables)
    scales = weights.scales if weights.scales is not None else tables

    def run(source: int, target: int, numbers: Any) -> None:
        for loop, sizes, block, first_block in numbers:
            factors = scales.data_ptr() + (
                4 * ROWS * chunks * (first_block + block) if weights.bits == 4 else 0
            )
            words_of, sums_of = source + block * chunks * form.chunk_bytes, target + 4 * ROWS * block
            loop(words_of, tables.data_ptr(), factors, sums_of, sizes)

    calls = []
    for share in shares(1, blocks, weights.words.numel(), torch.get_num_threads()):
        numbers = []
        streams = STREAMS[weights.bits] if batch == 1 else 1
        together = share.rows // streams * streams
        for block, blocks_of, of in ((0, together, streams), (together, share.rows - together, 1)):
            if blocks_of:
                sizes = LookupSizes(blocks_of, chunks, tables.stride(0), out.stride(0))
                loop = lookups_of_blocks(weights.bits, batch, of)
                numbers.append((loop, as_array(sizes), block, share.first_row))
        source = share.first_row * chunks * form.chunk_bytes
        calls.append(NativeCall(run, source, 4 * ROWS * share.first_row, numbers))
    run_shares(tuple(calls), weights.words.data_ptr(), out.data_ptr())
