"""The input gradient of depthwise layers by Halide: vectors lie across the channels of a pixel."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import halide as hl
import torch
from torch import Tensor

from addercost.kernels.cpu.buffers import halide_buffer
from addercost.kernels.cpu.plan import SCRATCH_BYTES, vector_bytes
from addercost.kernels.cpu.sites import SITES
from addercost.kernels.problem import Geometry

Guard = hl.TailStrategy.GuardWithIf
Shift = hl.TailStrategy.ShiftInwards

PARAMETERS = (
    *("stride_y", "stride_x", "padding_y", "padding_x"),
    *("dilation_y", "dilation_x", "filter_y", "filter_x", "strip_rows"),
)
_PIXELS = (8, 7, 4, 2, 1)


class DepthwiseClass(NamedTuple):
    """What is fixed when a kernel is compiled."""

    site: str
    lanes: int
    """Channels in a vector."""
    pixels: int
    """Of a tile."""


def takes(site: str, weight: Tensor, groups: int) -> bool:
    """Whether this is one filter of one channel for each of at least four channels, in fp32."""
    chosen = SITES[site]
    plain = chosen.packed == 1 and not chosen.scaled and chosen.dtype == chosen.output == torch.float32
    return plain and weight.shape[1] == 1 and weight.shape[0] == groups >= 4


def convolve(
    site: str, input: Tensor, weight: Tensor, geometry: Geometry, output: Tensor, held: Tensor
) -> None:
    """Writes the `site`'s sums over input [N, C, H, W] and weight [C, 1, R, S] into `output` [N, C, P, Q],
    whose inputs are `held`.

    Images that are not channels-last are copied there and back.
    """
    n, c, p, q = output.shape
    lanes = vector_bytes() // 4
    while lanes > c:
        lanes //= 2
    # Every tile is whole; the last is moved back over the one before it.
    pixels = next(count for count in _PIXELS if count <= q and (-q % count == 0 or count <= 4))
    target = output if output.stride(1) == 1 else torch.empty_like(output, memory_format=torch.channels_last)
    row_bytes = (input.shape[3] + 2 * geometry.padding[1]) * c * 4
    threads = -(-torch.get_num_threads() // n)
    strip = max(1, min(-(-p // threads), SCRATCH_BYTES // row_bytes // geometry.stride[0]))
    taps = weight.reshape(c, -1).t().contiguous()
    _compiled(DepthwiseClass(site, lanes, pixels))(
        *(_buffer(image) for image in (input, held)),
        halide_buffer(taps),
        *geometry.stride,
        *geometry.padding,
        *geometry.dilation,
        *weight.shape[2:],
        strip,
        _buffer(target),
    )
    if target is not output:
        output.copy_(target)


def _buffer(image: Tensor) -> Any:
    if image.stride(1) != 1:
        image = image.contiguous(memory_format=torch.channels_last)
    return halide_buffer(image.permute(0, 2, 3, 1))


@cache
def _compiled(kernel: DepthwiseClass) -> Any:
    """The callable (input [c,x,y,n], held [c,q,p,n], weight [c,r·s], *PARAMETERS, output [c,q,p,n]),
    innermost first, for outputs of at least `lanes` channels and `pixels` columns."""
    site = SITES[kernel.site]
    parameter = {name: hl.Param(hl.Int(32), name) for name in PARAMETERS}
    input, held = (hl.ImageParam(site.element, 4, name) for name in ("input", "held"))
    weight = hl.ImageParam(site.element, 2, "weight")
    c, x, y, q, p, n = (hl.Var(name) for name in "cxyqpn")
    width, height = input.dim(1).extent(), input.dim(2).extent()
    column, row = x - parameter["padding_x"], y - parameter["padding_y"]
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    scratch, total, output = hl.Func("scratch"), hl.Func("total"), hl.Func("output")
    value = input[c, hl.clamp(column, 0, width - 1), hl.clamp(row, 0, height - 1), n]
    scratch[c, x, y, n] = hl.select(inside, value, hl.cast(site.element, 0))
    tap = hl.RDom([(0, parameter["filter_x"]), (0, parameter["filter_y"])], "tap")
    s, r = tap.x, tap.y
    own = [make(held[c, q, p, n]) for make in site.held]
    total[c, q, p, n] = hl.cast(site.accumulator, 0)
    total[c, q, p, n] += site.sign * site.combine(
        scratch[
            c,
            q * parameter["stride_x"] + s * parameter["dilation_x"],
            p * parameter["stride_y"] + r * parameter["dilation_y"],
            n,
        ],
        weight[c, r * parameter["filter_x"] + s],
        *own,
    )
    output[c, q, p, n] = total[c, q, p, n]
    co, qo, po, pi, strip = (hl.Var(name) for name in ("co", "qo", "po", "pi", "strip"))
    output.split(c, co, c, kernel.lanes, Shift).split(q, qo, q, kernel.pixels, Shift)
    output.split(p, po, pi, parameter["strip_rows"], Guard).reorder(c, q, co, qo, pi, po, n)
    output.vectorize(c).unroll(q).fuse(po, n, strip).parallel(strip)
    total.compute_at(output, co).store_in(hl.MemoryType.Register).bound_extent(c, kernel.lanes)
    for stage in (total, total.update()):
        stage.vectorize(c, kernel.lanes).unroll(q, kernel.pixels)
    total.update().reorder(c, q, s, r)
    scratch.compute_at(output, strip).vectorize(c, kernel.lanes, Shift).never_partition_all()
    images = (input, held)
    for image in (*images, weight, output.output_buffer()):
        for axis in range(image.dimensions()):
            image.dim(axis).set_min(0)
    arguments = [*images, weight, *parameter.values()]
    return output.compile_to_callable(arguments, hl.get_jit_target_from_environment())
