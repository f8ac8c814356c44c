"""A torch tensor's memory as a Halide buffer."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, NamedTuple

import halide as hl
import torch
from torch import Tensor


class View(NamedTuple):
    """How a buffer lies in the memory of the tensor at whose first element it begins."""

    size: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> View:
        """As torch has it."""
        return cls.laid(tuple(tensor.shape), tensor.stride())

    @classmethod
    def laid(cls, size: tuple[int, ...], stride: tuple[int, ...]) -> View:
        """The compiled code demands stride 1 of some axes, which torch leaves arbitrary where there is only
        one element."""
        return cls(size, tuple(1 if n == 1 else s for n, s in zip(size, stride, strict=True)))


def halide_buffer(tensor: Tensor, view: View | None = None) -> Any:
    """A Halide buffer on the tensor's memory, laid out as `view` says or as the tensor is."""
    size, stride = view or View.of(tensor)
    if tensor.requires_grad:
        tensor = tensor.detach()
    return hl.Buffer(tensor.as_strided(size, stride).numpy())


def cleared(elements: int, dtype: torch.dtype) -> Tensor:
    """Zeros, by this thread alone: torch would have several meet, which takes longer than the zeros."""
    memory = torch.empty(elements, dtype=dtype)
    ctypes.memset(memory.data_ptr(), 0, elements * memory.element_size())
    return memory


_kept: dict[int, tuple[weakref.ref[Tensor], int, View, Any]] = {}


def kept_buffer(tensor: Tensor, view: View) -> Any:
    """As `halide_buffer`, of a tensor that comes back call after call, such as a weight.

    What is kept is where the tensor lies, never what it holds, and goes with the tensor.
    """
    key = id(tensor)
    found = _kept.get(key)
    if found is not None and found[0]() is tensor and found[1] == tensor.data_ptr() and found[2] == view:
        return found[3]
    buffer = halide_buffer(tensor, view)

    def forget(reference: weakref.ref[Tensor]) -> None:
        # Another tensor may have the number by now.
        if (now := _kept.get(key)) is not None and now[0] is reference:
            del _kept[key]

    _kept[key] = weakref.ref(tensor, forget), tensor.data_ptr(), view, buffer
    return buffer
