"""Weights of shift layers as powers of two."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

LARGEST_SHIFT = 15
"""Five bits of signed shift amount beside the sign of the weight."""

_FORMATS = {torch.float32: (torch.int32, 8, 23), torch.float64: (torch.int64, 11, 52)}
"""By the number format: an integer type of its width, and the bits of its exponent and mantissa."""


def power_of_two(weight: Tensor) -> Tensor:
    """Each weight as sign(w)·2^e, e the nearest to log2|w| within ±LARGEST_SHIFT; 0 and NaN stay as they are.

    Exact, since it works on the bits: a mantissa beyond √2 is rounded up. Half precision is widened first.
    """
    if weight.dtype not in _FORMATS:
        return power_of_two(weight.float()).to(weight.dtype)
    integer, exponent_bits, mantissa = _FORMATS[weight.dtype]
    bits = weight.view(integer)
    infinity = ((1 << exponent_bits) - 1) << mantissa
    least, most = exponent_range(exponent_bits, mantissa)
    magnitude = bits & ((1 << exponent_bits + mantissa) - 1)
    power = (magnitude + carry(mantissa)).bitwise_and_(infinity).clamp_(least, most).view(weight.dtype)
    stays = (magnitude == 0).logical_or_(magnitude > infinity)
    return torch.where(stays, weight, power.copysign_(weight))


def carry(mantissa: int) -> int:
    """Added to a mantissa of so many bits, this carries into the exponent exactly where it stands for more
    than √2."""
    return (2 << mantissa) - (isqrt(2 << 2 * mantissa) + 1)


def exponent_range(exponent_bits: int, mantissa: int) -> tuple[int, int]:
    """The smallest and the largest power, as a float's bits."""
    bias = (1 << exponent_bits - 1) - 1
    return (bias - LARGEST_SHIFT) << mantissa, (bias + LARGEST_SHIFT) << mantissa
