"""Adder layers for inference, including the bias, batch norm, ReLU and byte codes that follow them."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn

from addercost.errors import ShapeError
from addercost.kernels.codes import LEVELS, quantize
from addercost.kernels.problem import Geometry, rows_as_image
from addercost.kernels.signs import pack_factors, unpack_factors
from addercost.kernels.store import NO_LIMITS, Codes, Limits, limited
from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.module import has_output_shape, repr_of_limits, with_batch
from addercost.layers.norm import BatchNorm, affine
from addercost.layers.ops import fused as ops


class _Stored(nn.Module):
    """A convolution's weights, with the factors and the limits of its `Store`. The rows of a linear layer's
    input are treated as pixels.
    """

    weight: Tensor
    factors: Tensor

    def __init__(
        self, weight: Tensor, factors: Tensor, limits: Limits, geometry: tuple[Any, ...], is_linear: bool
    ) -> None:
        super().__init__()
        self.limits, self.geometry, self.is_linear = limits, geometry, is_linear
        self._place = Geometry.of(*geometry)
        self.register_buffer("weight", weight)
        self.register_buffer("factors", factors)

    def forward(self, input: Tensor, shortcut: Tensor | None = None) -> Tensor:
        if shortcut is not None:
            if self._adds(input, shortcut):
                return self._stored(input, shortcut)
            return self._behind(with_batch(self._sums, input) + shortcut)
        if not self.is_linear:
            return with_batch(self._stored, input)
        features = self.weight.shape[1]
        if input.dim() < 1 or input.shape[-1] != features:
            raise ShapeError(f"expected input [..., {features}], got {tuple(input.shape)}")
        rows = self._stored(rows_as_image(input.reshape(-1, features)))
        return rows[0, :, 0].t().reshape(*input.shape[:-1], self.weight.shape[0]).contiguous()

    def _stored(self, image: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """The output of the kernel, which also adds the shortcut."""
        raise NotImplementedError

    def _sums(self, image: Tensor) -> Tensor:
        """The output without limits, in floating point."""
        raise NotImplementedError

    def _behind(self, sums: Tensor) -> Tensor:
        """The output, from sums with a shortcut."""
        return limited(sums, self.limits)

    def _adds(self, input: Tensor, shortcut: Tensor) -> bool:
        """Whether the kernel adds the shortcut. It does not where one of the two is broadcast, and in half
        precision, where the layer's output is rounded before the sum."""
        if not has_output_shape(shortcut, input, self.weight.shape, self._place):
            return False
        return shortcut.dtype in (torch.float32, torch.float64) and self._outputs_like(input, shortcut)

    def _outputs_like(self, input: Tensor, shortcut: Tensor) -> bool:
        """Whether the sums have the shortcut's type."""
        return input.dtype == shortcut.dtype

    def limited(self, limits: Limits) -> Self:
        """The layer with these limits of its output, or of its sum with a shortcut."""
        made = copy.copy(self)
        made.limits = limits
        return made

    def extra_repr(self) -> str:
        k, c, r, s = self.weight.shape
        size = f"{c}, {k}" if self.is_linear else f"{c}, {k}, kernel_size=({r}, {s})"
        return size + repr_of_limits(self.limits)


class FusedAdder(_Stored):
    """factor_k · -Σ|x - w| + addend_k + shortcut, limited to `limits`.

    x: [N, C, H, W] or [C, H, W]; for a linear layer [..., in], which takes no shortcut. shortcut: what a
    network adds to the layer's output. limits: the least and the largest output, as a ReLU or HardTanh behind
    the layer has them. Factor and addend include the layer's bias and the running statistics of its batch
    norm. The result is rounded after the product and after each sum. This is for inference and has no
    gradient.
    """

    def __init__(
        self,
        layer: AdderConv2d | AdderLinear,
        norm: BatchNorm | None = None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        weight, geometry = layer.weight.detach().clone(), ([1, 1], [0, 0], [1, 1], 1)
        if isinstance(layer, AdderLinear):
            weight = weight[:, :, None, None]
        else:
            geometry = layer.geometry_arguments()
        wide = torch.promote_types(weight.dtype, torch.float32)
        factor, addend = (row.to(wide) for row in affine(layer.bias, norm, weight))
        factors = pack_factors(factor, addend, geometry[3])
        super().__init__(weight, factors, limits, geometry, isinstance(layer, AdderLinear))
        self.train(layer.training)

    def _stored(self, image: Tensor, shortcut: Tensor | None = None) -> Tensor:
        return ops.conv2d_fused(image, self.weight, self.factors, shortcut, *self.limits, *self.geometry)

    def _sums(self, image: Tensor) -> Tensor:
        return ops.conv2d_fused(image, self.weight, self.factors, None, *NO_LIMITS, *self.geometry)


class CodedAdder(_Stored):
    """A `FusedAdder` on bytes: factor_k · step · -Σ|q(x) - q(w)| + addend_k + shortcut, where q is
    `codes.quantize`.

    x: fp32, or the byte codes that the layer before made for this one. The output is fp32, or with `next` the
    byte codes for the layer that follows. The shortcut is fp32. This is for inference and has no gradient.
    """

    def __init__(self, layer: FusedAdder, codes: Codes, next: Codes | None = None) -> None:
        weight = quantize(layer.weight.float(), codes.step, codes.zero)
        factor, addend = unpack_factors(layer.factors, weight.shape[0])
        factors = pack_factors(factor.float() * codes.step, addend.float(), layer.factors.shape[1])
        weight = weight.contiguous(memory_format=torch.channels_last)
        super().__init__(weight, factors, layer.limits, layer.geometry, layer.is_linear)
        self.codes, self.next = codes, next
        self.train(layer.training)

    def _stored(self, image: Tensor, shortcut: Tensor | None = None) -> Tensor:
        step, zero = (None, 0) if self.next is None else (self.next.step, self.next.zero)
        return self._convolved(image, shortcut, self.limits, step, zero)

    def _sums(self, image: Tensor) -> Tensor:
        return self._convolved(image, None, NO_LIMITS, None, 0)

    def _convolved(
        self, image: Tensor, shortcut: Tensor | None, limits: Limits, step: float | None, zero: int
    ) -> Tensor:
        operands = (image, self.weight, self.factors, shortcut, self.codes.step, self.codes.zero)
        return ops.conv2d_coded(*operands, *limits, step, zero, *self.geometry)

    def _behind(self, sums: Tensor) -> Tensor:
        values = super()._behind(sums)
        return values if self.next is None else quantize(values, self.next.step, self.next.zero)

    def _outputs_like(self, input: Tensor, shortcut: Tensor) -> bool:
        return shortcut.dtype == torch.float32

    def extra_repr(self) -> str:
        out = "" if self.next is None else ", codes out"
        return f"{super().extra_repr()}, scale={self.codes.step:.4g}, zero={self.codes.zero}{out}"


def codes_of_range(low: float, high: float) -> Codes:
    """Codes whose range includes `low`, `high` and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = torch.tensor((high - low) / LEVELS, dtype=torch.float32).item()
    return Codes(step, round(-low / step))
