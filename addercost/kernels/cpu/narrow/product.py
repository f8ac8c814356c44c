"""A product of a few rows of int8 with packed weights, on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from addercost.errors import ShapeError
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.narrow.loops import ProductSizes, product_of_rows
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.narrow import MIDDLE, PIECE, PackedWeights

MOST_ROWS = 4
"""Rows of x that pass a row of weights together: their sums stay in registers."""


def narrow_product(x: Tensor, packed: PackedWeights) -> Tensor:
    """x: [B, K] int8, to [B, N], as `addercost.kernels.narrow.reference`. Raises ShapeError."""
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
    padded = torch.nn.functional.pad(x, (0, row_bytes * 8 // packed.bits - packed.features))
    # Of ternary weights all pieces have one scale, so the codes' middle is taken off once.
    parts = padded.reshape(batch, 1 if packed.bits == 2 else pieces, -1)
    starts = torch.zeros(batch, parts.shape[1], 16, dtype=torch.int32)
    starts[:, :, 0] = -MIDDLE[packed.bits] * parts.sum(-1, dtype=torch.int32)
    loop = product_of_rows(packed.bits, batch)
    scales = packed.scales if packed.scales is not None else starts

    def run(source: int, target: int, numbers: Any) -> None:
        sizes, first_row = numbers
        by_row = 4 * pieces * first_row if packed.bits == 4 else 0
        loop(source, padded.data_ptr(), starts.data_ptr(), scales.data_ptr() + by_row, target, sizes)

    calls = []
    for share in shares(1, rows, words.numel(), torch.get_num_threads()):
        sizes = as_array(
            ProductSizes(share.rows, pieces, padded.shape[1], parts.shape[1] * 16, out.stride(0))
        )
        numbers = (sizes, share.first_row)
        calls.append(NativeCall(run, share.first_row * row_bytes, 4 * share.first_row, numbers))
    run_shares(tuple(calls), words.data_ptr(), out.data_ptr())
