"""A depthwise layer's weights in the order in which its loop reads them."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from addercost.kernels.cpu.depthwise.terms import IR_TYPES
from addercost.kernels.cpu.ir.build import FLOAT, POINTER, as_array, at, compiled, counted, function, loaded


class WeightNumbers(NamedTuple):
    """Channels and taps, and the weights' strides in elements: first as they are given, then as the loop
    needs them.
    """

    channels: int
    taps: int
    by_channel: int
    by_tap: int
    to_channel: int
    to_tap: int


def in_loop_order(taps: Tensor, tap_major: bool, dtype: torch.dtype) -> Tensor:
    """`taps` [C, R·S] as a dense tensor of `dtype`; with `tap_major`, as [R·S, C]. Floats that become int32
    are 1 where negative, else 0."""
    if taps.dtype == dtype and taps.is_contiguous() and not tap_major:
        return taps
    channels, number = taps.shape
    size, to = ((number, channels), (1, channels)) if tap_major else ((channels, number), (number, 1))
    target = torch.empty(size, dtype=dtype)
    numbers = as_array(WeightNumbers._make((channels, number, *taps.stride(), *to)))
    _loop(taps.dtype, dtype)(taps.data_ptr(), target.data_ptr(), numbers)
    return target


@cache
def _loop(given: torch.dtype, wanted: torch.dtype) -> Any:
    """A function void copy(source, target, numbers) that copies one element at a time. Torch's copy takes
    three times as long.
    """
    code = function("copy", POINTER, POINTER, POINTER)
    source, target, pointer = code.function.args
    numbers, element, stored = loaded(code, WeightNumbers, pointer), IR_TYPES[given], IR_TYPES[wanted]
    with counted(code, numbers.channels) as c, counted(code, numbers.taps) as tap:
        place = at(code, element, source, (c, numbers.by_channel), (tap, numbers.by_tap))
        to = at(code, stored, target, (c, numbers.to_channel), (tap, numbers.to_tap))
        value = code.load(place, typ=element)
        if given != wanted:
            value = code.zext(code.fcmp_ordered("<", value, FLOAT(0.0)), stored)
        code.store(value, to)
    code.ret_void()
    return compiled(code)
