"""What can compute a layer: the vendor's kernels, what adder users run today, and ours."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from addercost.arithmetic import Arithmetic
from addercost.errors import AddercostError, unknown_name
from addercost.kernels import dispatch
from addercost.measure.case import LayerCase
from addercost.measure.device import Call

DTYPES = ("fp32", "fp16", "bf16", "int8")
"""Number formats that can be asked for."""

TENSOR_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class UnsupportedError(AddercostError):
    """This contender does not do this layer, or not here."""


def require_kernels(name: str) -> None:
    """Raises UnsupportedError where the package that kernels are written in is not installed."""
    if importlib.util.find_spec(name) is None:
        extra = {"halide": "cpu", "triton": "gpu"}[name]
        raise UnsupportedError(f"{name} is not installed", f"pip install 'addercost[{extra}]'")


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how tensors lie."""

    device: torch.device
    layout: torch.memory_format = torch.channels_last


Build = Callable[[LayerCase, Place], Call]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to compute a layer.

    build: tensors of random data and the call on them; raises UnsupportedError. includes: what a run consists
    of. limit: the arithmetic's limit on this device. claims: the kernel of `dispatch` that has to run.
    item_bits: of an element of input, weight and output. scratch_bytes: what it allocates on the way.
    estimated: whether the cost models' estimates are of the same work. linear: whether it is a way to compute
    linear layers too.
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

    @property
    def label(self) -> str:
        return f"{self.implementation} {self.dtype}"

    def bytes_moved(self, case: LayerCase) -> int:
        """Input, weight and output, each once."""
        shapes = (case.input_shape, case.weight_shape, case.output_shape)
        bits = sum(b * math.prod(s) for b, s in zip(self.item_bits, shapes, strict=True))
        return math.ceil(bits / 8)

    def made(self, case: LayerCase, place: Place, free_bytes: int | None) -> Call:
        """The call, run once. Raises UnsupportedError where another kernel than the one claimed did the work,
        or memory would not do."""
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


def contenders(
    device: torch.device, arithmetics: Sequence[Arithmetic], dtypes: Sequence[str]
) -> Iterator[Contender]:
    """All of the arithmetics and number formats asked for, the vendor's first. Raises ArgumentError."""
    from addercost.measure import own_kernels, vendor_kernels

    for dtype in dtypes:
        if dtype not in DTYPES:
            raise unknown_name("number format", dtype, DTYPES)
    for contender in (*vendor_kernels.contenders(device), *own_kernels.contenders(device)):
        asked = "fp32" if contender.dtype == "tf32" else contender.dtype
        if contender.arithmetic in arithmetics and asked in dtypes:
            yield contender


def reference_of(contender: Contender, device: torch.device) -> Contender | None:
    """The vendor's convolution in the contender's own number format, else in fp32; None for that one."""
    from addercost.measure import vendor_kernels

    vendor = {
        c.dtype: c for c in vendor_kernels.contenders(device) if c.implementation in vendor_kernels.MAIN
    }
    if contender.implementation in vendor_kernels.MAIN:
        return None if contender.dtype == "fp32" else vendor["fp32"]
    return vendor.get(contender.dtype, vendor["fp32"])


def random_tensor(shape: tuple[int, ...], place: Place, dtype: torch.dtype) -> torch.Tensor:
    """Standard normal, the same for a shape in every run, in the place's layout where it is an image."""
    made = torch.randn(shape, generator=_generator(shape, place), device=place.device)
    return laid_out(made.to(dtype), place)


def random_codes(
    shape: tuple[int, ...], place: Place, low: int, high: int, dtype: torch.dtype
) -> torch.Tensor:
    """Uniform whole numbers from `low` up to `high` - 1."""
    made = torch.randint(
        low, high, shape, generator=_generator(shape, place), dtype=dtype, device=place.device
    )
    return laid_out(made, place)


def _generator(shape: tuple[int, ...], place: Place) -> torch.Generator:
    """Of the device itself: a large batch would take longer to make and to copy than to time."""
    return torch.Generator(place.device).manual_seed(len(shape) * 1009 + shape[0])


def laid_out(tensor: torch.Tensor, place: Place) -> torch.Tensor:
    tensor = tensor.to(place.device)
    return tensor.contiguous(memory_format=place.layout) if tensor.dim() == 4 else tensor
