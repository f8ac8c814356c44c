"""Makes a layer in a given arithmetic, so that a model is written only once."""

from __future__ import annotations

from torch import nn

from addercost.arithmetic import Arithmetic
from addercost.counts.arithmetics import layered
from addercost.errors import ArgumentError
from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.binary import BinaryConv2d, BinaryLinear
from addercost.layers.bitlinear import BitLinear
from addercost.layers.module import IntOrPair, KernelConv2d, KernelLinear
from addercost.layers.shift import ShiftConv2d, ShiftLinear

CONVOLUTIONS: dict[Arithmetic, type[KernelConv2d]] = {
    Arithmetic.ADDER: AdderConv2d,
    Arithmetic.XNOR: BinaryConv2d,
    Arithmetic.SHIFT: ShiftConv2d,
}
LINEARS: dict[Arithmetic, type[KernelLinear]] = {
    Arithmetic.ADDER: AdderLinear,
    Arithmetic.XNOR: BinaryLinear,
    Arithmetic.SHIFT: ShiftLinear,
    Arithmetic.TERNARY: BitLinear,
}


def conv2d(
    arithmetic: Arithmetic,
    in_channels: int,
    out_channels: int,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    groups: int = 1,
    bias: bool = False,
    dilation: IntOrPair = 1,
) -> nn.Module:
    """A convolution from [N, C, H, W] to [N, K, P, Q] in the given arithmetic; MAC gives `nn.Conv2d`. Raises
    ArgumentError for an arithmetic without convolutions.
    """
    layered(arithmetic)
    if arithmetic is Arithmetic.MAC:
        return nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
        )
    return CONVOLUTIONS[arithmetic](
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
    )


def linear(arithmetic: Arithmetic, in_features: int, out_features: int, bias: bool = True) -> nn.Module:
    """A linear layer from [..., in] to [..., out] in the given arithmetic; MAC gives `nn.Linear`. Raises
    ArgumentError for an arithmetic without linear layers.
    """
    if arithmetic is Arithmetic.MAC:
        return nn.Linear(in_features, out_features, bias=bias)
    if arithmetic not in LINEARS:
        raise ArgumentError(
            f"{arithmetic} is counted and costed, and has no layers here that run",
            f"take one of mac, {', '.join(LINEARS)}",
        )
    return LINEARS[arithmetic](in_features, out_features, bias)
