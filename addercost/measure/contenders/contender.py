"""The type of a contender, one way to compute a layer; and `Place`, where its tensors are."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from addercost.arithmetic import Arithmetic
from addercost.errors import AddercostError
from addercost.kernels import dispatch
from addercost.measure.case import LayerCase
from addercost.measure.devices.device import Call

DTYPES = ("fp32", "fp16", "bf16", "int8")
"""Number formats that a user can choose."""

TENSOR_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class UnsupportedError(AddercostError):
    """A contender cannot compute this layer, or not on this machine."""


def require_kernels(name: str) -> None:
    """Raises UnsupportedError where the package that kernels are written in is not installed."""
    if importlib.util.find_spec(name) is None:
        extra = {"halide": "cpu", "triton": "gpu"}[name]
        raise UnsupportedError(f"{name} is not installed", f"pip install 'addercost[{extra}]'")


@dataclass(frozen=True, slots=True)
class Place:
    """The device of the tensors, and the order of their elements in its memory."""

    device: torch.device
    layout: torch.memory_format = torch.channels_last


Build = Callable[[LayerCase, Place], Call]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to compute a layer.

    build: makes tensors of random data and the call on them; raises UnsupportedError. includes: which steps
    one run of the call has, in words. limit: the name of the device's limit for this arithmetic
    (`TimingDevice.limit`). claims: the (operation, kernel) of `dispatch` that must run. item_bits: bits of an
    element of input, weight and output. scratch_bytes: bytes that the call allocates in addition to these
    tensors. estimated: whether the cost models estimate the same work. linear, convolution: whether the
    contender computes linear layers, and convolutions.
    """

    arithmetic: Arithmetic
    implementation: str
    dtype: str
    includes: str
    build: Build
    limit: str = ""
    claims: tuple[str, str] | None = None
    item_bits: tuple[float, float, float] = (32, 32, 32)
    scratch_bytes: Callable[[LayerCase], float] = lambda case: 0
    estimated: bool = True
    linear: bool = True
    convolution: bool = True

    @property
    def label(self) -> str:
        return f"{self.implementation} {self.dtype}"

    def computes(self, case: LayerCase) -> bool:
        """Whether the contender computes layers of this kind. `build` may still refuse a single layer."""
        return self.linear if case.linear else self.convolution

    def bytes_moved(self, case: LayerCase) -> int:
        """Bytes of input, weight and output, each counted once."""
        shapes = (case.input_shape, case.weight_shape, case.output_shape)
        bits = sum(b * math.prod(s) for b, s in zip(self.item_bits, shapes, strict=True))
        return math.ceil(bits / 8)

    def made(self, case: LayerCase, place: Place, free_bytes: int | None) -> Call:
        """Builds the call and runs it once. Raises UnsupportedError where another kernel than the claimed one
        did the work, or where there is too little memory.
        """
        self._check_memory(case, free_bytes)
        if self.claims is not None:
            require_kernels(self.claims[1])
        call = self.build(case, place)
        before = dispatch.runs.copy()
        call()
        ran = dispatch.runs - before
        if self.claims is not None and not ran[self.claims]:
            instead = ", ".join(f"{operation} by {name}" for operation, name in ran) or "nothing of ours"
            raise UnsupportedError(f"no {self.claims[1]} kernel for it here: {instead} ran instead")
        return call

    def _check_memory(self, case: LayerCase, free_bytes: int | None) -> None:
        need = self.bytes_moved(case) + self.scratch_bytes(case)
        if free_bytes is not None and need > free_bytes:
            one = need / case.images
            raise UnsupportedError(
                f"out of memory: it takes {need / 2**30:.1f} GiB and {free_bytes / 2**30:.1f} GiB are free",
                f"{int(free_bytes // one)} of its {case.images} images would fit",
            )
