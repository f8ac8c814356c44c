"""A layer's computation, prepared for operands of fixed sizes, strides and types.

A call of a small layer takes most of its time for checks, for the choice of a kernel and for its plan. All of
these depend on sizes, strides and types alone, so they are made once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Ready(NamedTuple):
    """The shape, memory layout and type of the output [N, K, P, Q], and a function that writes it. The
    function takes the addresses of the operands and of the output.
    """

    shape: tuple[int, ...]
    layout: torch.memory_format
    write: Callable[..., object]
    dtype: torch.dtype = torch.float32

    def __call__(self, *operands: Tensor) -> Tensor:
        output = torch.empty(self.shape, dtype=self.dtype, memory_format=self.layout)
        self.write(*map(_address, operands), output.data_ptr())
        return output


_address = torch.Tensor.data_ptr

Call = Ready | Callable[..., Tensor | None]
"""A prepared computation: a `Ready`, or a function of the operands that returns None where the call has to be
dispatched."""


def like(tensor: Tensor | None) -> tuple[Any, Any, Any]:
    """Size, strides and type of a tensor."""
    return (None, None, None) if tensor is None else (tensor.shape, tensor.stride(), tensor.dtype)


def without_data(likes: tuple[Any, ...]) -> list[Any]:
    """Tensors without data, of the sizes, strides and types that `like` gives, one after another."""
    return [
        None if size is None else torch.empty_strided(size, stride, dtype=dtype, device="meta")
        for size, stride, dtype in zip(likes[::3], likes[1::3], likes[2::3], strict=True)
    ]
