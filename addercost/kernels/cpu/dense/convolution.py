"""Calls the compiled dense kernels on torch tensors, without copying them where the kernel can read them in
place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.cpu.dense.extents import Extents
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.maxima import LaunchByMaxima, search_of, sums_layout
from addercost.kernels.cpu.dense.partition import enough_tasks, partition
from addercost.kernels.cpu.dense.pipeline import compile_kernel
from addercost.kernels.cpu.dense.plan import choose_class
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES, Site
from addercost.kernels.cpu.dense.tuned import Schedules, tuned_schedules
from addercost.kernels.cpu.dense.window_sums import plan_window_sums
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Ready
from addercost.kernels.signs import whole_blocks
from addercost.kernels.store import PLAIN, Store

LARGEST_BYTES = (1 << 31) - 1
"""Halide computes indices in 32 bits; larger tensors are left to the reference."""

SKIPPED_BYTES = 3 << 19
"""The largest image whose pixels are read where they are although a stride skips some. On an Emerald Rapids
core multiply-adds of 256 to 512 channels with 56 × 56 pixels and stride 2 take 0.6 times as long with a copy,
and of 512 to 1024 channels with 28 × 28 0.8 times; of 64 to 128 channels with 56 × 56, 1.2 times.
"""


@cache
def compiled(kernel: KernelClass) -> Any:
    """The kernel of a class, compiled on first use."""
    return compile_kernel(kernel)


def launch_of(
    kernel: KernelClass,
    inputs: Sequence[BufferLayout],
    parameters: tuple[float, ...],
    output: BufferLayout,
    sums: BufferLayout | None = None,
) -> Launch:
    """Runs a kernel of this class on `inputs`, on the sums of inputs, the factors of `kernels.signs` and a
    shortcut if its arithmetic has them, and on an output.
    """
    site, operands = SITES[kernel.site], [(view, SITES[kernel.site].dtype) for view in inputs]
    if sums is not None:
        operands.append((sums, torch.float32))
    if site.scaled:
        groups, filters = output.size[3:]
        whole = whole_blocks(filters)
        operands.append((BufferLayout.strided((2, groups, whole), (groups * whole, whole, 1)), torch.float32))
    if site.shortcut:
        operands.append((output, torch.float32))
    return Launch(partial(compiled, kernel), tuple(operands), parameters, (output, site.output))


def supports(site: str, input: Tensor, weight: Tensor) -> bool:
    """Whether the CPU kernels of this arithmetic accept these tensors."""
    return (
        input.is_cpu
        and input.dtype == SITES[site].dtype
        and 0 < input.nbytes <= LARGEST_BYTES
        and weight.nbytes <= LARGEST_BYTES
    )


def convolve(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    schedule: Schedule | None = None,
    factors: Tensor | None = None,
    store: Store = PLAIN,
    shortcut: Tensor | None = None,
) -> Tensor:
    """The sums of the arithmetic `site` (a name in `SITES`) for input [N, C, H, W] and weight [K, C/G, R, S],
    whose shapes were checked before.

    schedule: how to compute them; None takes the best that is known for this machine. factors: of
    `kernels.signs`, for an arithmetic that scales its sums. shortcut: for an arithmetic that adds one.
    Depthwise layers take none.
    Returns [N, K, P, Q], channels-last where the input is.
    Raises halide.HalideError when the kernel cannot be compiled or run.
    """
    layout = output_layout(input)
    if depthwise.takes(weight.shape, geometry.groups):
        return depthwise.convolve(site, input, weight, geometry, layout)
    plan = _planned(site, input, weight, geometry, schedule or tuned_schedules(), store)
    if plan.copied:
        input, weight = _prepared(input, weight, geometry, plan.transposed)
    output = torch.empty(plan.shape, dtype=SITES[site].output, memory_format=layout)
    if shortcut is not None:
        shortcut = shortcut.contiguous(memory_format=layout)
    operands = [each for each in (input, weight, factors, shortcut, output) if each is not None]
    plan.launch(*(operand.data_ptr() for operand in operands))
    return output


def ready_of(
    site: str, input: Tensor, weight: Tensor, geometry: Geometry, store: Store = PLAIN
) -> Ready | None:
    """`convolve` for operands of these sizes and strides, which may have no data. None where they have
    to be copied first, and for depthwise layers.
    """
    if depthwise.takes(weight.shape, geometry.groups):
        return None
    plan = _planned(site, input, weight, geometry, tuned_schedules(), store)
    if plan.copied:
        return None
    return Ready(tuple(plan.shape), output_layout(input), plan.launch, SITES[site].output)


def request_of(site: str, input: Tensor, weight: Tensor, geometry: Geometry) -> KernelRequest:
    """The request that `convolve` makes for these tensors."""
    return _planned(site, input, weight, geometry, None).request


def _planned(
    site: str,
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    schedules: Schedules | Schedule | None,
    store: Store = PLAIN,
) -> DensePlan:
    place = (input.shape, input.stride(), weight.shape, weight.stride())
    return _plan(site, *place, geometry, output_layout(input), torch.get_num_threads(), schedules, store)


@dataclass(frozen=True, slots=True)
class DensePlan:
    """What depends only on sizes and strides. It is made once for each combination of them."""

    request: KernelRequest
    kernel: KernelClass
    launch: Launch | LaunchByMaxima
    shape: list[int]
    transposed: bool
    copied: bool
    """The kernel cannot read input and weight in place."""


@lru_cache(maxsize=4096)
@torch.inference_mode(False)  # A view that is made in inference mode does not know its base tensor.
def _plan(
    site: str,
    input_size: tuple[int, ...],
    input_stride: tuple[int, ...],
    weight_size: tuple[int, ...],
    weight_stride: tuple[int, ...],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
    schedules: Schedules | Schedule | None = None,
    store: Store = PLAIN,
) -> DensePlan:
    given = torch.empty_strided(input_size, input_stride, dtype=SITES[site].dtype, device="meta")
    given_weight = torch.empty_strided(weight_size, weight_stride, dtype=SITES[site].dtype, device="meta")
    (n, _, h, w), (k, _, r, s) = input_size, weight_size
    shape = [n, k, *geometry.output_size((h, w), (r, s))]
    output = target = torch.empty(shape, dtype=SITES[site].output, device="meta", memory_format=layout)
    # Halves become fp32 in the scratch image, so they are not read in place.
    groups, direct = geometry.groups, _is_direct(given_weight, geometry) and not SITES[site].half
    # A single column of outputs is treated as a row, because the schedule tiles rows.
    transposed = shape[3] == 1 and shape[2] > 1
    input, weight = _prepared(given, given_weight, geometry, transposed)
    copied = not all(
        now is before or now._base is before for now, before in ((input, given), (weight, given_weight))
    )
    if transposed:
        target, geometry, (r, s) = output.transpose(2, 3), geometry.transposed(), (s, r)
    elif _skips_pixels(given, given_weight, geometry):
        geometry = Geometry(groups=groups)
    step_y, step_x = geometry.stride
    of_layer = geometry
    source = input[:, :, ::step_y, ::step_x] if direct else input
    source, sink = grouped(source, groups), grouped(target, groups)
    if direct:
        # The view of the input has applied the stride already.
        geometry = Geometry(groups=groups)
        source, sink = _flattened(source, sink, 1 if enough_tasks(n, k // groups, threads) else threads)
    extents = extents_of(source, sink, (r, s), geometry)
    one_row = _joined(sink)
    request = KernelRequest(
        site,
        extents,
        is_channels_last(input),
        is_channels_last(target),
        direct,
        joinable=one_row is not None,
        planes=source.stride(2) == sink.stride(2) == 1 < source.shape[2],
        threads=threads,
    )
    kernel = choose_class(request, schedules)
    if kernel.joined and one_row is not None:
        sink = one_row
    operands, to = (BufferLayout.of(source), BufferLayout.of(weight)), BufferLayout.of(sink)

    def launched(kernel: KernelClass, sums: BufferLayout | None = None) -> Launch:
        parameters = parameters_of(kernel, extents, geometry, (r, s), threads, store=store)
        return launch_of(kernel, operands, parameters, to, sums)

    by_differences = replace(kernel, site=site)
    launch = launched(by_differences)
    sums = None
    if kernel != by_differences:
        sums = plan_window_sums(input.shape, input.stride(), (r, s), of_layer, threads, input.dtype)
    if sums is None:
        return DensePlan(request, by_differences, launch, shape, transposed, copied)
    at, elements = sums_layout(to, kernel.vector_run if kernel.across else kernel.pixels)
    by_maxima = LaunchByMaxima(
        sums, elements, launched(kernel, at), search_of(output.numel(), threads, output.dtype), launch
    )
    return DensePlan(request, kernel, by_maxima, shape, transposed, copied)


def _prepared(input: Tensor, weight: Tensor, geometry: Geometry, transposed: bool) -> tuple[Tensor, Tensor]:
    """The image as a kernel can read it, and the weight as [G, K/G, C·R·S]."""
    if transposed:
        input, weight = input.transpose(2, 3), weight.transpose(2, 3)
    elif _skips_pixels(input, weight, geometry):
        step_y, step_x = geometry.stride
        return input[:, :, ::step_y, ::step_x].contiguous(), _by_groups(weight, geometry.groups)
    if not _is_direct(weight, geometry):
        input = readable(input)
    return input, _by_groups(weight, geometry.groups)


def _by_groups(weight: Tensor, groups: int) -> Tensor:
    return weight.reshape(groups, weight.shape[0] // groups, -1).contiguous()


def _skips_pixels(input: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Whether filters of one pixel read large planes with a stride. The pixels that they read are copied
    first: a tile then reads neighbours.
    """
    return (
        _is_direct(weight, geometry)
        and geometry.stride != (1, 1)
        and not is_channels_last(input)
        and input[0].numel() * input.element_size() > SKIPPED_BYTES
    )


