"""A torch tensor's memory as a Halide buffer."""

from __future__ import annotations

from typing import Any, NamedTuple

import halide as hl
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
