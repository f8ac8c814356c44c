"""Resizing and sampling between grid points. Weights that depend only on sizes are not counted."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


@rule("aten.upsample_linear1d", "aten.upsample_bilinear2d", "aten.upsample_trilinear3d")
def linear(call: OpCall) -> OperatorWork:
    """w·a + v·b along each of d axes in turn: 2^d - 1 such pairs for each output."""
    axes = len(call.output.shape) - 2
    pairs = call.output.numel * (2**axes - 1)
    return OperatorWork(other=OpCounts.of(call.output.number_format, mul=2 * pairs, add=pairs))


@rule("aten.upsample_bicubic2d")
def bicubic(call: OpCall) -> OperatorWork:
    """Four rows of four taps, then four taps across the rows: five sums of four products for each output."""
    out = call.output
    return OperatorWork(other=OpCounts.of(out.number_format, mul=20 * out.numel, add=15 * out.numel))


@rule("aten._upsample_bilinear2d_aa", "aten._upsample_bicubic2d_aa", "aten._upsample_lanczos2d_aa")
def antialiased(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], out: [N, C, P, Q]: rows are resized to length Q first, then columns to length P.

    Output i of P has the taps within s·support of its centre (i + ½)·s, with s = max(H/P, 1) when shrinking.
    """
    (n, c, h, w), (_, _, p, q) = call.shape("self" if "self" in call.args else "input"), call.output.shape
    support = 1 if "bilinear" in call.name else 2 if "bicubic" in call.name else 3
    across, down = _taps(w, q, support), _taps(h, p, support)
    mul = n * c * (h * across + q * down)
    return OperatorWork(other=OpCounts.of(call.output.number_format, mul=mul, add=mul - n * c * q * (h + p)))


def _taps(size: int, out: int, support: int) -> int:
    """Taps of all outputs along one axis."""
    scale = size / out
    reach = support * max(scale, 1.0)
    total = 0
    for i in range(out):
        centre = scale * (i + 0.5)
        total += min(int(centre + reach + 0.5), size) - max(int(centre - reach + 0.5), 0)
    return total


_BILINEAR, _BICUBIC = 0, 2
"""torch's numbers for modes. 1 copies the nearest value."""

_REFLECTION = 2
"""torch's number for padding by reflection. 0 is padding with zeros, 1 with the border's values."""


@rule("aten.grid_sampler_2d", "aten.grid_sampler_3d", "aten._grid_sampler_2d_cpu_fallback")
def grid_sample(call: OpCall) -> OperatorWork:
    """x: [N, C, *H], grid: [N, *P, d], out: [N, C, *P]: the weights of each place of the grid are computed
    once, and each channel there is a sum of 2^d products (of 4 x 4 for bicubic, as five sums of four).

    A coordinate g becomes (g + 1)·H/2 - ½ (with align_corners (g + 1)·(H - 1)/2) and is rounded down. The
    weights of a place are products of the remainder or its complement along each axis. Padding by the border
    limits a coordinate to the image. Padding by reflection also takes an absolute value and a remainder.
    """
    out, grid = call.output, call.tensor("grid")
    axes = grid.shape[-1]
    places = grid.numel // axes if axes else 0
    mode, padding = call.args.get("interpolation_mode", 0), call.args.get("padding_mode", 0)
    place, channel = _coordinate(call, grid.number_format, padding) * axes, OpCounts()
    number_format = out.number_format
    if mode == _BILINEAR:
        corners = 2**axes
        place += OpCounts.of(number_format, add=2 * axes, mul=_corner_products(axes))
        channel = OpCounts.of(number_format, mul=corners, add=corners - 1)
    elif mode == _BICUBIC:
        place += _polynomials(number_format) * axes
        channel = OpCounts.of(number_format, mul=20, add=15)
    return OperatorWork(other=place * places + channel * out.numel)


