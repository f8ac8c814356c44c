"""The 8-bit adder convolution. Bytes are copied into words of eight channels, with the image's border."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from addercost.kernels.cpu.dense.bordered import BorderedKernel, plan_bordered
from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch, filled
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.sites import SITES, by_four
from addercost.kernels.cpu.dense.tuned import Schedules, tuned_schedules
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.cpu.ir.build import as_array
from addercost.kernels.cpu.ir.native import masks_bytes
from addercost.kernels.cpu.processor import is_arm
from addercost.kernels.cpu.shares import NativeCall, run_shares, shares
from addercost.kernels.cpu.u8.loops import (
    FLOATS,
    TRANSPOSED_PIXELS,
    WORD,
    CopyNumbers,
    TransposeNumbers,
    copy_runs,
    copy_words,
    quantize,
    transpose,
)
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Call
from addercost.kernels.signs import pack_factors
from addercost.kernels.store import PLAIN, Codes, Store


def convolve_quantized(
    input: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, zero: int, geometry: Geometry
) -> Tensor:
    """-scale · Σ|q(x) - w| + bias of an fp32 input; the result of `reference.adder_quantized_forward`."""
    factors = pack_factors(scale.expand(weight.shape[0]), bias, geometry.groups)
    return convolve_coded(input, weight, factors, Codes(float(scale), zero), geometry, PLAIN)


def convolve_coded(
    input: Tensor,
    weight: Tensor,
    factors: Tensor,
    codes: Codes,
    geometry: Geometry,
    store: Store,
    shortcut: Tensor | None = None,
) -> Tensor:
    """`store` applied to -Σ|q(x) - w|; the result of `reference.adder_coded_forward`.

    input: fp32, or its byte codes. A padded tap has the code of 0."""
    layout, zero = output_layout(input), codes.zero
    if input.dtype == torch.float32:
        input = _codes(input, codes)
    if depthwise.takes(weight.shape, geometry.groups):
        each = factors[..., 0].contiguous()
        sums = depthwise.convolve("adder_u8_scaled", input, weight, geometry, layout, each, zero)
        return sums if store == PLAIN and shortcut is None else store.of(sums, *_NO_FACTORS, shortcut)
    if zero and weight.shape[1] % WORD and geometry.padding != (0, 0):
        # Channels are rounded up to whole words with zeros. A border filled with `zero` would fill those
        # places with `zero` instead.
        (top, left) = geometry.padding
        input, zero = F.pad(input, (left, left, top, top), value=zero), 0
        geometry = replace(geometry, padding=(0, 0))
    return convolve(input, weight, geometry, factors, layout, zero, store=store, shortcut=shortcut)


def ready_quantized(input: Tensor, weight: Tensor, zero: int, geometry: Geometry) -> Call | None:
    """`convolve_quantized` for an input and weights of these sizes, strides and types, which may have no
    data, as a function of input, weight, scale and bias. None where something has to be copied first, and for
    depthwise layers.
    """
    run = _ready_sums(input, weight, zero, geometry, PLAIN)
    if run is None:
        return None
    filters, groups = weight.shape[0], geometry.groups

    def call(values: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        factors = pack_factors(scale.expand(filters), bias, groups)
        return run(_codes(values, Codes(float(scale), zero)), weight, factors)

    return call


def ready_of(
    input: Tensor, weight: Tensor, codes: Codes, geometry: Geometry, store: Store, adds: bool = False
) -> Call | None:
    """`convolve_coded` for an input and weights of these sizes, strides and types, which may have no data, as
    a function of input, weight, factors and, if it `adds` one, a shortcut. None where something has to be
    copied first, and for depthwise layers.
    """
    run = _ready_sums(input, weight, codes.zero, geometry, store, adds)
    if run is None or input.dtype != torch.float32:
        return run
    return lambda values, *others: run(_codes(values, codes), *others)


def _ready_sums(
    input: Tensor, weight: Tensor, zero: int, geometry: Geometry, store: Store, adds: bool = False
) -> Callable[..., Tensor] | None:
    """A function of codes, weight, factors and a shortcut, for codes of an input like this."""
    layout, quantized = output_layout(input), input.dtype == torch.float32
    if depthwise.takes(weight.shape, geometry.groups):
        return None
    if zero and weight.shape[1] % WORD and geometry.padding != (0, 0):
        return None
    if not _readable(input, geometry.groups) or (quantized and not _dense(input)):
        return None
    place = input.shape, input.stride(), weight.shape
    site = _of_this_machine(_site(store, adds))
    plan = _plan(site, *place, geometry, layout, torch.get_num_threads(), tuned_schedules(), store)
    return partial(_run, plan, layout, zero)


_NO_FACTORS = torch.ones(1), torch.zeros(1)


def _codes(input: Tensor, codes: Codes) -> Tensor:
    """The codes of an fp32 image, in the image's layout."""
    if not _dense(input):
        input = input.contiguous()
    made, count = torch.empty_like(input, dtype=torch.uint8), input.numel()
    quantize(count < FLOATS)(input.data_ptr(), made.data_ptr(), count, codes.step, float(codes.zero))
    return made


