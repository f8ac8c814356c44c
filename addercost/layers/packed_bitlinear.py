"""Ternary linear layers for inference. Weights are rounded and packed once, four in a byte."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError, ShapeError
from addercost.kernels.narrow import pack_ternary, round_weights
from addercost.layers.bitlinear import BitLinear
from addercost.layers.ops import ternary as ops
from addercost.layers.replaced import with_replaced


class PackedBitLinear(nn.Module):
    """A `BitLinear` whose weights are packed, 2 bits each, with the same results. x: [..., in]. This is for
    inference and has no gradient.
    """

    words: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: BitLinear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        ternary, scale = round_weights(layer.weight.detach())
        self.register_buffer("words", pack_ternary(ternary).words)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())
        self.train(layer.training)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() < 1 or input.shape[-1] != self.in_features:
            raise ShapeError(f"expected input [..., {self.in_features}], got {tuple(input.shape)}")
        output: Tensor = ops.linear_packed(input, self.words, self.scale, self.bias)
        return output

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


def pack_bitlinear(model: nn.Module) -> nn.Module:
    """A copy of `model` whose ternary layers are packed for inference. A module that is used in several
    places stays one module. Raises ArgumentError where there is no ternary layer, or a weight is NaN.
    """
    packed = copy.deepcopy(model)
    layers = [module for module in packed.modules() if isinstance(module, BitLinear)]
    if not layers:
        raise ArgumentError(
            f"{type(model).__name__} has no BitLinear to pack", 'convert(model, "ternary") makes them'
        )
    if any(bool(torch.isnan(layer.weight).any()) for layer in layers):
        raise ArgumentError("a weight of a BitLinear is NaN", "train it anew")
    return with_replaced(packed, {id(layer): PackedBitLinear(layer) for layer in layers})
