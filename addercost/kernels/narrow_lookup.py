"""Weights of 2 and 4 bits as indices of tables: where a product is looked up in place of being computed.

A table has 16 sums of a few inputs, one for each of what four bits of weights can say about them. Ternary
weights take one of two inputs: the index is the codes of both, 2 bits each. 4-bit weights take four tables'
worth of one bit: the index is the same bit of four weights, and the sums of the bits are shifted and added,
the highest with its sign. Source: Wei et al., arXiv:2407.00088 (T-MAC); pairs of ternary weights by Wang et
al., arXiv:2410.16144 (bitnet.cpp). Unlike T-MAC, tables are not rounded: their sums have 10 bits and
are kept as two bytes, so that results are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from addercost.kernels.narrow import MIDDLE, PackedWeights, stored_bytes, unpack_codes

ROWS = 64
"""Rows of weights whose indices stand side by side."""

CHUNK = 128
"""Inputs of which the sums are added up as whole numbers; those that share a scale of 4-bit weights."""


class LookupForm(NamedTuple):
    """coefficients: what a table's 16 sums take each of its inputs by. factors: what the sums of each plane
    of indices are taken by.
    """

    coefficients: tuple[tuple[int, ...], ...]
    factors: tuple[int, ...]

    @property
    def inputs(self) -> int:
        """Of a table."""
        return len(self.coefficients)

    @property
    def tables(self) -> int:
        """Of a chunk of inputs."""
        return CHUNK // self.inputs

    @property
    def chunk_bytes(self) -> int:
        """Of the indices of all rows of a block, two in a byte."""
        return self.tables * len(self.factors) * ROWS // 2


FORMS = {
    2: LookupForm(tuple(tuple((i >> 2 * j & 3) - 1 for i in range(16)) for j in range(2)), (1,)),
    4: LookupForm(tuple(tuple(i >> j & 1 for i in range(16)) for j in range(4)), (1, 2, 4, -8)),
}
"""By the bits of a weight."""


class LookupWeights(NamedTuple):
    """words: [blocks, chunks, bytes] uint8. outputs: N rows of weights. features: K weights a row. scales:
    [blocks, chunks, ROWS] fp32 of 4-bit weights, None of ternary ones.

    Byte 4 i + s of a vector of ROWS bytes has indices of row 16 s + i of its block: its low half that of an
    even plane or table, its high half that of the next one.
    """

    words: Tensor
    outputs: int
    features: int
    bits: int
    scales: Tensor | None = None

    @property
    def n_bytes(self) -> int:
        return stored_bytes(self.words, self.scales)


def as_lookups(packed: PackedWeights) -> LookupWeights:
    """The same weights as indices."""
    form, codes = FORMS[packed.bits], unpack_codes(packed).to(torch.int32)
    n, k = codes.shape
    padded = torch.nn.functional.pad(codes, (0, -k % CHUNK, 0, -n % ROWS), value=MIDDLE[packed.bits])
    groups = padded.reshape(-1, ROWS, padded.shape[1] // CHUNK, form.tables, form.inputs)
    if packed.bits == 2:
        indices = (groups[..., 0] | groups[..., 1] << 2)[..., None]
    else:
        signed = groups ^ MIDDLE[4]
        planes = [sum((signed[..., j] >> b & 1) << j for j in range(4)) for b in range(4)]
        indices = torch.stack(planes, -1)  # type: ignore[arg-type]
    pairs = indices.reshape(*indices.shape[:3], -1, 2)
    words = pairs[..., 0] | pairs[..., 1] << 4
    # [blocks, 4 s, 16 i, chunks, vectors] to [blocks, chunks, vectors, i, s].
    apart = words.reshape(-1, 4, 16, *words.shape[2:]).permute(0, 3, 4, 2, 1)
    blocks, chunks = apart.shape[:2]
    return LookupWeights(
        apart.to(torch.uint8).reshape(blocks, chunks, -1).contiguous(),
        n,
        k,
        packed.bits,
        None if packed.scales is None else _scales_of_blocks(packed.scales),
    )


def _scales_of_blocks(scales: Tensor) -> Tensor:
    """[N, pieces] to [blocks, pieces, ROWS]."""
    padded = torch.nn.functional.pad(scales, (0, 0, 0, -scales.shape[0] % ROWS))
    return padded.reshape(-1, ROWS, scales.shape[1]).transpose(1, 2).contiguous()


def reference(x: Tensor, weights: LookupWeights) -> Tensor:
    """x: [B, K] int8, to [B, N], by the same tables: int32 of ternary weights, fp32 of 4-bit ones, whose
    chunks are scaled and added in double precision.
    """
    form, (blocks, chunks, _) = FORMS[weights.bits], weights.words.shape
    vectors = weights.words.reshape(blocks, chunks, -1, 16, 4).permute(0, 4, 3, 1, 2)
    words = vectors.reshape(blocks * ROWS, chunks, -1).long()
    indices = torch.stack((words & 15, words >> 4), -1).reshape(*words.shape[:2], form.tables, -1)
    padded = torch.nn.functional.pad(x.double(), (0, chunks * CHUNK - x.shape[1]))
    coefficients = torch.tensor(form.coefficients, dtype=torch.float64, device=x.device)
    tables = padded.reshape(len(x), chunks, form.tables, form.inputs) @ coefficients
    factors = torch.tensor(form.factors, dtype=torch.float64, device=x.device)
    sums = torch.stack(
        [
            (row[None].expand(len(indices), -1, -1, -1).gather(-1, indices) * factors).sum((2, 3))
            for row in tables
        ]
    )[:, : weights.outputs]
    if weights.scales is None:
        return sums.sum(-1).to(torch.int32)
    scales = weights.scales.transpose(1, 2).reshape(-1, chunks)[: weights.outputs].double()
    return (sums * scales).sum(-1).float()
