"""8-bit inference of a trained adder layer. Input and weight share a scale, so |x - w| is an integer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError, ShapeError
from addercost.kernels.codes import LEVELS, quantize
from addercost.kernels.problem import rows_as_image
from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.module import with_batch
from addercost.layers.ops import adder as ops


class QuantizedAdder(nn.Module):
    """An adder layer on bytes: out = -scale · Σ|q(x) - q(w)| (+ bias), where q is `codes.quantize`.

    x: [N, C, H, W], or [..., in] for a linear layer, in floating point. `zero` is the byte for the value 0,
    so a padded tap is exact. This is for inference and has no gradient.
    """

    scale: Tensor
    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: AdderConv2d | AdderLinear, low: float, high: float) -> None:
        super().__init__()
        if not low < high or not (torch.isfinite(torch.tensor([low, high])).all()):
            raise ArgumentError(f"the range to quantise is empty or not finite: {low} to {high}")
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / LEVELS
        self.zero = round(-low / scale)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        weight = quantize(layer.weight.detach().float(), scale, self.zero)
        self.is_linear = isinstance(layer, AdderLinear)
        if isinstance(layer, AdderLinear):
            weight, geometry = weight[:, :, None, None], ([1, 1], [0, 0], [1, 1], 1)
        else:
            geometry = layer.geometry_arguments()
        self.geometry = geometry
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def forward(self, input: Tensor) -> Tensor:
        if not input.is_floating_point():
            raise ShapeError(f"the layer quantises its input itself, it takes floats, not {input.dtype}")
        if not self.is_linear:
            return with_batch(self._convolve, input)
        rows = self._convolve(rows_as_image(input.reshape(-1, input.shape[-1])))
        return rows[0, :, 0].t().reshape(*input.shape[:-1], self.weight.shape[0]).contiguous()

    def _convolve(self, image: Tensor) -> Tensor:
        operands = (image, self.weight, self.scale, self.bias, self.zero)
        output: Tensor = ops.conv2d_quantized(*operands, *self.geometry)
        return output

    def get_extra_state(self) -> int:
        return self.zero

    def set_extra_state(self, state: int) -> None:
        self.zero = state

    def extra_repr(self) -> str:
        k, c, r, s = self.weight.shape
        return f"{c}, {k}, kernel_size=({r}, {s}), scale={self.scale.item():.4g}, zero={self.zero}"


def quantize_adder(layer: AdderConv2d | AdderLinear, calibration: Tensor | None = None) -> QuantizedAdder:
    """`layer` for 8-bit inference.

    calibration: a typical input of the layer. The range of the codes covers it and the weights. Without it,
    the range covers only the weights, and inputs outside are clipped.
    Raises ArgumentError for another kind of layer or an empty range.
    """
    if not isinstance(layer, AdderConv2d | AdderLinear):
        raise ArgumentError(f"quantize_adder takes an adder layer, not {type(layer).__name__}")
    tensors = [layer.weight.detach()] + ([] if calibration is None else [calibration.detach()])
    low = min(float(t.min()) for t in tensors)
    high = max(float(t.max()) for t in tensors)
    return QuantizedAdder(layer, low, high)