def _is_direct(weight: Tensor, geometry: Geometry) -> bool:
    return tuple(weight.shape[2:]) == (1, 1) and geometry.padding == (0, 0)


def is_channels_last(image: Tensor) -> bool:
    return (image.shape[1] == 1 and image.stride(3) != 1) or image.stride(1) == 1


def readable(image: Tensor, layout: torch.memory_format = torch.channels_last) -> Tensor:
    """The image itself where a row, or the channels of a pixel, are contiguous; otherwise a copy in
    `layout`.
    """
    if image.stride(1) == 1 or (image.stride(3) == 1 and image.shape[3] > 1):
        return image
    return image.contiguous(memory_format=layout)


def grouped(image: Tensor, groups: int) -> Tensor:
    """A view of [N, C, H, W] as [N, H, W, G, C/G], the reverse of the order of Halide's axes."""
    grouped: Tensor = image.unflatten(1, (groups, -1))
    return grouped.permute(0, 3, 4, 1, 2)


def _flattened(source: Tensor, target: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Both images with their rows joined into so many where both allow it, so that only the last tile of each
    computes pixels in vain.
    """
    both = _joined(source, rows), _joined(target, rows)
    return (source, target) if both[0] is None or both[1] is None else (both[0], both[1])


def _joined(image: Tensor, rows: int = 1) -> Tensor | None:
    """The image with its rows joined into so many, or None where there are gaps between rows or the pixels
    cannot be shared out equally.
    """
    n, y, x, g, c = image.stride()
    columns, left = divmod(image.shape[1] * image.shape[2], rows)
    if left or (image.shape[1] > 1 and y != x * image.shape[2]):
        return None
    size = (image.shape[0], rows, columns, *image.shape[3:])
    return image.as_strided(size, (n, columns * x, x, g, c))


def extents_of(source: Tensor, target: Tensor, filter_size: tuple[int, int], geometry: Geometry) -> Extents:
    return Extents(
        images=target.shape[0],
        channels=source.shape[4],
        filters=target.shape[4],
        rows=target.shape[1],
        columns=target.shape[2],
        filter_y=filter_size[0],
        filter_x=filter_size[1],
        stride_y=geometry.stride[0],
        stride_x=geometry.stride[1],
        dilation_y=geometry.dilation[0],
        scratch_columns=source.shape[2] + 2 * geometry.padding[1],
    )


def _store_parameters(site: Site, store: Store) -> tuple[float, ...]:
    """The values for the parameters that `Site.store_parameters` names."""
    coded = (store.codes.step, float(store.codes.zero)) if store.codes else ()
    return (store.least, store.most, *coded) if site.scaled else ()


def parameters_of(
    kernel: KernelClass,
    extents: Extents,
    geometry: Geometry,
    filter_size: tuple[int, int],
    threads: int,
    terms: int = 0,
    store: Store = PLAIN,
) -> tuple[float, ...]:
    """The values for `PARAMETERS` of the compiled kernel and for its arithmetic's `store_parameters`."""
    return (
        *geometry.stride,
        *geometry.padding,
        *geometry.dilation,
        *filter_size,
        *partition(kernel, extents, threads),
        terms,
        SITES[kernel.site].sign,
        extents.rows,
        extents.columns,
        *_store_parameters(SITES[kernel.site], store),
    )
