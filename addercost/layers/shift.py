"""Shift layers: weights are rounded to signed powers of two."""

from __future__ import annotations

from torch import Tensor

from addercost.layers.module import KernelConv2d, KernelLinear
from addercost.layers.ops import shift as ops


class ShiftConv2d(KernelConv2d):
    """A convolution whose weights act as ±2^e, e = round(log2|w|) within ±15, or as 0 (+ bias).

    x: [N, C, H, W] or [C, H, W]; weight: [K, C/G, R, S] in full precision. Gradients pass straight through
    the rounding. Source: Elhoushi et al., DeepShift, CVPR-W 2021.
    """

    def _convolve(self, input: Tensor) -> Tensor:
        output: Tensor = ops.conv2d(input, self.weight, self.bias, *self.geometry_arguments())
        return output


class ShiftLinear(KernelLinear):
    """out[..., j] = Σ_i x[..., i]·(±2^e[j, i]) (+ bias). x: [..., in]; weight: [out, in]."""

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = ops.linear(input, self.weight, self.bias)
        return output
