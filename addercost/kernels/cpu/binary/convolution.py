"""Binary convolution on words of signs: the input is packed into words with its border, and the kernel reads
the words in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial

import torch
from torch import Tensor

from addercost.kernels.cpu.binary.packing import Packing, pack_signs, packable, plan_packing
from addercost.kernels.cpu.dense.bordered import BorderedKernel, plan_bordered
from addercost.kernels.cpu.dense.buffers import BufferLayout, Launch
from addercost.kernels.cpu.dense.request import KernelRequest
from addercost.kernels.cpu.dense.schedule import Schedule
from addercost.kernels.cpu.dense.tuned import Schedules, tuned_schedules
from addercost.kernels.cpu.depthwise import convolution as depthwise
from addercost.kernels.problem import Geometry, output_layout
from addercost.kernels.ready import Call
from addercost.kernels.signs import whole_blocks, words_of
from addercost.kernels.store import PLAIN, Store

_KEPT_WORDS = 32 << 10
"""A plan keeps the memory of a packed image for its next call if the image has at most this many words."""


def convolve(
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    schedule: Schedule | None = None,
    signs: bool = False,
    store: Store = PLAIN,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    """factor_k · Σ sign(x)·sign(w) + addend_k + shortcut of an input [N, C, H, W] in fp32, or of its signs as
    words, within the limits of `store`.

    `kernels.signs` packs `words` and `factors`; `shape` is the shape of the weight that `words` stand for.
    With `signs` the result is the signs of that alone, as `signs.pack_image` packs them.
    Returns [N, K, P, Q] in `layout`, or None where the input has a NaN, and for a depthwise layer of words.
    """
    of_words = input.dtype == torch.int32
    if depthwise.takes(shape, geometry.groups):
        if of_words:
            return None
        bits = words[..., 0].unflatten(1, (1, *shape[2:]))
        values = depthwise.convolve_signs(input, bits, geometry, layout, factors[..., 0].contiguous())
        if values is None:
            return None
        return _packed_output(values, layout) if signs else store.behind(values, shortcut)
    if not packable(input.shape, input.stride(), of_words):
        input = input.contiguous()
    place = (input.shape, input.stride(), shape)
    schedules = schedule or tuned_schedules()
    stored = store, shortcut is not None
    plan = _plan(*place, geometry, layout, torch.get_num_threads(), schedules, of_words, *stored)
    if signs:
        return _signs(plan, layout, input, words, factors)
    return _convolve(plan, layout, input, words, factors, shortcut)


def ready_of(
    input: Tensor,
    shape: tuple[int, int, int, int],
    geometry: Geometry,
    signs: bool = False,
    store: Store = PLAIN,
    adds: bool = False,
) -> Call | None:
    """`convolve` for an input of this size, these strides and this type, which may have no data, as a
    function of input, words, factors and, if it `adds` one, a shortcut. None where the input has to be copied
    first, and for a depthwise layer.
    """
    of_words, layout = input.dtype == torch.int32, output_layout(input)
    if depthwise.takes(shape, geometry.groups) or not packable(input.shape, input.stride(), of_words):
        return None
    place = (input.shape, input.stride(), shape, geometry, layout, torch.get_num_threads())
    plan = _plan(*place, tuned_schedules(), of_words, store, adds)
    return partial(_signs if signs else _convolve, plan, layout)


def _signs(
    plan: BinaryPlan, layout: torch.memory_format, input: Tensor, words: Tensor, factors: Tensor
) -> Tensor | None:
    values = _convolve(plan, layout, input, words, factors)
    return None if values is None else _packed_output(values, layout)


def _packed_output(values: Tensor, layout: torch.memory_format) -> Tensor | None:
    return pack_signs(values, 1, planar=layout == torch.contiguous_format)


def _convolve(
    plan: BinaryPlan,
    layout: torch.memory_format,
    input: Tensor,
    words: Tensor,
    factors: Tensor,
    shortcut: Tensor | None = None,
) -> Tensor | None:
    try:
        image = plan.spare.pop()
    except IndexError:
        image = plan.packing.fresh()
    if plan.packing.pack_into(input, image):
        return None
    kernel = plan.kernel
    output = torch.empty(kernel.shape, dtype=torch.float32, memory_format=kernel.layout)
    others = (words, factors) if shortcut is None else (words, factors, kernel.laid_out(shortcut))
    plan.launch(*(operand.data_ptr() for operand in (image, *others, output)))
    if plan.packing.elements <= _KEPT_WORDS:
        plan.spare.append(image)
    return output if kernel.layout is layout else output.contiguous(memory_format=layout)


def request_of(input: Tensor, shape: tuple[int, int, int, int], geometry: Geometry) -> KernelRequest:
    """The request that `convolve` makes for this input, which must be dense in memory."""
    place = (input.shape, input.stride(), shape, geometry, output_layout(input))
    return _plan(*place, torch.get_num_threads()).kernel.request


def pack_filters(weight: Tensor, groups: int) -> Tensor | None:
    """Packs an fp32 weight as `kernels.signs.pack_filters` does, by the loops that pack images. Returns None
    where a weight is NaN.
    """
    k, c, r, s = weight.shape
    packed = pack_signs(weight.reshape(k, c, 1, r * s), 1)
    if packed is None:
        return None
    taps = packed.permute(0, 2, 3, 1).reshape(groups, k // groups, -1)
    words = taps.new_zeros(groups, taps.shape[2], whole_blocks(k // groups))
    words[..., : k // groups] = taps.transpose(1, 2)
    return words


@dataclass(frozen=True, slots=True)
class BinaryPlan:
    kernel: BorderedKernel
    packing: Packing
    launch: Launch
    spare: list[Tensor] = field(default_factory=list)
    """Memory for packed images that no call is using. Its border is clear already."""


@lru_cache(maxsize=1024)
def _plan(
    input_size: tuple[int, int, int, int],
    input_stride: tuple[int, ...],
    weight_size: tuple[int, int, int, int],
    geometry: Geometry,
    layout: torch.memory_format,
    threads: int,
    schedules: Schedules | Schedule | None = None,
    of_words: bool = False,
    store: Store = PLAIN,
    adds: bool = False,
) -> BinaryPlan:
    k, channels, r, s = weight_size
    if (r, s) == (1, 1) and geometry.padding == (0, 0):
        # Pixels that the stride skips are not packed.
        size = (*input_size[:2], *geometry.output_size((input_size[2], input_size[3]), (1, 1)))
        (by_n, by_c, by_y, by_x), (step_y, step_x) = input_stride, geometry.stride
        if packable(size, stride := (by_n, by_c, by_y * step_y, by_x * step_x), of_words):
            input_size, input_stride, geometry = size, stride, Geometry(groups=geometry.groups)
    n, _, height, width = input_size
    groups, words = geometry.groups, words_of(channels)
    kernel = plan_bordered(
        "xnor_shortcut" if adds else "xnor",
        (n, height, width),
        words,
        k // groups,
        (r, s),
        geometry,
        layout,
        threads,
        schedules,
        terms=channels * r * s,
        store=store,
    )
    taps, whole = r * s * words, whole_blocks(k // groups)
    packing = plan_packing(
        input_size,
        input_stride,
        groups,
        geometry.padding,
        kernel.slack_pixels,
        kernel.kernel.across,
        threads,
        of_words,
    )
    return BinaryPlan(
        kernel, packing, kernel.launch(BufferLayout.strided((groups, whole, taps), (taps * whole, 1, whole)))
    )
