"""How to make a tensor like one that a forward returned before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from addercost.trace.record import TensorSpec

_META = torch.device("meta")
_MOST_SPARE_TENSORS = 16


class SpareTensors:
    """Unused tensors of one shape, stride and dtype. Switching torch's dispatcher off takes half as long as
    making a tensor, so each time twice as many are made as the time before.
    """

    __slots__ = ("_next_number", "tensors")

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self._next_number = 1

    def fill(self, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype, offset: int) -> None:
        with torch._C._DisableTorchDispatch():
            for _ in range(self._next_number):
                made = torch.empty_strided(shape, stride, dtype=dtype, device=_META)
                self.tensors.append(made.as_strided(shape, stride, offset) if offset else made)
        self._next_number = min(2 * self._next_number, _MOST_SPARE_TENSORS)


class OutputTemplate(NamedTuple):
    """A returned tensor to make again.

    spec: how calls describe it. state: the number of its `tensor_state`. sole_argument: the number that a
    forward's arguments have where this tensor is the only one. spare: shared by all templates of that state.
    """

    spec: TensorSpec
    state: int
    sole_argument: int
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int
    spare: SpareTensors


class SameAsInput(NamedTuple):
    """A returned tensor that is the forward's tensor argument of that number."""

    number: int
