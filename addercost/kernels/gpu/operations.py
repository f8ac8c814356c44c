"""The operations of `dispatch` on the GPU. An operation returns None where the reference has to
compute it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import torch
import triton
from torch import Tensor

from addercost.kernels import dispatch, precision, reference
from addercost.kernels.gpu import launch
from addercost.kernels.powers import power_of_two
from addercost.kernels.problem import Geometry, empty_output
from addercost.kernels.signs import unpack_factors, words_by_filter

FAILURES = (triton.TritonError, subprocess.CalledProcessError, AssertionError, FileNotFoundError)
"""CalledProcessError: the C compiler that builds Triton's launchers fails because Python's headers are
missing. AssertionError, FileNotFoundError: Triton does not find libcuda.so.1 by ldconfig, or there is no
ldconfig."""

if torch.cuda.is_available() and not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
    raise ImportError("it needs a C compiler for its launchers: install gcc or set CC")

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)
_EMULATE = torch.version.hip is not None

P = ParamSpec("P")


def on_its_device(
    operation: Callable[Concatenate[Tensor, P], Tensor | None],
) -> Callable[Concatenate[Tensor, P], Tensor | None]:
    """Runs the operation on the device of its tensors, because Triton launches on the current device and its
    stream."""

    @wraps(operation)
    def run(first: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor | None:
        if first.device.type != "cuda" or first.device.index == torch.cuda.current_device():
            return operation(first, *args, **kwargs)
        with torch.cuda.device(first.device):
            return operation(first, *args, **kwargs)

    return run


@on_its_device
def adder_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    if not _supported(input, tuple(weight.shape), geometry):
        return None
    output = _output(input, weight, geometry)
    if precision.allow_half_runs and input.dtype == torch.float16 and weight.shape[1] % 2 == 0:
        words, weight_words = launch.pack_halves(input), launch.pack_halves(weight)
        return launch.convolve("adder_half2", words, weight_words, geometry, output, _EMULATE)
    return launch.convolve("adder", input, weight, geometry, output, _EMULATE)


@on_its_device
def shift_forward(input: Tensor, weight: Tensor, geometry: Geometry, rounded: bool = False) -> Tensor | None:
    # A product with ±2^e is exact in floating point, and one FFMA instruction computes product and sum.
    if not _supported(input, tuple(weight.shape), geometry):
        return None
    weight = weight if rounded else power_of_two(weight)
    return launch.convolve("mac", input, weight, geometry, _output(input, weight, geometry), _EMULATE)


@on_its_device
def adder_input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor | None:
    if not _supported(input, tuple(weight.shape), geometry):
        return None
    return launch.input_gradient(grad, input, weight, geometry, gradient, _EMULATE)


@on_its_device
def adder_weight_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor | None:
    # The full gradient is a matrix product, and cuDNN computes it well. This kernel runs only where it is
    # forced.
    forced = os.environ.get(dispatch.VARIABLE) == "triton"
    if not _supported(input, tuple(weight.shape), geometry) or (gradient == "full" and not forced):
        return None
    return launch.weight_gradient_of(grad, input, weight, geometry, gradient)


@on_its_device
def adder_u8_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    if not _supported(input, tuple(weight.shape), geometry, (torch.uint8,)):
        return None
    output = _output(input, weight, geometry, torch.int32)
    words, weight_words = launch.pack_bytes(input, geometry.groups), launch.pack_bytes(weight, 1)
    return launch.convolve("adder_u8", words, weight_words, geometry, output, _EMULATE)


@on_its_device
def adder_quantized_forward(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, geometry: Geometry
) -> Tensor | None:
    if not _supported(input, tuple(weight.shape), geometry, (*_FLOATS, torch.float64)):
        return None

    def convolve(codes: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        sums = adder_u8_forward(codes, weight, geometry)
        assert sums is not None, "the check above counts the padding, which the codes have in them"
        return sums

    return reference.adder_quantized_forward(input, weight, scale, bias, zero, geometry, convolve)


@on_its_device
def binary_forward(
    input: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor | None = None
) -> Tensor | None:
    if not _supported(input, tuple(weight.shape), geometry) or not _finite(input, weight):
        return None
    words, weight_words = launch.pack_signs(input, geometry.groups), launch.pack_signs(weight, 1)
    differing = _output(input, weight, geometry, torch.int32)
    launch.convolve("xnor", words, weight_words, geometry, differing, _EMULATE)
    result = empty_output(input, list(differing.shape))
    result.copy_(differing.mul_(-2).add_(weight[0].numel()))
    return result if scale is None else result.mul_(scale[:, None, None])


@on_its_device
def binary_packed_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor | None:
    if not _supported(input, shape, geometry) or not _finite(input):
        return None
    k, c, r, s = shape
    n, _, h, w = input.shape
    size = [n, k, *geometry.output_size((h, w), (r, s))]
    differing = empty_output(input, size, torch.int32)
    packed = launch.pack_signs(input, geometry.groups), words_by_filter(words, shape)
    launch.convolve("xnor", *packed, geometry, differing, _EMULATE)
    scale, addend = (row[:, None, None].to(input.dtype) for row in unpack_factors(factors, k))
    sums = empty_output(input, size).copy_(differing.mul_(-2).add_(c * r * s))
    return sums.mul_(scale).add_(addend)


def _supported(
    input: Tensor,
    weight_shape: tuple[int, ...],
    geometry: Geometry,
    dtypes: tuple[torch.dtype, ...] = _FLOATS,
) -> bool:
    return (
        input.device.type == "cuda"
        and input.dtype in dtypes
        and input.numel() > 0
        and launch.addressable(tuple(input.shape), weight_shape, geometry)
    )


def _finite(input: Tensor, weight: Tensor | None = None) -> bool:
    """Whether the tensor has neither NaN, which has no sign to pack, nor infinity. The check sums in fp32,
    because a sum of halves may overflow."""
    total = input.sum(dtype=torch.float32)
    if weight is not None:
        total += weight.sum(dtype=torch.float32)
    return bool(torch.isfinite(total))


def _output(input: Tensor, weight: Tensor, geometry: Geometry, dtype: torch.dtype | None = None) -> Tensor:
    n, _, h, w = input.shape
    k, _, r, s = weight.shape
    return empty_output(input, [n, k, *geometry.output_size((h, w), (r, s))], dtype)
