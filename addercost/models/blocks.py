"""Layers that several models of the zoo consist of."""

from __future__ import annotations

from torch import nn

from addercost import layers
from addercost.arithmetic import Arithmetic


def conv_bn(
    arithmetic: Arithmetic, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
) -> nn.Sequential:
    """A convolution and a batch norm. At stride 1 it keeps the image's size. It has no bias, because the
    batch norm has a shift.
    """
    return nn.Sequential(
        layers.conv2d(
            arithmetic,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    )


def activation(arithmetic: Arithmetic) -> nn.Module:
    """ReLU. Before a binary layer it is HardTanh, because the signs of a ReLU's outputs are all +1.

    Source: Hubara et al., Binarized Neural Networks, NeurIPS 2016, which clips to [-1, 1] before the sign.
    """
    return nn.Hardtanh() if arithmetic is Arithmetic.XNOR else nn.ReLU()
