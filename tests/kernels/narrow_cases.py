"""Inputs and weights of 2 and 4 bits at random, with the exact sums of their products."""

from __future__ import annotations

import torch
from torch import Tensor

from addercost.kernels.narrow import PackedWeights, pack_codes

Sizes = tuple[int, int, int, int]
"""Rows of the input, features, rows of weights, and the seed."""


def drawn(batch: int, features: int, seed: int) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, (batch, features), generator=generator, dtype=torch.int8), generator


def ternary_case(sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs, weights, exact sums)."""
    batch, features, outputs, seed = sizes
    x, generator = drawn(batch, features, seed)
    weights = torch.randint(-1, 2, (outputs, features), generator=generator)
    return x, weights, (x.long() @ weights.t()).int()


def four_bit_case(sizes: Sizes) -> tuple[Tensor, PackedWeights, Tensor]:
    """(inputs, weights, exact sums). Scales are powers of two. Every term is then a whole number of the
    smallest scale, and fp32 holds the sums of 700 of them.
    """
    batch, features, outputs, seed = sizes
    x, generator = drawn(batch, features, seed)
    codes = torch.randint(0, 16, (outputs, features), generator=generator)
    scales = 2.0 ** torch.randint(0, 3, (outputs, -(-features // 128)), generator=generator)
    weights = (codes - 8) * scales.long().repeat_interleave(128, 1)[:, :features]
    return x, PackedWeights(pack_codes(codes, 4), features, 4, scales), (x.long() @ weights.t()).float()
