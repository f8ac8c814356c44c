"""Kernels that read a prepared copy of the image: channels-last, with its border, and with slack behind the
last pixel for the reads of the last tile."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.cpu.dense.convolution import launch_of, parameters_of
from addercost.kernels.cpu.dense.extents import Extents
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.plan import choose_class
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import Schedules
from addercost.kernels.problem import Geometry
from addercost.kernels.store import PLAIN, Store


@dataclass(frozen=True, slots=True)
class BorderedKernel:
    """A kernel with its parameters and buffer layouts; only the weights' layout is still open."""

    request: KernelRequest
    kernel: KernelClass
    parameters: tuple[float, ...]
    shape: list[int]
    layout: torch.memory_format
    """The layout in which the kernel writes the output."""
    slack_pixels: int
    source: BufferLayout
    sink: BufferLayout

    def launch(self, weight: BufferLayout) -> Launch:
        """Runs the kernel on an image, on weights of this layout, and on the factors and a shortcut if its
        arithmetic has them.
        """
        return launch_of(self.kernel, (self.source, weight), self.parameters, self.sink)

    def laid_out(self, shortcut: Tensor) -> Tensor:
        """The shortcut in the output's layout."""
        return shortcut.contiguous(memory_format=self.layout)


def plan_bordered(
    site: str,
    image_size: tuple[int, int, int],
    channels: int,
    filters: int,
    filter_size: tuple[int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
    schedules: Schedules | Schedule | None = None,
    terms: int = 0,
    store: Store = PLAIN,
) -> BorderedKernel:
    """Chooses the kernel and its buffers.

    image_size: (N, H, W) without the border. channels: elements in a pixel of a group. filters: of a group. A
    kernel whose vectors run along the pixels reads one plane for each channel; all others read channels-last
    pixels."""
    n, height, width = image_size
    groups, (r, s) = geometry.groups, filter_size
    p, q = geometry.output_size((height, width), filter_size)
    height, width = height + 2 * geometry.padding[0], width + 2 * geometry.padding[1]
    (step_y, step_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    if q == 1:
        # In a row of one pixel, a channels-first tile has no neighbouring pixels to write at once.
        layout = torch.channels_last
    pixel = groups * channels
    row = width * pixel
    output = torch.empty(n, filters * groups, p, q, device="meta", memory_format=layout)
    _, by_k, by_y, by_x = output.stride()
    fused = groups == 1 and dilation_x == 1
    pointwise = r == s == step_y == step_x == 1
    if pointwise:
        # All rows of the image are joined into one.
        height, width, row = 1, height * width, height * row
        p, q = height, width
    sink = BufferLayout.strided(
        (n, p, q, groups, filters), (output.stride(0), by_y, by_x, filters * by_k, by_k)
    )
    extents = Extents(
        images=n,
        channels=s * channels if fused else channels,
        filters=filters,
        rows=p,
        columns=q,
        filter_y=r,
        filter_x=1 if fused else s,
        stride_y=step_y,
        stride_x=1 if fused else step_x,
        dilation_y=dilation_y,
        scratch_columns=0,
    )
    channels_last = by_k == 1 and layout == torch.channels_last
    # This looks at the layer's own filter and stride: a fused row's extents no longer have them.
    planes = pointwise and not channels_last
    request = KernelRequest(
        site, extents, True, channels_last, direct=True, bordered=True, planes=planes, threads=threads
    )
    kernel = choose_class(request, schedules)
    # The last tile of a row reads into the next row. The last tile of the last row reads into the slack.
    tile = kernel.vector_run if kernel.across else kernel.pixels
    columns = -(-q // tile) * tile
    slack = (columns - q) * step_x
    if kernel.across:
        plane = height * width
        places = (pixel * plane, width, 1, channels * plane, plane)
        source = BufferLayout.strided((n, height, columns, groups, channels), places)
    elif fused:
        # The image's elements under one row of the filter are contiguous in memory. One inner loop runs over
        # them all, and the views of neighbouring pixels overlap.
        places = (height * row, row, step_x * pixel, 1, 1)
        source = BufferLayout.strided((n, height, columns, 1, s * channels), places)
        s = step_x = 1
    else:
        reach = (columns - 1) * step_x + (s - 1) * dilation_x + 1
        source = BufferLayout.strided(
            (n, height, reach, groups, channels), (height * row, row, pixel, channels, 1)
        )
    inside = Geometry((step_y, step_x), (0, 0), (dilation_y, dilation_x))
    parameters = parameters_of(kernel, extents, inside, (r, s), threads, terms, store)
    return BorderedKernel(request, kernel, parameters, list(output.shape), layout, slack, source, sink)
