"""Binary convolution on words of signs: the input is packed with its border and read in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from addercost.kernels.cpu.buffers import View, halide_buffer, kept_buffer
from addercost.kernels.cpu.kernel_class import KernelClass
from addercost.kernels.cpu.plan import Extents, choose_class
from addercost.kernels.cpu.run import compiled, parameters_of
from addercost.kernels.cpu.signs import Packing, pack_signs, packable, plan_packing
from addercost.kernels.problem import Geometry
from addercost.kernels.signs import FILTER_BLOCK, words_of

_KEPT_WORDS = 32 << 10
"""Up to this size a packed image is kept for the next call of its kind."""


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
    if not packable(input.shape, input.stride()):
        input = input.contiguous()
    plan = _plan(input.shape, input.stride(), shape, geometry, layout, torch.get_num_threads())
    try:
        packed = plan.spare.pop()
    except IndexError:
        packed = _Packed(plan)
    if plan.packing.met_nan(input, packed.memory):
        return None
    output = torch.empty(plan.shape, dtype=torch.float32, memory_format=plan.layout)
    compiled(plan.kernel)(
        packed.buffer,
        kept_buffer(words, plan.words),
        kept_buffer(factors, plan.factors),
        *plan.parameters,
        halide_buffer(output, plan.sink),
    )
    if plan.packing.elements <= _KEPT_WORDS:
        plan.spare.append(packed)
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
    packing: Packing
    layout: torch.memory_format
    source: View
    words: View
    factors: View
    sink: View
    spare: list[_Packed] = field(default_factory=list)
    """Packed images that no call is using: their border is clear already."""


class _Packed:
    """Memory for an image's words, and how the kernel sees it."""

    __slots__ = ("buffer", "memory")

    def __init__(self, plan: _Plan) -> None:
        self.memory = plan.packing.fresh()
        self.buffer = halide_buffer(self.memory, plan.source)


@lru_cache(maxsize=1024)
def _plan(
    input_size: tuple[int, int, int, int],
    input_stride: tuple[int, ...],
    weight_size: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
) -> _Plan:
    filters, channels, r, s = weight_size
    p, q = geometry.output_size((input_size[2], input_size[3]), (r, s))
    if (r, s) == (1, 1) and geometry.padding == (0, 0):
        # Pixels between the strides are not packed.
        size = (*input_size[:2], p, q)
        (by_n, by_c, by_y, by_x), (step_y, step_x) = input_stride, geometry.stride
        if packable(size, stride := (by_n, by_c, by_y * step_y, by_x * step_x)):
            input_size, input_stride, geometry = size, stride, Geometry(groups=geometry.groups)
    (n, _, height, width), groups = input_size, geometry.groups
    filters //= groups
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
    tile = kernel.vector_run if kernel.across else kernel.pixels
    columns = -(-q // tile) * tile
    if kernel.across:
        plane = height * width
        source = View.laid(
            (n, height, columns, groups, words), (pixel * plane, width, 1, words * plane, plane)
        )
    elif fused:
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
        plan_packing(
            input_size,
            input_stride,
            groups,
            geometry.padding,
            (columns - q) * geometry.stride[1],
            kernel.across,
        ),
        layout,
        source,
        View.laid((groups, whole, taps), (taps * whole, 1, whole)),
        View.laid((2, groups, whole), (groups * whole, whole, 1)),
        sink,
    )
