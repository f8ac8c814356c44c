"""A layer by its arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from addercost import layers
from addercost.arithmetic import Arithmetic


@pytest.mark.parametrize(
    ("arithmetic", "convolution", "linear"),
    [
        pytest.param(Arithmetic.MAC, nn.Conv2d, nn.Linear, id="mac"),
        pytest.param(Arithmetic.ADDER, layers.AdderConv2d, layers.AdderLinear, id="adder"),
        pytest.param(Arithmetic.XNOR, layers.BinaryConv2d, layers.BinaryLinear, id="xnor"),
        pytest.param(Arithmetic.SHIFT, layers.ShiftConv2d, layers.ShiftLinear, id="shift"),
    ],
)
def test_every_arithmetic_has_its_layers(
    arithmetic: Arithmetic, convolution: type[nn.Module], linear: type[nn.Module]
) -> None:
    conv = layers.conv2d(arithmetic, 4, 6, 3, stride=2, padding=1, groups=2, bias=True)
    assert type(conv) is convolution
    assert [p.shape for p in conv.parameters()] == [torch.Size([6, 2, 3, 3]), torch.Size([6])]
    assert conv(torch.randn(1, 4, 5, 5)).shape == (1, 6, 3, 3)
    fc = layers.linear(arithmetic, 4, 6)
    assert type(fc) is linear
    assert [p.shape for p in fc.parameters()] == [torch.Size([6, 4]), torch.Size([6])]
    assert fc(torch.randn(2, 4)).shape == (2, 6)
