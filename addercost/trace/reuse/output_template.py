"""How to make a tensor equal in state to one that a forward returned before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from addercost.trace.record import TensorSpec

_META = torch.device("meta")
_MOST_SPARE_TENSORS = 16


class SpareTensors:
    """Unused tensors of one shape, stride and dtype.

    Switching torch's dispatcher off takes half as long as making a tensor, so `fill` makes several at once,
    each time twice as many as the time before.
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
    """How to make a returned tensor again.

    spec: how calls describe it. state: the number of its `tensor_state`. sole_argument: the number of a
    forward's arguments if this tensor is the only one. spare: unused tensors, shared by all templates of that
    state.
    """

    spec: TensorSpec
    state: int
    sole_argument: int
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int
    spare: SpareTensors


class SameAsInput(NamedTuple):
    """The result is the forward's own tensor argument with this number."""

    number: int
