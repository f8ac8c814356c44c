"""Weights of 2 and 4 bits: how they are packed, their product with int8 inputs, and the rounding of
activations.

A packed row consists of pieces of 64 bytes. Byte i of a piece has the codes of weights i, i + 64, …, lowest
bits first, so a shift and a mask give 64 neighbouring weights. A ternary weight is its code minus 1. A 4-bit
weight is its code minus 8, times a scale; the 128 weights of a piece share one scale.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from addercost.errors import ShapeError

PIECE = 64
MIDDLE = {2: 1, 4: 8}
"""What is subtracted from a code, by the number of bits."""


def stored_bytes(words: Tensor, scales: Tensor | None) -> int:
    """Bytes of words, which are bytes, and of fp32 scales."""
    return words.numel() + (0 if scales is None else 4 * scales.numel())


class PackedWeights(NamedTuple):
    """Packed weights [N, K].

    words: [N, bytes] uint8, whole pieces. features: K. scales: [N, pieces] fp32 for 4-bit weights; None for
    ternary ones, which share one scale that the layer keeps.
    """

    words: Tensor
    features: int
    bits: int
    scales: Tensor | None = None

    @property
    def n_bytes(self) -> int:
        return stored_bytes(self.words, self.scales)


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Packs codes [N, K] from 0 to 2^bits - 1 into [N, bytes] uint8. The last piece of a row is padded with
    zeros. Raises ShapeError for another rank or number of bits.
    """
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
    """The codes as [N, K] uint8."""
    n = packed.words.shape[0]
    pieces = packed.words.reshape(n, -1, 1, PIECE)
    shifts = torch.arange(0, 8, packed.bits, dtype=torch.uint8, device=pieces.device)
    shifts = shifts.reshape(1, 1, -1, 1)
    codes: Tensor = (pieces >> shifts) & (2**packed.bits - 1)
    return codes.reshape(n, -1)[:, : packed.features]


def pack_ternary(weights: Tensor) -> PackedWeights:
    """Packs weights [N, K] of -1, 0 and 1."""
    return PackedWeights(pack_codes(weights.to(torch.int8) + 1, 2), weights.shape[1], 2)


def pack_four_bits(weights: Tensor) -> PackedWeights:
    """Rounds weights [N, K] to 4 bits and packs them. Each 128 weights of a row share a scale: their largest
    |w| is 7 steps.
    """
    n, k = weights.shape
    pieces = torch.nn.functional.pad(weights.float(), (0, -k % (2 * PIECE))).reshape(n, -1, 2 * PIECE)
    scales = torch.clamp(pieces.abs().amax(-1) / 7, min=torch.finfo(torch.float32).tiny)
    codes = torch.clamp(torch.round(pieces / scales[..., None]), -8, 7).to(torch.int8) + 8
    return PackedWeights(pack_codes(codes.reshape(n, -1)[:, :k], 4), k, 4, scales)


def reference(x: Tensor, packed: PackedWeights) -> Tensor:
    """The product of x [B, K] int8 and the weights, as [B, N].

    With ternary weights the sums are exact, in int32. With 4-bit weights they are fp32: the sums of 128 are
    exact, and they are scaled and added in double precision.
    """
    values = unpack_codes(packed).double() - MIDDLE[packed.bits]
    if packed.scales is None:
        return (x.double() @ values.t()).to(torch.int32)
    scaled = values * packed.scales.double().repeat_interleave(2 * PIECE, 1)[:, : packed.features]
    return (x.double() @ scaled.t()).float()


def round_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds x [B, K] to int8, each row by its largest |x|. Also returns the size of a step, [B, 1] fp32.

    Source: Ma et al., arXiv:2402.17764.
    """
    wide = x.float()
    step = torch.clamp(wide.abs().amax(-1, keepdim=True), min=1e-5) / 127
    return torch.round(wide / step).to(torch.int8), step


def round_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds the weight to -1, 0 and 1 by the mean of |w|. Also returns that mean, a scalar. Source: as for
    `round_rows`.
    """
    scale = torch.clamp(weight.float().abs().mean(), min=1e-5)
    return torch.clamp(torch.round(weight.float() / scale), -1, 1), scale
