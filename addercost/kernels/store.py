"""What a kernel makes of each sum where it stores it, without another pass over memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from addercost.kernels.codes import quantize


@dataclass(frozen=True, slots=True)
class Codes:
    """The byte codes round(v / step) + zero, kept within 0 to 255, as `codes.quantize` makes them."""

    step: float
    zero: int


@dataclass(frozen=True, slots=True)
class Store:
    """The output is max(factor_k · sum + addend_k, least), rounded after each step, and a NaN stays one; or,
    with `codes`, the codes of that."""

    least: float = -math.inf
    codes: Codes | None = None

    def of(self, sums: Tensor, factor: Tensor, addend: Tensor) -> Tensor:
        """The output of fp32 sums [N, K, P, Q], factors and addends [K]."""
        values = sums.mul(factor[:, None, None]).add_(addend[:, None, None]).clamp_(min=self.least)
        return values if self.codes is None else quantize(values, self.codes.step, self.codes.zero)


PLAIN = Store()
