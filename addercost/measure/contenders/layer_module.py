"""The module that a model would call for a layer, made around a given weight."""

from __future__ import annotations

import torch
from torch import Tensor

from addercost.arithmetic import Arithmetic
from addercost.layers.factory import conv2d, linear
from addercost.measure.case import LayerCase


def layer_with(arithmetic: Arithmetic, case: LayerCase, weight: Tensor) -> torch.nn.Module:
    """The module of `addercost.layers`, or torch's for MAC, with this weight and no bias."""
    if case.linear:
        layer = linear(arithmetic, case.channels, case.filters, bias=False)
    else:
        layer = conv2d(
            arithmetic,
            case.channels,
            case.filters,
            case.filter_size,
            case.stride,
            case.padding,
            case.groups,
            dilation=case.dilation,
        )
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    return layer.eval()
