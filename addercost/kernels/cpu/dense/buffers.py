"""A torch tensor's memory as a Halide buffer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import halide as hl
import numpy as np
import torch
from torch import Tensor


class BufferLayout(NamedTuple):
    """A buffer's sizes and strides, in elements. A buffer begins at the first element of a tensor."""

    size: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> BufferLayout:
        """The layout of a tensor."""
        return cls.strided(tuple(tensor.shape), tensor.stride())

    @classmethod
    def strided(cls, size: tuple[int, ...], stride: tuple[int, ...]) -> BufferLayout:
        """The layout with these sizes and strides, but with stride 1 for each axis of one element. There
        torch's stride is arbitrary, and compiled code checks some axes for a stride of 1."""
        return cls(size, tuple(1 if n == 1 else s for n, s in zip(size, stride, strict=True)))


def filled(elements: int, dtype: torch.dtype, byte: int = 0) -> Tensor:
    """Memory with the same byte everywhere. Torch starts several threads to fill it, and waking them takes
    longer than `memset` on one thread."""
    memory = torch.empty(elements, dtype=dtype)
    ctypes.memset(memory.data_ptr(), byte, elements * memory.element_size())
    return memory


class Launch:
    """A kernel with its parameters and its buffers, complete except for the tensors' addresses. The kernel is
    compiled on the first call.

    Making a buffer takes as long as calling a small kernel; setting its address takes a tenth of a
    microsecond.
    """

    __slots__ = ("_compiled", "_inputs", "_kernel", "_output", "_parameters", "_spare")

    def __init__(
        self,
        compiled: Callable[[], Callable[..., Any]],
        inputs: tuple[tuple[BufferLayout, torch.dtype], ...],
        parameters: tuple[float, ...],
        output: tuple[BufferLayout, torch.dtype],
    ) -> None:
        self._compiled, self._inputs, self._parameters, self._output = compiled, inputs, parameters, output
        self._kernel: Callable[..., Any] | None = None
        # A call takes one out of the list while it runs, so two threads never share buffers.
        self._spare: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []

    def __call__(self, *addresses: int) -> None:
        """Runs on the tensors that begin at these addresses. The output's address is the last."""
        try:
            frame = self._spare.pop()
        except IndexError:
            frame = self._frame()
        arguments, places = frame
        for place, address in zip(places, addresses, strict=True):
            place.host = address
        assert self._kernel is not None
        self._kernel(*arguments)
        self._spare.append(frame)

    def _frame(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The kernel's arguments, and the structures that take the addresses. The first call compiles the
        kernel.
        """
        self._kernel = self._compiled()
        buffers, places = zip(*(_unplaced(*buffer) for buffer in (*self._inputs, self._output)), strict=True)
        return (*buffers[:-1], *self._parameters, buffers[-1]), places


class _Dimension(ctypes.Structure):
    """Halide's `halide_dimension_t`."""

    _fields_ = (
        ("min", ctypes.c_int32),
        ("extent", ctypes.c_int32),
        ("stride", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


class _Buffer(ctypes.Structure):
    """Halide's `halide_buffer_t`."""

    _fields_ = (
        ("device", ctypes.c_uint64),
        ("device_interface", ctypes.c_void_p),
        ("host", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("type", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32),
        ("dim", ctypes.POINTER(_Dimension)),
        ("padding", ctypes.c_void_p),
    )


def _unplaced(view: BufferLayout, dtype: torch.dtype) -> tuple[Any, _Buffer]:
    """A buffer without an address, and its C structure, whose field `host` takes the address."""
    # Numpy has no bf16, and kernels take the bits of both types of half precision.
    half = dtype in (torch.float16, torch.bfloat16)
    element = torch.empty(1, dtype=torch.uint16 if half else dtype).numpy()
    strides = [step * element.itemsize for step in view.stride]
    buffer = hl.Buffer(np.lib.stride_tricks.as_strided(element, view.size, strides))
    parts = _Buffer.from_address(buffer._get_raw_halide_buffer_t())
    # Numpy does not keep the stride of an axis with one element.
    for axis, stride in enumerate(reversed(view.stride)):
        parts.dim[axis].stride = stride
    return buffer, parts
