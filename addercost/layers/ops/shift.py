"""The shift operators: convolution and linear layer whose weights are rounded to ±2^e, -15 ≤ e ≤ 15, or 0.

The rounding is in the logarithm, sign(w)·2^round(log2|w|), and its gradient is passed straight through to w.
Source: Elhoushi et al., DeepShift, CVPR-W 2021 (the "Q" form).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from addercost.kernels import dispatch
from addercost.kernels.problem import Geometry, accumulator
from addercost.layers.ops.pair import Gradients, define_pair, product_gradients

LARGEST_SHIFT = 15
"""Five bits of signed shift amount beside the sign of the weight."""


def power_of_two(weight: Tensor) -> Tensor:
    """Each weight as sign(w)·2^e, e the nearest within ±LARGEST_SHIFT; 0 stays 0 and NaN stays NaN."""
    # Half precision would round the logarithm before it is rounded to an integer.
    exponent = weight.abs().to(accumulator(weight.dtype)).log2().round()
    power = exponent.clamp_(-LARGEST_SHIFT, LARGEST_SHIFT).exp2().to(weight.dtype)
    return power.mul_(torch.sign(weight)).masked_fill_(weight.isnan(), float("nan"))


def _convolve(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return dispatch.shift_forward(input, power_of_two(weight), geometry)


def _gradients(
    grad: Tensor, input: Tensor, weight: Tensor, place: Sequence[Any], needed: Sequence[bool]
) -> Gradients:
    return product_gradients(grad, input, power_of_two(weight), place, needed)


conv2d, linear = define_pair("shift", _convolve, _gradients)
