"""A depthwise layer's weights in the order in which its loop reads them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from addercost.kernels.cpu.depthwise.terms import IR_TYPES
from addercost.kernels.cpu.ir.build import (
    FLOAT,
    I64,
    POINTER,
    as_array,
    at,
    compiled,
    counted,
    function,
    loaded,
)
from addercost.kernels.cpu.ir.halves import load


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


@dataclass(frozen=True, slots=True)
class LoopOrder:
    """How to bring weights into the order in which a loop reads them. copy: the function that does it; None
    where they are in that order already."""

    copy: Any
    numbers: Any
    elements: int
    dtype: torch.dtype

    def of(self, weights: int) -> tuple[int, Tensor | None]:
        """The address of the weights in this order, and the memory there. That memory must live as long as
        the address is used; None for the given memory."""
        if self.copy is None:
            return weights, None
        memory = torch.empty(self.elements, dtype=self.dtype)
        self.copy(weights, memory.data_ptr(), self.numbers)
        return memory.data_ptr(), memory


def loop_order(taps: Tensor, tap_major: bool, dtype: torch.dtype) -> LoopOrder:
    """The order of `taps` [C, R·S], of which only sizes, strides and type are read, as dense elements of
    `dtype`; with `tap_major`, as [R·S, C]. Half precision becomes fp32. Floats that become int32 are 1 where
    negative, else 0.
    """
    channels, number = taps.shape
    if taps.dtype == dtype and taps.is_contiguous() and not tap_major:
        return LoopOrder(None, None, 0, dtype)
    to = (1, channels) if tap_major else (number, 1)
    numbers = as_array(WeightNumbers._make((channels, number, *taps.stride(), *to)))
    return LoopOrder(_loop(taps.dtype, dtype), numbers, channels * number, dtype)


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
        if wanted == torch.float32 and given != wanted:
            value = code.extract_element(load(code, given, 1, place), I64(0))
        elif given != wanted:
            value = code.zext(code.fcmp_ordered("<", value, FLOAT(0.0)), stored)
        code.store(value, to)
    code.ret_void()
    return compiled(code)
