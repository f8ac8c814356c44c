"""Resizing and sampling between grid points. Weights that depend on sizes alone are not counted."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


@rule("aten.upsample_linear1d", "aten.upsample_bilinear2d", "aten.upsample_trilinear3d")
def linear(call: OpCall) -> OperatorWork:
    """Along each of d axes in turn, w·a + v·b: 2^d - 1 such pairs an output."""
    axes = len(call.output.shape) - 2
    pairs = call.output.numel * (2**axes - 1)
    return OperatorWork(other=OpCounts.of(call.output.number_format, mul=2 * pairs, add=pairs))


@rule("aten.upsample_bicubic2d")
def bicubic(call: OpCall) -> OperatorWork:
    """Four rows of four taps, then four taps across them: five sums of four products an output."""
    out = call.output
    return OperatorWork(other=OpCounts.of(out.number_format, mul=20 * out.numel, add=15 * out.numel))


@rule("aten._upsample_bilinear2d_aa", "aten._upsample_bicubic2d_aa", "aten._upsample_lanczos2d_aa")
def antialiased(call: OpCall) -> OperatorWork:
    """x: [N, C, H, W], out: [N, C, P, Q]: rows to length Q first, then columns to length P.

    Output i of P has the taps within s·support of its centre (i + ½)·s, s = max(H/P, 1) when shrinking.
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


_BILINEAR, _NEAREST, _BICUBIC = 0, 1, 2


@rule("aten.grid_sampler_2d", "aten.grid_sampler_3d", "aten._grid_sampler_2d_cpu_fallback")
def grid_sample(call: OpCall) -> OperatorWork:
    """x: [N, C, *H], grid: [N, *P, d], out: [N, C, *P]: weights are computed once for each place of the grid;
    each channel is a sum of 2^d products there (4 x 4 for bicubic, as five sums of four).

    A coordinate g becomes (g + 1)·H/2 - ½ (align_corners: (g + 1)·(H - 1)/2) and is rounded down. The weights
    of a place are products of the remainder and its complement along each axis. Padding by the border clamps
    a coordinate; padding by reflection also takes an absolute value and a remainder.
    """
    out, grid = call.output, call.tensor("grid")
    axes = grid.shape[-1]
    places = grid.numel // axes if axes else 0
    mode, padding = call.args.get("interpolation_mode", 0), call.args.get("padding_mode", 0)
    unaligned = 0 if call.args.get("align_corners") else 1
    coordinate = OpCounts.of(grid.number_format, add=1 + unaligned + 1, mul=1)  # the last for rounding
    if padding:
        coordinate += OpCounts.of(grid.number_format, compare=2)
    if padding == 2:
        coordinate += OpCounts.of(grid.number_format, abs=1, divide=1, add=1)
    place, channel = coordinate * axes, OpCounts()
    number_format = out.number_format
    if mode == _BILINEAR:
        corners = 2**axes
        place += OpCounts.of(number_format, add=2 * axes, mul=_corner_products(axes))
        channel = OpCounts.of(number_format, mul=corners, add=corners - 1)
    elif mode == _BICUBIC:
        # Four cubic polynomials along each axis: distances 1+t, t, 1-t, 2-t; 3 products each.
        place += OpCounts.of(number_format, add=axes * (1 + 3 + 2 * 2 + 2 * 3), mul=axes * 12)
        channel = OpCounts.of(number_format, mul=20, add=15)
    return OperatorWork(other=place * places + channel * out.numel)


@rule("aten.grid_sampler_2d_backward")
def grid_sample_backward(call: OpCall) -> OperatorWork | None:
    """grad_output: [N, C, P, Q], input: [N, C, H, W], grid: [N, P, Q, 2], bilinear, with zeros around: the
    coordinates and the four weights of each place again. The others are not counted.

    ∂input: each gradient times four weights, added to four pixels. ∂grid: along either axis a channel has two
    differences of pixels, times the shares along the other axis, summed and times the gradient; a coordinate
    sums its channels and is scaled as it was in the forward.
    """
    if call.args.get("interpolation_mode") != _BILINEAR or call.args.get("padding_mode"):
        return None
    grad, grid = call.tensor("grad_output"), call.tensor("grid")
    places = grid.numel // 2
    unaligned = 0 if call.args.get("align_corners") else 1
    mul, add = 2 * places, 2 * (1 + unaligned + 1 + 2) * places
    wanted = call.args.get("output_mask")
    of_input, of_grid = wanted if isinstance(wanted, tuple) else (True, True)
    if of_input:
        mul += 4 * places + 4 * grad.numel
        add += 4 * grad.numel
    if of_grid:
        mul += 2 * 3 * grad.numel + 2 * places
        add += 2 * 3 * grad.numel + 2 * max(grad.numel - places, 0)
    return OperatorWork(other=OpCounts.of(grad.number_format, mul=mul, add=add))


def _corner_products(axes: int) -> int:
    """Products for the weights of all corners, built up axis by axis: 4 in the plane, 4 + 8 in space."""
    return sum(2**axis for axis in range(2, axes + 1))


@rule("aten.affine_grid_generator")
def affine_grid(call: OpCall) -> OperatorWork:
    """θ: [N, d, d+1] times the homogeneous coordinates of every place."""
    theta, out = call.tensor("theta"), call.output
    terms = theta.shape[-1]
    places = math.prod(out.shape[:-1]) * out.shape[-1]
    return OperatorWork(other=OpCounts.of(out.number_format, mul=places * terms, add=places * (terms - 1)))
