"""Binary layers: the signs of inputs and weights, and one scale for each filter."""

from __future__ import annotations

from torch import Tensor

from addercost.layers.module import KernelConv2d, KernelLinear
from addercost.layers.ops import binary as ops


class BinaryConv2d(KernelConv2d):
    """out = α_k · Σ sign(x)·sign(w) (+ bias), where α_k is the mean of |w| over filter k and sign(0) is +1.

    x: [N, C, H, W] or [C, H, W]; weight: [K, C/G, R, S] in full precision. A padded tap is sign(0) = +1.
    Gradients pass straight through the signs where |x| ≤ 1 and |w| ≤ 1, and are 0 elsewhere. Source:
    Rastegari et al., XNOR-Net, ECCV 2016.
    """

    def _convolve(self, input: Tensor) -> Tensor:
        output: Tensor = ops.conv2d(input, self.weight, self.bias, *self.geometry_arguments())
        return output


class BinaryLinear(KernelLinear):
    """out[..., j] = α_j · Σ_i sign(x[..., i])·sign(w[j, i]) (+ bias). x: [..., in]; weight: [out, in]."""

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = ops.linear(input, self.weight, self.bias)
        return output
