"""Adder layers: an L1 distance in place of every product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from addercost.layers.module import IntOrPair, KernelConv2d, KernelLinear
from addercost.layers.ops import adder as ops

AUTHORS_NAMES = {"adder": "weight", "b": "bias"}
"""Parameter names of the AdderNet authors' `adder2d`, and the names in torch's layers."""


def _rename(state: dict[str, Any], prefix: str) -> None:
    """Renames the authors' parameters in the copy of the state that `load_state_dict` makes."""
    for theirs, ours in AUTHORS_NAMES.items():
        if prefix + theirs in state and prefix + ours not in state:
            state[prefix + ours] = state.pop(prefix + theirs)


class AdderConv2d(KernelConv2d):
    """out[n,k,p,q] = -Σ_{c,r,s} |x[n,c,p·u+r,q·v+s] - w[k,c,r,s]| (+ bias). A padded tap contributes -|w|.

    x: [N, C, H, W] or [C, H, W]; weight: [K, C/G, R, S], drawn from N(0, 1). `gradient` is "full"
    (AdderNet's: x - w for the weight, HardTanh(w - x) for the input) or "sign" (the signs of these
    differences). `load_state_dict` also accepts the names of the authors' code (`adder` and `b`).
    Source: Chen et al., CVPR 2020.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = False,
        gradient: str = "full",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, device, dtype
        )
        self.gradient = gradient

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        _rename(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def _convolve(self, input: Tensor) -> Tensor:
        output: Tensor = ops.conv2d(input, self.weight, self.bias, *self.geometry_arguments(), self.gradient)
        return output


class AdderLinear(KernelLinear):
    """out[..., j] = -Σ_i |x[..., i] - w[j, i]| (+ bias). x: [..., in]; weight: [out, in], drawn from
    N(0, 1).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        gradient: str = "full",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.gradient = gradient

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        _rename(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = ops.linear(input, self.weight, self.bias, self.gradient)
        return output
