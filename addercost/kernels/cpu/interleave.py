"""Transposition in registers, as Halide stages of interleaved vectors."""

from __future__ import annotations

from functools import cache
from typing import Any

import halide as hl
import torch
from torch import Tensor

from addercost.kernels.cpu.buffers import halide_buffer

_CHANNELS = 16
_PIXELS = (64, 16)
"""Of a block that is turned round; the longer the vectors, the fewer steps for a byte."""


def interleaved(rows: Any, at: tuple[Any, ...], number: int, length: int) -> list[Any]:
    """`rows`, `number` (a power of two) vectors of `length` one after the other in its first axis, and after
    it each stage of their transposition: one interleaves the first half of what is before it with the second.
    """
    m, rest = at[0], at[1:]
    stages = [rows]
    for _ in range(1, number.bit_length()):
        stage = hl.Func(f"interleaved{len(stages)}")
        stage[at] = stages[-1][(m // 2 + m % 2 * (number * length // 2), *rest)]
        stages.append(stage)
    return stages


def schedule_interleaved(stages: list[Any], m: Any, number: int, length: int) -> None:
    """Every stage a few whole vectors, which LLVM keeps in registers. Where they are computed stays open."""
    half, pair = hl.Var("half"), hl.Var("pair")
    for stage in stages:
        stage.store_in(hl.MemoryType.Stack).bound(m, 0, number * length)
        if stage is stages[0]:
            stage.split(m, pair, m, length).vectorize(m).unroll(pair)
        else:
            # Two stores, of every second element each, become one of an interleaved vector.
            stage.split(m, m, half, 2).split(m, pair, m, length)
            stage.reorder(m, half, pair).vectorize(m).unroll(half).unroll(pair)


def channels_last_bytes(image: Tensor) -> Tensor:
    """uint8 [N, C, H, W] in channels-last memory; itself where it is so already."""
    n, c, h, w = image.shape
    done = image.is_contiguous(memory_format=torch.channels_last)
    if done or image.is_meta or not image.is_contiguous() or h * w < min(_PIXELS):
        return image.contiguous(memory_format=torch.channels_last)
    output = torch.empty_like(image, memory_format=torch.channels_last)
    target = output.permute(0, 2, 3, 1).view(n, h * w, c)
    pixels = next(length for length in _PIXELS if length <= h * w)
    _turn_bytes(pixels)(halide_buffer(image.view(n, c, h * w)), halide_buffer(target))
    return output


@cache
def _turn_bytes(pixels: int) -> Any:
    """The callable (source [x, c, n], target [c, x, n]), innermost first, for at least `pixels` of x."""
    source = hl.ImageParam(hl.UInt(8), 3, "source")
    c, x, n, m, co, xo, task = (hl.Var(name) for name in ("c", "x", "n", "m", "co", "xo", "task"))
    width, channels = source.dim(0).extent(), source.dim(1).extent()
    rows, output = hl.Func("rows"), hl.Func("output")
    # The last block of a row is moved back to where it fits, the channels beyond the last repeat it.
    start = hl.min(xo * pixels, width - pixels)
    rows[m, co, xo, n] = source[start + m % pixels, hl.min(co * _CHANNELS + m // pixels, channels - 1), n]
    stages = interleaved(rows, (m, co, xo, n), _CHANNELS, pixels)
    inside = x - hl.min(x // pixels * pixels, width - pixels)
    output[c, x, n] = stages[-1][inside * _CHANNELS + c % _CHANNELS, c // _CHANNELS, x // pixels, n]
    guard = hl.TailStrategy.GuardWithIf
    output.split(x, xo, x, pixels, guard).split(c, co, c, _CHANNELS, guard).vectorize(c)
    output.reorder(c, x, co, xo, n).fuse(xo, n, task).parallel(task, 8, guard)
    for stage in stages:
        stage.compute_at(output, co)
    schedule_interleaved(stages, m, _CHANNELS, pixels)
    for axis in range(3):
        source.dim(axis).set_min(0)
        output.output_buffer().dim(axis).set_min(0)
    return output.compile_to_callable([source], hl.get_jit_target_from_environment())
