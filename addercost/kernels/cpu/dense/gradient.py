"""The input gradient of the adder layer, computed as a convolution of the output's gradient."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import gcd
from typing import NamedTuple

import torch
from torch import Tensor

from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.cpu.dense.convolution import (
    extents_of,
    grouped,
    is_channels_last,
    launch_of,
    parameters_of,
    readable,
)
from addercost.kernels.cpu.dense.plan import choose_class
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.problem import Geometry, empty_output, output_layout
from addercost.kernels.signs import FILTER_BLOCK


def input_gradient(
    grad: Tensor, input: Tensor, weight: Tensor, geometry: Geometry, site: str = "adder_gradient"
) -> Tensor:
    """Σ_{k,r,s} g · HardTanh(w - x); another `site` puts another function in the place of HardTanh.

    It is a convolution of `grad` [N, K, P, Q] at stride 1 with the flipped filters. With a stride above 1
    there is one convolution for each phase: the pixels with the same remainder by the stride, and the taps
    that read them. Returns [N, C, H, W] like `input`."""
    output = target = empty_output(input, list(input.shape))
    if input.shape[3] == 1 and input.shape[2] > 1:
        grad, input, weight, target = (t.transpose(2, 3) for t in (grad, input, weight, target))
        geometry = geometry.transposed()
    grad, groups = readable(grad, output_layout(input)), geometry.groups
    filters = weight.unflatten(0, (groups, weight.shape[0] // groups)).transpose(1, 2)
    rows, columns = (
        [_phase(index, input.shape[axis], weight.shape[axis], geometry, axis - 2) for index in range(stride)]
        for axis, stride in ((2, geometry.stride[0]), (3, geometry.stride[1]))
    )
    for row, column in product(rows, columns):
        x, out = (t[:, :, row.pixels, column.pixels] for t in (input, target))
        taps = filters[..., row.taps, column.taps]
        if taps.shape[3:] != (1, 1):
            taps = taps.flip(3, 4)
        if out.numel() == 0:
            continue
        if taps.numel() == 0:
            out.zero_()
            continue
        place = Geometry((1, 1), (row.padding, column.padding), (row.dilation, column.dilation), groups)
        if out.stride(1) == 1 or out.stride(3) == 1 or out.shape[3] == 1:
            _gradient_phase(site, grad, x, taps, place, out)
        else:
            dense = torch.empty(out.shape)
            _gradient_phase(site, grad, x, taps, place, dense)
            out.copy_(dense)
    return output


class _Phase(NamedTuple):
    """One phase along one axis: every stride-th pixel, and the filter taps that read these pixels."""

    pixels: slice
    taps: slice
    padding: int
    dilation: int


def _phase(index: int, size: int, filter_size: int, geometry: Geometry, axis: int) -> _Phase:
    """The phase of pixels index, index + stride, … along an axis.

    Tap r reads pixel y for the output (y + padding - dilation·r) / stride, if that is a whole number.
    """
    stride, padding, dilation = geometry.stride[axis], geometry.padding[axis], geometry.dilation[axis]
    common = gcd(stride, dilation)
    reading = (r for r in range(filter_size) if (index + padding - dilation * r) % stride == 0)
    first = next(reading, filter_size)
    count = len(range(first, filter_size, stride // common))
    start = (index + padding - dilation * first) // stride
    step = dilation // common
    taps = slice(first, filter_size, stride // common)
    return _Phase(slice(index, size, stride), taps, step * (count - 1) - start, step)


def _gradient_phase(
    site: str, grad: Tensor, input: Tensor, flipped: Tensor, geometry: Geometry, target: Tensor
) -> None:
    """The convolution of `grad` with `flipped` [G, C/G, K/G, R, S] into `target`. `site` combines each term
    with `input`, which is the stationary operand.
    """
    groups, filter_size = geometry.groups, (flipped.shape[3], flipped.shape[4])
    one = flipped[:, :, 0].flatten(0, 1)[:, None]
    if flipped.shape[2] == 1 and depthwise.takes(one.shape, groups):
        depthwise.gradient(site, grad, input, one, geometry, target)
        return
    # A flipped 1×1 filter has the channels of the input innermost already.
    innermost = filter_size == (1, 1) and flipped.shape[1] % FILTER_BLOCK == 0 and flipped.stride(1) == 1
    flat = flipped.flatten(2) if innermost else flipped.reshape(groups, flipped.shape[1], -1).contiguous()
    launch = _launch(
        site,
        *(BufferLayout(tuple(image.shape), image.stride()) for image in (grad, input, target)),
        BufferLayout.of(flat),
        filter_size,
        geometry,
        innermost,
        torch.get_num_threads(),
    )
    launch(*(operand.data_ptr() for operand in (grad, flat, input, target)))


@lru_cache(maxsize=1024)
def _launch(
    site: str,
    grad: BufferLayout,
    input: BufferLayout,
    target: BufferLayout,
    weight: BufferLayout,
    filter_size: tuple[int, int],
    geometry: Geometry,
    innermost: bool,
    threads: int,
) -> Launch:
    """A launch for (gradient, weight, input, target) with these sizes and strides."""
    images = [torch.empty_strided(*view, device="meta") for view in (grad, input, target)]
    source, stationary, sink = (grouped(image, geometry.groups) for image in images)
    extents = extents_of(source, sink, filter_size, geometry)
    layouts = is_channels_last(images[0]), is_channels_last(images[2])
    kernel = choose_class(KernelRequest(site, extents, *layouts, False, innermost, threads=threads))
    parameters = parameters_of(kernel, extents, geometry, filter_size, threads)
    return launch_of(
        kernel,
        (BufferLayout.of(source), weight, BufferLayout.of(stationary)),
        parameters,
        BufferLayout.of(sink),
    )