def _coordinate(call: OpCall, number_format: str, padding: object) -> OpCounts:
    unaligned = 0 if call.args.get("align_corners") else 1
    counts = OpCounts.of(number_format, add=1 + unaligned + 1, mul=1)  # The last addition rounds.
    if padding:
        counts += OpCounts.of(number_format, compare=2)
    if padding == _REFLECTION:
        counts += OpCounts.of(number_format, abs=1, divide=1, add=1)
    return counts


def _polynomials(number_format: str) -> OpCounts:
    """Four cubic polynomials along an axis, with 3 products each, of the distances 1+t, t, 1-t and 2-t, where
    t is the remainder.
    """
    return OpCounts.of(number_format, add=1 + 3 + 2 * 2 + 2 * 3, mul=12)


@rule("aten.grid_sampler_2d_backward", "aten.grid_sampler_3d_backward")
def grid_sample_backward(call: OpCall) -> OperatorWork:
    """grad_output: [N, C, *P], input: [N, C, *H], grid: [N, *P, d]: the coordinates and weights of each place
    are computed again; ∂input is each gradient times 2^d weights, added to as many pixels.

    For ∂grid, each channel takes 2^(d-1) differences of pixels along each axis, times the weights along the
    other axes, sums them, and multiplies by the gradient. A coordinate sums its channels and is scaled as in
    the forward, with the other sign where it was reflected. A coordinate that was limited to the border has
    no gradient. In nearest mode a pixel takes the gradient as it is, and the grid gets none. Bicubic has 16
    weights, and along each axis sums of 16 products with the polynomials' derivatives.
    """
    grad, grid = call.tensor("grad_output"), call.tensor("grid")
    axes, number_format = grid.shape[-1], grad.number_format
    places = grid.numel // axes if axes else 0
    mode, padding = call.args.get("interpolation_mode", 0), call.args.get("padding_mode", 0)
    wanted = call.args.get("output_mask")
    of_input, of_grid = wanted if isinstance(wanted, tuple) else (True, True)
    place, channel = _coordinate(call, grid.number_format, padding) * axes, OpCounts()
    if mode not in (_BILINEAR, _BICUBIC):
        moved = OpCounts.of(number_format, add=grad.numel)
        return OperatorWork(other=place * places + moved if of_input else OpCounts())
    if mode == _BICUBIC:
        taps = 16
        place += _polynomials(number_format) * axes
        weights, shares = taps, axes * taps
        # Two near and two far polynomials. The distances to the pixels beyond the place shrink as its
        # coordinate grows.
        derivatives = OpCounts.of(number_format, mul=2 * 2 + 2 * 2, add=2 * 1 + 2 * 2 + 2)
        differences = OpCounts.of(number_format, mul=taps + 1, add=taps - 1)
    else:
        taps = 2**axes
        place += OpCounts.of(number_format, add=2 * axes)
        weights, shares = _corner_products(axes), axes * _corner_products(axes - 1)
        derivatives = OpCounts()
        half = taps // 2
        differences = OpCounts.of(number_format, mul=half + 1, add=half + half - 1)
    summed = 0
    if of_input:
        place += OpCounts.of(number_format, mul=weights)
        channel += OpCounts.of(number_format, mul=taps, add=taps)
    if of_grid:
        scaled = axes * (2 if padding == _REFLECTION else 1)
        place += derivatives * axes + OpCounts.of(number_format, mul=shares + scaled)
        channel += differences * axes
        summed = axes * max(grad.numel - places, 0)
    return OperatorWork(other=place * places + channel * grad.numel + OpCounts.of(number_format, add=summed))


def _corner_products(axes: int) -> int:
    """Products for the weights of all corners, axis by axis: 4 in two dimensions, 4 + 8 in three."""
    return sum(2**axis for axis in range(2, axes + 1))


@rule("aten.affine_grid_generator")
def affine_grid(call: OpCall) -> OperatorWork:
    """θ: [N, d, d+1] times the homogeneous coordinates of every place."""
    theta, out = call.tensor("theta"), call.output
    terms = theta.shape[-1]
    places = math.prod(out.shape[:-1]) * out.shape[-1]
    return OperatorWork(other=OpCounts.of(out.number_format, mul=places * terms, add=places * (terms - 1)))
