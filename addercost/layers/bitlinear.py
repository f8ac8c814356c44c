"""Linear layers with ternary weights and 8-bit inputs (BitNet b1.58), for training."""

from __future__ import annotations

from torch import Tensor

from addercost.layers.module import KernelLinear
from addercost.layers.ops import ternary as ops


class BitLinear(KernelLinear):
    """out[..., j] = s·Σ_i x̂[..., i]·ŵ[j, i] (+ bias), with ŵ = -1, 0 or 1.

    ŵ is rounded by the mean of |w|, x̂ to 8 bits by the largest |x| of its row, and s is the product of both
    scales. x: [..., in]; weight: [out, in] in full precision. Gradients pass straight through both roundings.
    BitNet's norm before such a layer is not part of it.
    Source: Ma et al., arXiv:2402.17764 (BitNet b1.58).
    """

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = ops.linear(input, self.weight, self.bias)
        return output
