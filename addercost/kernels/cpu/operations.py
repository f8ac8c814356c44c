"""The operations of `dispatch` on the CPU. An operation returns None where the reference has to
compute it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from math import isfinite, isnan
from typing import Any

import halide as hl
import torch
from torch import Tensor

from addercost.kernels import reference
from addercost.kernels.cpu.binary import convolution as binary
from addercost.kernels.cpu.binary import lookup as lookup_signs
from addercost.kernels.cpu.dense import convolution as dense
from addercost.kernels.cpu.dense import gradient as gradients
from addercost.kernels.cpu.dense.sites import HALVES, in_half
from addercost.kernels.cpu.dense.tuned import tuned_schedules
from addercost.kernels.cpu.dense.weight_gradient import weight_sign_gradient
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.cpu.narrow import layer as ternary
from addercost.kernels.cpu.narrow import lookup
from addercost.kernels.cpu.narrow import product as narrow
from addercost.kernels.cpu.rows import product as rows
from addercost.kernels.cpu.u8 import convolution as u8
from addercost.kernels.narrow import PackedWeights
from addercost.kernels.narrow_lookup import LookupWeights
from addercost.kernels.powers import power_of_two
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Call
from addercost.kernels.signs import pack_factors
from addercost.kernels.store import PLAIN, Codes, Store

FAILURES = (hl.HalideError,)

NEAR = 16.0
"""The largest |x| at which the input gradient subtracts Σ g · x at the end. The intermediate terms are then
up to 16 times as large as those of the result, and 16 times the rounding error of fp32 is still only 10⁻⁶."""


def choices() -> Hashable:
    """What decides, beside sizes, strides and types, how an operation is computed. It changes when the
    number of threads or the tuned schedules do."""
    return torch.get_num_threads(), tuned_schedules()


def ready(operation: str, *arguments: Any) -> Call | None:
    """The operation for arguments like these, whose tensors may have no data, as long as `choices` stays what
    it is. None for an operation, a type or a layout that is not prepared.
    """
    return _READY[operation](*arguments) if _fits(*arguments[:2]) else None


def _fits(input: Tensor, weight: Tensor) -> bool:
    # Floats, words of signs, codes.
    known = input.dtype in (torch.float32, *HALVES, torch.int32, torch.uint8)
    return known and 0 < input.nbytes <= dense.LARGEST_BYTES >= weight.nbytes


def _are_fp32(factors: Tensor) -> bool:
    """Whether a kernel can read these factors. A model that was converted to half precision has others."""
    return factors.is_contiguous() and factors.dtype == torch.float32


def _ready_sums(site: str, input: Tensor, weight: Tensor, geometry: Geometry) -> Call | None:
    half = weight.dtype in HALVES
    if not half and weight.dtype != torch.float32:
        return None
    if depthwise.takes(weight.shape, geometry.groups):
        site_of = in_half(site, weight.dtype)
        return depthwise.ready_of(site_of, input, weight, geometry) if site == "adder" else None
    few_rows = rows.plan_of(input, weight, geometry) if site == "adder" else None
    return few_rows or dense.ready_of(in_half(site, weight.dtype), input, weight, geometry)


def _ready_fused(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Call | None:
    if weight.dtype not in (torch.float32, *HALVES) or not _are_fp32(factors):
        return None
    if shortcut is None:
        return dense.ready_of(in_half("adder_scaled", weight.dtype), input, weight, geometry, store)
    if weight.dtype in HALVES or not shortcut.is_contiguous(memory_format=output_layout(input)):
        return None
    return dense.ready_of("adder_shortcut", input, weight, geometry, store)


def _ready_packed(
    signs: bool,
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    store: Store = PLAIN,
    shortcut: Tensor | None = None,
) -> Call | None:
    if not (words.is_contiguous() and _are_fp32(factors)):
        return None
    ready_of = lookup_signs.ready_of if lookup_signs.takes(shape, geometry) else binary.ready_of
    return ready_of(input, shape, geometry, signs, store, shortcut is not None)


def _ready_coded(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    codes: Codes,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Call | None:
    if not _are_fp32(factors):
        return None
    return u8.ready_of(input, weight, codes, geometry, store, shortcut is not None)


def _ready_quantized(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, geometry: Geometry
) -> Call | None:
    return u8.ready_quantized(input, weight, zero, geometry) if input.dtype == torch.float32 else None


_READY: dict[str, Callable[..., Call | None]] = {
    "adder_forward": partial(_ready_sums, "adder"),
    "shift_forward": partial(_ready_sums, "mac_powers"),
    "adder_fused_forward": _ready_fused,
    "adder_coded_forward": _ready_coded,
    "adder_quantized_forward": _ready_quantized,
    "binary_packed_forward": partial(_ready_packed, False),
    "binary_fused_forward": partial(_ready_packed, False),
    "binary_signs_forward": partial(_ready_packed, True),
    "ternary_packed_forward": ternary.ready_of,
}


def adder_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    if input.is_cpu and (of_few_rows := rows.convolve(input, weight, geometry)) is not None:
        return of_few_rows
    return _convolve("adder", input, weight, geometry)


def narrow_product(x: Tensor, packed: PackedWeights) -> Tensor:
    return narrow.narrow_product(x, packed)


def lookup_product(x: Tensor, weights: LookupWeights) -> Tensor | None:
    return lookup.lookup_product(x, weights)


def shift_forward(input: Tensor, weight: Tensor, geometry: Geometry, rounded: bool = False) -> Tensor | None:
    # A product with ±2^e is exact in floating point, and a fused multiply-add takes no longer than an
    # addition.
    if not rounded and depthwise.takes(weight.shape, geometry.groups):
        weight, rounded = power_of_two(weight), True
    return _convolve("mac" if rounded else "mac_powers", input, weight, geometry)


def adder_input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor | None:
    g, x, w = (t.float() if t.dtype in HALVES else t for t in (grad, input, weight))
    if not (dense.supports("adder_gradient", x, w) and dense.supports("adder_gradient", g, w)):
        return None
    finite = isfinite(g.sum().item())
    if depthwise.takes(w.shape, geometry.groups):
        if not isfinite(x.sum().item() + w.sum().item()) or (gradient == "sign" and not finite):
            return None
        # For depthwise layers, subtracting Σ g · x afterwards would take longer than it saves.
        site = "adder_gradient_sign" if gradient == "sign" else "adder_gradient"
        return gradients.input_gradient(g, x, w, geometry, site).to(input.dtype)
    # `aminmax` copies a tensor that is not in NCHW order, and the copy takes 18 times as long as the search.
    least, most = (
        extreme.item() for extreme in torch.aminmax(x.permute(0, 2, 3, 1) if x.stride(1) == 1 else x)
    )
    if not isfinite(least + most + w.sum().item()) or (gradient == "sign" and not finite):
        # A NaN gets lost in vector minima, maxima and comparisons, and an infinity in a sign of 0. The
        # reference keeps both.
        return None
    if gradient == "sign":
        result = gradients.input_gradient(g, x, w, geometry, "adder_gradient_sign")
    elif finite and max(-least, most) <= NEAR:
        result = gradients.input_gradient(g, x, w, geometry, "adder_gradient_near")
        groups = geometry.groups
        sums = _reached_sums(g, w, (x.shape[2], x.shape[3]), geometry)[:, :, None]
        result.unflatten(1, (groups, -1)).addcmul_(x.unflatten(1, (groups, -1)), sums, value=-1)
    else:
        result = gradients.input_gradient(g, x, w, geometry)
    return result if x is input else result.to(input.dtype)


def adder_weight_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, gradient: str
) -> Tensor | None:
    g, x, w = (t.float() if t.dtype in HALVES else t for t in (grad, input, weight))
    if gradient != "sign" or not (dense.supports("adder", x, w) and dense.supports("adder", g, w)):
        return None
    if not isfinite(sum(operand.sum().item() for operand in (x, w, g))):
        # A NaN gets lost in a comparison, and an infinity in a sign of 0.
        return None
    return weight_sign_gradient(g, x, w, geometry).to(weight.dtype)


def _reached_sums(grad: Tensor, weight: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """Sums of `grad` over the filters and taps that read each input pixel: [N, G, H, W]."""
    sums: Tensor = grad.unflatten(1, (geometry.groups, -1)).sum(2)
    for axis in (2, 3):
        stride, padding, dilation = (
            pair[axis - 2] for pair in (geometry.stride, geometry.padding, geometry.dilation)
        )
        if (weight.shape[axis], stride, padding) == (1, 1, 0):
            continue
        places = list(sums.shape)
        places[axis] = size[axis - 2] + 2 * padding
        spread = sums.new_zeros(places)
        for tap in range(weight.shape[axis]):
            first = tap * dilation
            reached = slice(first, first + stride * (sums.shape[axis] - 1) + 1, stride)
            spread[(slice(None),) * axis + (reached,)].add_(sums)
        sums = spread.narrow(axis, padding, size[axis - 2])
    return sums


def adder_u8_forward(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    if not dense.supports("adder_u8", input, weight):
        return None
    return u8.convolve(input, weight, geometry)


def adder_quantized_forward(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, geometry: Geometry
) -> Tensor | None:
    if not (input.is_cpu and 0 < input.nbytes <= dense.LARGEST_BYTES):
        return None
    arguments = (input, weight, scale, bias, zero, geometry)
    if input.dtype == torch.float32:
        return u8.convolve_quantized(*arguments)
    return reference.adder_quantized_forward(*arguments, u8.convolve)


def adder_fused_forward(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    if depthwise.takes(weight.shape, geometry.groups):
        return reference.adder_fused_forward(input, weight, factors, geometry, store, shortcut, _adder_sums)
    factors = factors.float().contiguous()
    if shortcut is None:
        site = in_half("adder_scaled", input.dtype)
        if not dense.supports(site, input, weight):
            return None
        return dense.convolve(site, input, weight, geometry, None, factors, store)
    x, w, added = (t.float() if t.dtype in HALVES else t for t in (input, weight, shortcut))
    if not dense.supports("adder_shortcut", x, w):
        return None
    output = dense.convolve("adder_shortcut", x, w, geometry, None, factors, store, added)
    return output if x is input else output.to(input.dtype)


def _adder_sums(input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    sums = adder_forward(input, weight, geometry)
    return reference.adder_forward(input, weight, geometry) if sums is None else sums


def adder_coded_forward(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    codes: Codes,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    if not (input.dtype in (torch.float32, torch.uint8) and 0 < input.nbytes <= dense.LARGEST_BYTES):
        return None
    factors = factors.float().contiguous()
    return u8.convolve_coded(input, weight, factors, codes, geometry, store, shortcut)


def binary_forward(
    input: Tensor, weight: Tensor, geometry: Geometry, scale: Tensor | None = None
) -> Tensor | None:
    x, w = (t.float() if t.dtype in HALVES else t for t in (input, weight))
    if not dense.supports("mac", x, w):
        return None
    # In half precision the reference rounds the sum before it is scaled, so the factor is not applied inside.
    inside = scale if input.dtype == torch.float32 else None
    factor = torch.ones(w.shape[0]) if inside is None else inside
    if depthwise.takes(w.shape, geometry.groups):
        if isnan(w.sum().item()) and w.isnan().any():
            return None
        each = torch.stack([factor, torch.zeros_like(factor)])
        sums = depthwise.convolve_signs(x, w, geometry, output_layout(input), each)
    else:
        if (words := binary.pack_filters(w, geometry.groups)) is None:
            return None
        factors = pack_factors(factor, None, geometry.groups)
        k, c, r, s = w.shape
        sums = binary.convolve(x, words, factors, (k, c, r, s), geometry, output_layout(input))
    if sums is None or inside is not None:
        return sums
    sums = sums.to(input.dtype)
    return sums if scale is None else sums.mul_(scale[:, None, None])


def binary_packed_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor | None:
    return _packed_forward(input, words, factors, shape, geometry)


def binary_fused_forward(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    return _packed_forward(input, words, factors, shape, geometry, False, store, shortcut)


def binary_signs_forward(
    input: Tensor, words: Tensor, factors: Tensor, shape: tuple[int, int, int, int], geometry: Geometry
) -> Tensor | None:
    return _packed_forward(input, words, factors, shape, geometry, signs=True)


def stores_signs(shape: tuple[int, int, int, int], geometry: Geometry) -> bool:
    return lookup_signs.takes(shape, geometry)


def _packed_forward(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    signs: bool = False,
    store: Store = PLAIN,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    kind = "xnor" if input.dtype == torch.int32 else "mac"
    if not (dense.supports(kind, input, words) and words.is_contiguous() and _are_fp32(factors)):
        return None
    convolve = lookup_signs.convolve if lookup_signs.takes(shape, geometry) else binary.convolve
    layout = output_layout(input)
    return convolve(
        input, words, factors, shape, geometry, layout, signs=signs, store=store, shortcut=shortcut
    )


def _convolve(site: str, input: Tensor, weight: Tensor, geometry: Geometry) -> Tensor | None:
    is_depthwise = depthwise.takes(weight.shape, geometry.groups)
    if is_depthwise and input.dtype in HALVES and not depthwise.takes_half(input, weight):
        wide = _convolve(site, input.float(), weight.float(), geometry)
        return None if wide is None else wide.to(input.dtype)
    site = in_half(site, input.dtype)
    return dense.convolve(site, input, weight, geometry) if dense.supports(site, input, weight) else None
