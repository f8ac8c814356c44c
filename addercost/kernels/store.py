"""What a kernel does with each sum before it stores it, so that no further pass over memory is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from addercost.kernels.codes import quantize


@dataclass(frozen=True, slots=True)
class Codes:
    """The byte codes clamp(round(v / step) + zero, 0, 255), as `codes.quantize` makes them."""

    step: float
    zero: int


@dataclass(frozen=True, slots=True)
class Store:
    """An output is factor_k · sum + addend_k + shortcut, limited to `least` and `most`. It is rounded after
    each step. NaN stays NaN. With `codes`, the output is the byte code of that value."""

    least: float = -math.inf
    most: float = math.inf
    codes: Codes | None = None

    def of(self, sums: Tensor, factor: Tensor, addend: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """The output of fp32 sums and a shortcut [N, K, P, Q], with factors and addends [K]."""
        values = self.behind(sums.mul(factor[:, None, None]).add_(addend[:, None, None]), shortcut)
        return values if self.codes is None else quantize(values, self.codes.step, self.codes.zero)

    def behind(self, values: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """The values plus the shortcut, within the limits. `values` is overwritten."""
        return (values if shortcut is None else values.add_(shortcut)).clamp_(self.least, self.most)


PLAIN = Store()

Limits = tuple[float, float]
"""The least and the largest value of an output."""

NO_LIMITS: Limits = (-math.inf, math.inf)
RELU: Limits = (0.0, math.inf)


def limited(values: Tensor, limits: Limits) -> Tensor:
    """The values within the limits; `values` themselves where there are none."""
    return values if limits == NO_LIMITS else values.clamp(*limits)