def _dense(image: Tensor) -> bool:
    return image.is_contiguous() or image.is_contiguous(memory_format=torch.channels_last)


def convolve(
    input: Tensor,
    weight: Tensor,
    geometry: Geometry,
    factors: Tensor | None = None,
    layout: torch.memory_format | None = None,
    fill: int = 0,
    schedule: Schedule | None = None,
    store: Store = PLAIN,
    shortcut: Tensor | None = None,
) -> Tensor:
    """-Σ|x - w| of bytes [N, C, H, W] and [K, C/G, R, S], as [N, K, P, Q] int32. A padded tap has x = fill.

    factors: of `kernels.signs`; with them, `store` is applied to the sums, and the output is fp32 or byte
    codes. shortcut: added before that is limited and coded. Where `fill` is not 0, the channels of a group
    must divide into words. For a depthwise layer `store` must be `PLAIN`, without a shortcut."""
    layout = layout or output_layout(input)
    site = "adder_u8" if factors is None else _site(store, shortcut is not None)
    if depthwise.takes(weight.shape, geometry.groups):
        each = None if factors is None else factors[..., 0].contiguous()
        return depthwise.convolve(site, input, weight, geometry, layout, each, fill)
    if not _readable(input, geometry.groups):
        input = input.contiguous()
    site = _of_this_machine(site)
    place = (input.shape, input.stride(), weight.shape)
    plan = _plan(
        site, *place, geometry, layout, torch.get_num_threads(), schedule or tuned_schedules(), store
    )
    return _run(plan, layout, fill, input, weight, factors, shortcut)


def _run(
    plan: U8Plan,
    layout: torch.memory_format,
    fill: int,
    input: Tensor,
    weight: Tensor,
    factors: Tensor | None,
    shortcut: Tensor | None = None,
) -> Tensor:
    image = input
    for step in plan.steps:
        copy = step.fresh(fill)
        run_shares(step.calls, image.data_ptr(), copy.data_ptr())
        image = copy
    if not (plan.weight_in_place and weight.is_contiguous(memory_format=torch.channels_last)):
        weight = _padded_weight(weight, plan)
    kernel = plan.kernel
    output = torch.empty(kernel.shape, dtype=SITES[kernel.kernel.site].output, memory_format=kernel.layout)
    if shortcut is not None:
        shortcut = kernel.laid_out(shortcut)
    operands = [each for each in (image, weight, factors, shortcut, output) if each is not None]
    plan.launch(*(operand.data_ptr() for operand in operands))
    return output if kernel.layout is layout else output.contiguous(memory_format=layout)


def request_of(input: Tensor, weight: Tensor, geometry: Geometry) -> KernelRequest:
    """The request that `convolve` makes when there are factors. `input` must be dense in memory."""
    place = (input.shape, input.stride(), weight.shape, geometry, output_layout(input))
    return _plan(_of_this_machine("adder_u8_scaled"), *place, torch.get_num_threads()).kernel.request


def _site(store: Store, adds: bool) -> str:
    if adds:
        return "adder_u8_shortcut" if store.codes is None else "adder_u8_shortcut_coded"
    return "adder_u8_scaled" if store.codes is None else "adder_u8_coded"


