"""The operations that `dispatch` offers, by Halide; None where the reference has to do it."""

from __future__ import annotations

import halide as hl
import torch
from torch import Tensor

from addercost.kernels.cpu import binary, run
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.signs import pack_factors

FAILURES = (hl.HalideError,)

_HALF = (torch.float16, torch.bfloat16)


def adder_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    return _convolve("adder", input, weight, geometry)


def shift_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    # Times ±2^e is exact in floating point, and a fused multiply-add does it in the addition's own time.
    return _convolve("mac", input, weight, geometry)


def adder_input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor | None:
    if gradient != "full":
        return None
    g, x, w = (t.float() if t.dtype in _HALF else t for t in (grad, input, weight))
    if not (run.supports("adder_gradient", x, w) and run.supports("adder_gradient", g, w)):
        return None
    if not torch.isfinite(x.sum() + w.sum()):
        # The vector minimum and maximum of the clipping drop a NaN; the reference keeps it.
        return None
    return run.adder_input_gradient(g, x, w, geometry).to(input.dtype)


def adder_u8_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    if not run.supports("adder_u8", input, weight):
        return None
    return run.convolve("adder_u8", input, weight, geometry).neg_()


def binary_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    x, w = (t.float() if t.dtype in _HALF else t for t in (input, weight))
    if not run.supports("mac", x, w) or (words := binary.pack_filters(w, geometry.groups)) is None:
        return None
    factors = pack_factors(torch.ones(w.shape[0]), None, geometry.groups)
    k, c, r, s = w.shape
    sums = binary.convolve(x, words, factors, (k, c, r, s), geometry, output_layout(input))
    return None if sums is None else sums.to(input.dtype)


def binary_packed_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor | None:
    if not (run.supports("mac", input, factors) and words.is_contiguous() and factors.is_contiguous()):
        return None
    return binary.convolve(input, words, factors, shape, geometry, output_layout(input))


def _convolve(site: str, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    wide, wide_weight = input, weight
    if input.dtype in _HALF:
        wide, wide_weight = input.float(), weight.float()
    if not run.supports(site, wide, wide_weight):
        return None
    return run.convolve(site, wide, wide_weight, geometry).to(input.dtype)
