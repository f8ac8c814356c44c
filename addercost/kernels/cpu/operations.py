"""The operations that `dispatch` offers, by Halide; None where the reference has to do it."""

from __future__ import annotations

import halide as hl
import torch
from torch import Tensor

from addercost.kernels.cpu import run
from addercost.kernels.cpu.signs import pack_signs
from addercost.kernels.problem import Geometry, output_layout

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
    if not run.supports("mac", x, w) or not torch.isfinite(x.sum() + w.sum()):
        # A NaN has no sign bit to pack; the reference keeps it.
        return None
    packed = (pack_signs(x, geometry.groups), pack_signs(w, 1))
    return run.convolve("xnor", *packed, geometry, w[0].numel(), output_layout(input)).to(input.dtype)


def _convolve(site: str, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    wide, wide_weight = input, weight
    if input.dtype in _HALF:
        wide, wide_weight = input.float(), weight.float()
    if not run.supports(site, wide, wide_weight):
        return None
    return run.convolve(site, wide, wide_weight, geometry).to(input.dtype)
