"""Weights of 2 and 4 bits as indices of tables: the sums of a few products are looked up instead of computed.

A table has 16 sums of a few inputs, one for each value of a four-bit index. For ternary weights a table has
two inputs, and the index is the 2-bit codes of both weights. For 4-bit weights a table has four inputs, and
an index is the same bit of four weights. There are four such indices, one for each bit. Their sums are
shifted and added, and the highest bit counts negative. Source: Wei et al., arXiv:2407.00088 (T-MAC); pairs of
ternary weights by Wang et al., arXiv:2410.16144 (bitnet.cpp). Unlike T-MAC, this does not round the tables:
their sums have 10 bits and are kept as two bytes, so the results are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from addercost.kernels.narrow import MIDDLE, PackedWeights, stored_bytes, unpack_codes

ROWS = 64
"""Rows of weights in a block. Their indices are side by side."""

CHUNK = 128
"""Inputs of a chunk, whose sums are added as integers. For 4-bit weights these are the inputs that share a
scale.
"""


class LookupForm(NamedTuple):
    """How tables are made for one kind of weights.

    coefficients: for each input of a table, the factors of that input in the 16 sums. factors: the factor of
    the sums of each plane of indices; 4-bit weights have one plane for each bit.
    """

    coefficients: tuple[tuple[int, ...], ...]
    factors: tuple[int, ...]

    @property
    def inputs(self) -> int:
        """Inputs of a table."""
        return len(self.coefficients)

    @property
    def tables(self) -> int:
        """Tables of a chunk of inputs."""
        return CHUNK // self.inputs

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk's indices, for all rows of a block. A byte has two indices."""
        return self.tables * len(self.factors) * ROWS // 2


FORMS = {
    2: LookupForm(tuple(tuple((i >> 2 * j & 3) - 1 for i in range(16)) for j in range(2)), (1,)),
    4: LookupForm(tuple(tuple(i >> j & 1 for i in range(16)) for j in range(4)), (1, 2, 4, -8)),
}
"""The form for each number of bits of a weight."""


class LookupWeights(NamedTuple):
    """Weights [N, K] as indices of tables.

    words: [blocks, chunks, bytes] uint8. outputs: N. features: K. scales: [blocks, chunks, ROWS] fp32 for
    4-bit weights, None for ternary ones.
    Byte 4 i + s of a vector of ROWS bytes belongs to row 16 s + i of its block. Its low half is the index of
    an even plane or table, its high half the index of the next one.
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
    """The same weights, as indices."""
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
    """Rearranges scales [N, pieces] as [blocks, pieces, ROWS]."""
    padded = torch.nn.functional.pad(scales, (0, 0, 0, -scales.shape[0] % ROWS))
    return padded.reshape(-1, ROWS, scales.shape[1]).transpose(1, 2).contiguous()


def reference(x: Tensor, weights: LookupWeights) -> Tensor:
    """The product of x [B, K] int8 and the weights, as [B, N], by the same tables. It is int32 for ternary
    weights. For 4-bit weights it is fp32, whose chunks are scaled and added in double precision.
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
