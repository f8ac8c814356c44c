"""Weights of shift layers as powers of two."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

LARGEST_SHIFT = 15
"""The largest exponent: five bits of signed shift amount, beside the weight's sign."""

_FORMATS = {torch.float32: (torch.int32, 8, 23), torch.float64: (torch.int64, 11, 52)}
"""By the number format: an integer type of its width, and its numbers of exponent bits and mantissa bits."""


def power_of_two(weight: Tensor) -> Tensor:
    """Each weight as sign(w)·2^e, where e is the integer nearest to log2|w| within ±LARGEST_SHIFT. 0 and NaN
    stay as they are.

    The result is exact, because it is computed from the bits: a mantissa above √2 is rounded up. Half
    precision is widened first.
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
    """A number that, added to a mantissa of this many bits, carries into the exponent exactly if the mantissa
    is above √2."""
    return (2 << mantissa) - (isqrt(2 << 2 * mantissa) + 1)


def exponent_range(exponent_bits: int, mantissa: int) -> tuple[int, int]:
    """The smallest and the largest power of two, as the bits of a float."""
    bias = (1 << exponent_bits - 1) - 1
    return (bias - LARGEST_SHIFT) << mantissa, (bias + LARGEST_SHIFT) << mantissa
