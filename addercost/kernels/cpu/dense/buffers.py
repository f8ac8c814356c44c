"""A torch tensor's memory as a Halide buffer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import halide as hl
import torch
from torch import Tensor

from addercost.kernels.cpu.dense.algorithm import PARAMETERS
from addercost.kernels.cpu.dense.object_code import said


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
        self._spare: list[_Frame] = []

    def __call__(self, *addresses: int) -> None:
        """Runs on the tensors that begin at these addresses. The output's address is the last."""
        try:
            frame = self._spare.pop()
        except IndexError:
            frame = self._frame()
        arguments, buffers, _ = frame
        for buffer, address in zip(buffers, addresses, strict=True):
            buffer.host = address
        assert self._kernel is not None
        if self._kernel(arguments):
            raise hl.HalideError(said())
        self._spare.append(frame)

    def _frame(self) -> _Frame:
        """Everything that a call needs. The first one compiles the kernel."""
        self._kernel = self._compiled()
        buffers = [_Buffer.of(*buffer) for buffer in (*self._inputs, self._output)]
        integers, floats = self._parameters[: len(PARAMETERS)], self._parameters[len(PARAMETERS) :]
        numbers = [*(ctypes.c_int32(int(n)) for n in integers), *(ctypes.c_float(x) for x in floats)]
        given: list[Any] = [*buffers[:-1], *numbers, buffers[-1]]
        arguments = (ctypes.c_void_p * len(given))(*[ctypes.addressof(one) for one in given])
        return _Frame(arguments, buffers, numbers)


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

    @classmethod
    def of(cls, view: BufferLayout, dtype: torch.dtype) -> _Buffer:
        """A buffer without an address. The axes of a layout are in the reverse of Halide's order."""
        axes = [_Dimension(0, n, step, 0) for n, step in zip(view.size[::-1], view.stride[::-1], strict=True)]
        kind, bits = _TYPES[dtype]
        # Halide's `halide_type_t`: a byte for the kind, one for the bits, and two for the lanes.
        buffer = cls(type=kind | bits << 8 | 1 << 16, dimensions=len(axes))
        buffer.dim = (_Dimension * len(axes))(*axes)
        return buffer


class _Frame(NamedTuple):
    """arguments: addresses of the buffers and numbers of a call. numbers: kept, since `arguments` has their
    addresses only.
    """

    arguments: Any
    buffers: list[_Buffer]
    numbers: list[Any]


_TYPES = {
    torch.int8: (0, 8),
    torch.int32: (0, 32),
    torch.uint8: (1, 8),
    torch.uint16: (1, 16),
    torch.float32: (2, 32),
    # Kernels take the bits of both types of half precision.
    torch.float16: (1, 16),
    torch.bfloat16: (1, 16),
}
"""For each type of torch, Halide's kind (signed, unsigned, floating point) and bits."""