def _of_this_machine(site: str) -> str:
    """The form of an 8-bit arithmetic for which this processor has instructions."""
    return by_four(site) if is_arm() else site


def _readable(image: Tensor, groups: int) -> bool:
    """Whether rows are contiguous, or the channels of each pixel are; in the second case the channels of each
    of several groups must divide into words."""
    if image.shape[3] == 1 or image.stride(3) == 1 or image.shape[1] == 1:
        return True
    return image.stride(1) == 1 and (groups == 1 or image.shape[1] // groups % WORD == 0)


@dataclass(frozen=True, slots=True)
class Relayout:
    """How to copy bytes into another layout."""

    calls: tuple[NativeCall, ...]
    bytes: int
    bordered: bool

    def fresh(self, fill: int) -> Tensor:
        """Memory for the copy. A border in it has the value `fill`."""
        if self.bordered:
            return filled(self.bytes, torch.uint8, fill)
        return torch.empty(self.bytes, dtype=torch.uint8)


@dataclass(frozen=True, slots=True)
class U8Plan:
    kernel: BorderedKernel
    steps: tuple[Relayout, ...]
    launch: Launch
    weight_in_place: bool
    run: int
    """Bytes under a row of the filter, or in a pixel, that are padded to whole words together."""


def _padded_weight(weight: Tensor, plan: U8Plan) -> Tensor:
    """The weights [K, R, S, C/G] with zeros after each run of `plan.run` bytes."""
    rows = weight.permute(0, 2, 3, 1).reshape(-1, plan.run)
    return F.pad(rows, (0, -plan.run % WORD)).contiguous()


@lru_cache(maxsize=4096)
def _plan(
    site: str,
    size: tuple[int, int, int, int],
    stride: tuple[int, int, int, int],
    weight_size: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
    schedules: Schedules | Schedule | None = None,
    store: Store = PLAIN,
) -> U8Plan:
    (n, c, height, width), (k, channels, r, s) = size, weight_size
    if width == 1:
        # Torch may give a single column any stride.
        stride = (*stride[:3], c if stride[1] == 1 else 1)
    if r == 1 and geometry.padding[0] == 0 and geometry.stride[0] > 1:
        # Rows that the stride skips are not copied.
        height, step = geometry.output_size((height, width), (r, s))[0], geometry.stride[0]
        stride = (*stride[:2], stride[2] * step, stride[3])
        geometry = replace(geometry, stride=(1, geometry.stride[1]))
    groups, (top, left), step_x = geometry.groups, geometry.padding, geometry.stride[1]
    columns = geometry.output_size((height, width), (r, s))[1]
    rows = height + 2 * top
    # With so few channels, the bytes under a filter's row are copied as one run for each pixel of the output.
    patched = (
        groups == 1 and channels < WORD and geometry.dilation[1] == 1 and _whole(s * channels) < s * WORD
    )
    run, seen, filter_size, inside = channels, (n, height, width), (r, s), geometry
    if patched:
        run, seen, filter_size = s * channels, (n, rows, columns), (r, 1)
        inside = Geometry((geometry.stride[0], 1), (0, 0), (geometry.dilation[0], 1))
    filters = k // groups
    kernel = plan_bordered(
        site,
        seen,
        _whole(run),
        filters,
        filter_size,
        inside,
        layout,
        threads,
        schedules,
        store=store,
    )
    image, steps = _Image((n, c, height, width), stride, groups), []
    pixel = channels if patched else groups * _whole(channels)
    if patched or (top, left) != (0, 0) or not image.readable(pixel, kernel.slack_pixels):
        # The last tile of a kernel reads beyond the last pixel. So does a word that is longer than a pixel.
        slack_bytes = WORD if patched else kernel.slack_pixels * pixel
        steps.append(image.copied(pixel, (top, left), slack_bytes, threads))
        row = (width + 2 * left) * pixel
        stride = (rows * row, 1, row, pixel)
    if patched:
        steps.append(_patches(seen, stride, step_x * pixel, run, kernel, threads))
    taps = math.prod(filter_size) * _whole(run)
    launch = kernel.launch(BufferLayout.strided((groups, filters, taps), (filters * taps, taps, 1)))
    return U8Plan(kernel, tuple(steps), launch, run % WORD == 0, run)


def _whole(channels: int) -> int:
    return -(-channels // WORD) * WORD


@dataclass(frozen=True, slots=True)
class _Image:
    size: tuple[int, int, int, int]
    stride: tuple[int, int, int, int]
    groups: int

    @property
    def channels_last(self) -> bool:
        dense = self.stride[1] == 1 and (self.groups == 1 or self.size[1] // self.groups % WORD == 0)
        return dense or self.size[1] == 1

    def readable(self, pixel: int, slack: int) -> bool:
        """Whether a kernel can read the image in place, with pixels `pixel` bytes apart and `slack` pixels
        behind the last.
        """
        _, c, h, w = self.size
        if not self.channels_last:
            return False
        dense = (h * w * pixel, w * pixel, pixel)
        given = (self.stride[0], self.stride[2], self.stride[3])
        matches = all(n == 1 or a == b for n, a, b in zip((self.size[0], h, w), given, dense, strict=True))
        return c == pixel and slack == 0 and matches

    def copied(self, pixel: int, padding: tuple[int, int], slack_bytes: int, threads: int) -> Relayout:
        """The plan of a channels-last copy with a border, in which each group's channels are rounded up to
        whole words."""
        (n, c, h, w), (top, left) = self.size, padding
        row = (w + 2 * left) * pixel
        target = ((h + 2 * top) * row, row, pixel)
        if pixel < WORD:
            # Each pixel overwrites the zeros behind the pixel before it, so one thread must copy them in
            # order.
            threads = 1
        calls = []
        for share in shares(n, h, n * c * h * w, threads):
            source = share.first_image * self.stride[0] + share.first_row * self.stride[2]
            first = share.first_image * target[0] + (share.first_row + top) * row + left * pixel
            loops, numbers = self._loops(share.images, share.rows, target)
            calls.append(NativeCall(loops, source, first, numbers))
        return Relayout(tuple(calls), n * target[0] + slack_bytes, bool(top or left))

    def _loops(self, n: int, h: int, target: tuple[int, int, int]) -> tuple[Any, Any]:
        """The loop that copies n images of h rows, and its numbers."""
        (_, c, _, w), (sn, sc, sy, sx), (_, row, pixel) = self.size, self.stride, target
        channels = c // self.groups
        if sy == w * sx and row == w * pixel:
            w, h = w * h, 1
        if self.channels_last:
            run, space = c, pixel
            if sx == c == pixel:
                run, space, w = w * c, w * c, 1
            return copy_runs(masks_bytes()), as_array(CopyNumbers(n, h, w, run, space, sn, sy, sx, *target))
        divides = channels % WORD == 0
        # With mask registers, a short row takes one step.
        pixels = next((fit for fit in TRANSPOSED_PIXELS if fit <= w), TRANSPOSED_PIXELS[0])
        masked = w < pixels or (masks_bytes() and not (divides and pixels == TRANSPOSED_PIXELS[0]))
        pixels = TRANSPOSED_PIXELS[0] if masked else pixels
        at_once = 2 * WORD if not masked and channels % (2 * WORD) == 0 else WORD
        words = -(-channels // WORD)
        numbers = as_array(TransposeNumbers(n, h, w, self.groups, words, channels, sn, sc, sy, sx, *target))
        return transpose(at_once, pixels, divides, masked), numbers


def _patches(
    size: tuple[int, int, int],
    stride: tuple[int, ...],
    step: int,
    run: int,
    kernel: BorderedKernel,
    threads: int,
) -> Relayout:
    """The plan of a copy that gives each of (N, rows, columns) output pixels the bytes under a filter's row,
    rounded up to whole words."""
    (n, h, w), room = size, _whole(run)
    target = (h * w * room, w * room, room)
    calls = []
    for share in shares(n, h, n * h * w * room, threads):
        numbers = CopyNumbers(share.images, share.rows, w, run, room, stride[0], stride[2], step, *target)
        source = share.first_image * stride[0] + share.first_row * stride[2]
        first = share.first_image * target[0] + share.first_row * target[1]
        calls.append(NativeCall(copy_words(), source, first, as_array(numbers)))
    return Relayout(tuple(calls), (n * h * w + kernel.slack_pixels) * room, False)
