"""Weights of 2 and 4 bits: how they are packed, what their product is, and the rounding of activations.

A packed row is pieces of 64 bytes. Byte i of a piece has the codes of weights i, i + 64, …, lowest bits
first, so that a shift and a mask give 64 neighbouring weights. A ternary weight is its code less 1, and a
4-bit one its code less 8, times the scale of its 128, which are one piece.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from addercost.errors import ShapeError

PIECE = 64
MIDDLE = {2: 1, 4: 8}
"""What is subtracted from a code, by bits."""


def stored_bytes(words: Tensor, scales: Tensor | None) -> int:
    """Of words of bytes and scales in fp32."""
    return words.numel() + (0 if scales is None else 4 * scales.numel())


class PackedWeights(NamedTuple):
    """words: [N, bytes] uint8, whole pieces. features: K weights a row. scales: [N, pieces] fp32 of 4-bit
    weights, None of ternary ones, whose scale is one for all.
    """

    words: Tensor
    features: int
    bits: int
    scales: Tensor | None = None

    @property
    def n_bytes(self) -> int:
        return stored_bytes(self.words, self.scales)


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """codes: [N, K] of 0 to 2^bits - 1, to [N, bytes]; a last piece is filled up with zeros."""
    if codes.dim() != 2 or bits not in MIDDLE:
        raise ShapeError(f"expected codes [out, in] of 2 or 4 bits, got {tuple(codes.shape)} of {bits}")
    per_byte = 8 // bits
    n, k = codes.shape
    padded = torch.nn.functional.pad(codes.to(torch.uint8), (0, -k % (PIECE * per_byte)))
    parts = padded.reshape(n, -1, per_byte, PIECE)
    words = parts[:, :, 0].clone()
    for j in range(1, per_byte):
        words |= parts[:, :, j] << (bits * j)
    return words.reshape(n, -1)


def unpack_codes(packed: PackedWeights) -> Tensor:
    """[N, K] uint8."""
    n = packed.words.shape[0]
    pieces = packed.words.reshape(n, -1, 1, PIECE)
    shifts = torch.arange(0, 8, packed.bits, dtype=torch.uint8, device=pieces.device)
    shifts = shifts.reshape(1, 1, -1, 1)
    codes: Tensor = (pieces >> shifts) & (2**packed.bits - 1)
    return codes.reshape(n, -1)[:, : packed.features]


def pack_ternary(weights: Tensor) -> PackedWeights:
    """weights: [N, K] of -1, 0 and 1."""
    return PackedWeights(pack_codes(weights.to(torch.int8) + 1, 2), weights.shape[1], 2)


def pack_four_bits(weights: Tensor) -> PackedWeights:
    """weights: [N, K], rounded to 16 steps of a scale for each 128: the largest of them is 7 steps or -8."""
    n, k = weights.shape
    pieces = torch.nn.functional.pad(weights.float(), (0, -k % (2 * PIECE))).reshape(n, -1, 2 * PIECE)
    scales = torch.clamp(pieces.abs().amax(-1) / 7, min=torch.finfo(torch.float32).tiny)
    codes = torch.clamp(torch.round(pieces / scales[..., None]), -8, 7).to(torch.int8) + 8
    return PackedWeights(pack_codes(codes.reshape(n, -1)[:, :k], 4), k, 4, scales)


def reference(x: Tensor, packed: PackedWeights) -> Tensor:
    """x: [B, K] int8, to [B, N]: exact sums in int32 of ternary weights, fp32 of 4-bit ones, whose sums of
    128 are exact and are scaled and added in double precision.
    """
    values = unpack_codes(packed).double() - MIDDLE[packed.bits]
    if packed.scales is None:
        return (x.double() @ values.t()).to(torch.int32)
    scaled = values * packed.scales.double().repeat_interleave(2 * PIECE, 1)[:, : packed.features]
    return (x.double() @ scaled.t()).float()


def round_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """x: [B, K] to int8 by the largest |x| of each row, and what one step is, [B, 1] in fp32.

    Source: Ma et al., arXiv:2402.17764.
    """
    wide = x.float()
    step = torch.clamp(wide.abs().amax(-1, keepdim=True), min=1e-5) / 127
    return torch.round(wide / step).to(torch.int8), step


def round_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight to -1, 0 and 1 by the mean of |w|, and that mean, a scalar. Source: as `round_rows`."""
    scale = torch.clamp(weight.float().abs().mean(), min=1e-5)
    return torch.clamp(torch.round(weight.float() / scale), -1, 1), scale
