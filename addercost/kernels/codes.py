"""The byte codes of an 8-bit adder layer."""

from __future__ import annotations

from torch import Tensor

LEVELS = 255


def quantize(values: Tensor, scale: float | Tensor, zero: int) -> Tensor:
    """The byte codes clamp(round(v / scale) + zero, 0, 255) of any tensor, as uint8. NaN has no code and
    becomes 0.
    """
    return (values / scale).round_().add_(zero).clamp_(0, LEVELS).nan_to_num_(nan=0.0).byte()
