"""The shift operators: convolution and linear layer whose weights are rounded to ±2^e, -15 ≤ e ≤ 15, or 0.

The rounding is that of the logarithm, sign(w)·2^round(log2|w|). Its gradient is passed straight through to w.
Source: Elhoushi et al., DeepShift, CVPR-W 2021 (the "Q" form).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from addercost.kernels import dispatch
from addercost.kernels.powers import power_of_two
from addercost.layers.ops.pair import Gradients, define_pair, product_gradients


def _gradients(
    grad: Tensor, input: Tensor, weight: Tensor, place: Sequence[Any], needed: Sequence[bool]
) -> Gradients:
    return product_gradients(grad, input, power_of_two(weight), place, needed)


conv2d, linear = define_pair("shift", dispatch.shift_forward, _gradients, operation="shift_forward")
