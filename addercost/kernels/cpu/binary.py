"""Binary convolution on words of signs: the input is packed with its border and read in place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from addercost.kernels.cpu.buffers import View, halide_buffer
from addercost.kernels.cpu.kernel_class import KernelClass
from addercost.kernels.cpu.plan import Extents, choose_class
from addercost.kernels.cpu.run import compiled, parameters_of
from addercost.kernels.cpu.signs import pack_signs
from addercost.kernels.problem import Geometry
from addercost.kernels.signs import FILTER_BLOCK, words_of


def convolve(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
) -> Tensor | None:
    """factor_k · Σ sign(x)·sign(w) + addend_k of an fp32 input [N, C, H, W].

    `words` and `factors` are of `kernels.signs`, `shape` is that of the weight they stand for.
    Returns [N, K, P, Q] in `layout`, None where the input has a NaN.
    """
    plan = _plan(input.shape, shape, geometry, layout, torch.get_num_threads())
    packed = pack_signs(input, geometry.groups, geometry.padding, plan.slack_pixels)
    if packed is None:
        return None
    output = torch.empty(plan.shape, dtype=torch.float32, memory_format=plan.layout)
    compiled(plan.kernel)(
        halide_buffer(packed, plan.source),
        halide_buffer(words, plan.words),
        halide_buffer(factors, plan.factors),
        *plan.parameters,
        halide_buffer(output, plan.sink),
    )
    return output if plan.layout is layout else output.contiguous(memory_format=layout)


def pack_filters(weight: Tensor, groups: int) -> Tensor | None:
    """`kernels.signs.pack_filters` of an fp32 weight by the packing of images, None for a NaN."""
    k, c, r, s = weight.shape
    packed = pack_signs(weight.reshape(k, c, 1, r * s), 1)
    if packed is None:
        return None
    taps = packed.permute(0, 2, 3, 1).reshape(groups, k // groups, -1)
    words = taps.new_zeros(groups, taps.shape[2], _whole(k // groups))
    words[..., : k // groups] = taps.transpose(1, 2)
    return words


def _whole(filters: int) -> int:
    return -(-filters // FILTER_BLOCK) * FILTER_BLOCK


@dataclass(frozen=True, slots=True)
class _Plan:
    kernel: KernelClass
    parameters: tuple[int, ...]
    shape: list[int]
    slack_pixels: int
    layout: torch.memory_format
    source: View
    words: View
    factors: View
    sink: View


@lru_cache(maxsize=4096)
def _plan(
    input_size: tuple[int, int, int, int],
    weight_size: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
) -> _Plan:
    (n, _, height, width), groups = input_size, geometry.groups
    filters, channels, r, s = weight_size
    filters //= groups
    p, q = geometry.output_size((height, width), (r, s))
    height, width = height + 2 * geometry.padding[0], width + 2 * geometry.padding[1]
    (step_y, step_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    if q == 1:
        # A row of one pixel has no neighbours for a channels-first tile to lie along.
        layout = torch.channels_last
    words, terms = words_of(channels), channels * r * s
    taps, whole = r * s * words, _whole(filters)
    pixel = groups * words
    row = width * pixel
    output = torch.empty(n, filters * groups, p, q, device="meta", memory_format=layout)
    _, by_k, by_y, by_x = output.stride()
    fused = groups == 1 and dilation_x == 1
    one_row = r == s == step_y == step_x == 1
    if one_row:
        height, width, row = 1, height * width, height * row
        p, q = height, width
    sink = View.laid((n, p, q, groups, filters), (output.stride(0), by_y, by_x, filters * by_k, by_k))
    extents = Extents(
        images=n,
        channels=s * words if fused else words,
        filters=filters,
        rows=sink.size[1],
        columns=sink.size[2],
        filter_y=r,
        filter_x=1 if fused else s,
        stride_y=step_y,
        stride_x=1 if fused else step_x,
        dilation_y=dilation_y,
        scratch_columns=0,
    )
    channels_last = by_k == 1 and layout == torch.channels_last
    kernel = choose_class("xnor", extents, True, channels_last, direct=True, filters_innermost=True)
    # The last tile of a row goes on into the next, and that of the last row into the slack.
    columns = -(-q // kernel.pixels) * kernel.pixels
    if fused:
        # The words under a filter's row are neighbours: one inner loop over them, for pixels that overlap.
        source = View.laid((n, height, columns, 1, s * words), (height * row, row, step_x * pixel, 1, 1))
        s = step_x = 1
    else:
        reach = (columns - 1) * step_x + (s - 1) * dilation_x + 1
        source = View.laid((n, height, reach, groups, words), (height * row, row, pixel, words, 1))
    inside = Geometry((step_y, step_x), (0, 0), (dilation_y, dilation_x))
    return _Plan(
        kernel,
        parameters_of(kernel, extents, inside, (r, s), threads, terms),
        list(output.shape),
        (columns - q) * geometry.stride[1],
        layout,
        source,
        View.laid((groups, whole, taps), (taps * whole, 1, whole)),
        View.laid((2, groups, whole), (groups * whole, whole, 1)),
        sink,
    )
