"""Packs the signs of fp32 channels into words: bit i of word j is set where channel 32·j + i is negative.

In LLVM IR, where comparing two vectors gives a word of bits at once: Halide has no such type.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor

from addercost.kernels.cpu.native import native_function
from addercost.kernels.signs import words_of


def pack_signs(
    image: Tensor, groups: int, padding: tuple[int, int] = (0, 0), slack_pixels: int = 0
) -> Tensor | None:
    """[N, C, H, W] fp32 to [N, G·⌈C/G/32⌉, H + 2·padding, W + 2·padding] int32, channels-last.

    Bits of the border and beyond the channels are clear; behind the last lie `slack_pixels` more.
    None where there is a NaN, which has no sign.
    """
    if image.stride(1) != 1 and image.stride(3) != 1 and image.shape[1] > 1 and image.shape[3] > 1:
        image = image.contiguous()
    plan = _plan(image.shape, image.stride(), groups, padding, slack_pixels)
    memory = (torch.zeros if plan.bordered else torch.empty)(plan.elements, dtype=torch.int32)
    target = memory.data_ptr() + plan.first_byte
    if _compiled(plan.channels_last)(image.data_ptr(), target, plan.numbers):
        return None
    return memory.as_strided(plan.size, plan.stride)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What depends on sizes and strides only."""

    channels_last: bool
    bordered: bool
    elements: int
    first_byte: int
    numbers: Any
    size: tuple[int, ...]
    stride: tuple[int, ...]


@lru_cache(maxsize=4096)
def _plan(
    size: tuple[int, ...],
    stride: tuple[int, ...],
    groups: int,
    padding: tuple[int, int],
    slack_pixels: int,
) -> _Plan:
    (n, c, h, w), (top, left) = size, padding
    words = words_of(c // groups)
    pixel = groups * words
    row = (w + 2 * left) * pixel
    image = (h + 2 * top) * row
    numbers = (n, h, w, groups, words, c // groups, *stride, image, row, pixel)
    return _Plan(
        stride[1] == 1 or c == 1,
        bool(top or left),
        # Beyond the last pixel a kernel may read, but not use, a tile of them.
        n * image + slack_pixels * pixel,
        4 * (top * row + left * pixel),
        (ctypes.c_int64 * len(_NUMBERS))(*numbers),
        (n, pixel, h + 2 * top, w + 2 * left),
        (image, 1, row, pixel),
    )


_NUMBERS = ("n", "h", "w", "groups", "words", "channels", "sn", "sc", "sy", "sx", "tn", "ty", "tx")
"""Extents, then the strides of source and target in elements."""


@cache
def _compiled(channels_last: bool) -> Any:
    """i32 pack(source, target, the numbers above): whether a NaN was met."""
    counts = {"image": "%n", "y": "%h", "i": "%groups", "j": "%words", "p": "%w"}
    word = _pixel_word() if channels_last else _pixels_words()
    for name in ("j", "i", "p", "y", "image") if channels_last else ("y", "j", "i", "image"):
        word = _loop(name, counts[name], word)
    loads = "\n".join(
        f"%{name}.at = getelementptr i64, ptr %numbers, i64 {index}\n%{name} = load i64, ptr %{name}.at"
        for index, name in enumerate(_NUMBERS)
    )
    body = (
        f"%nan = alloca i32\nstore i32 0, ptr %nan\n{loads}\n{word}\n%met = load i32, ptr %nan\nret i32 %met"
    )
    ir = f"{_DECLARED}\ndefine i32 @pack(ptr %source, ptr %target, ptr %numbers) {{\nentry:\n{body}\n}}\n"
    pointer = ctypes.c_void_p
    return native_function(ir, "pack", ctypes.c_int32, pointer, pointer, pointer)


_DECLARED = """
declare <32 x float> @llvm.masked.load.v32f32.p0(ptr, i32, <32 x i1>, <32 x float>)
declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, <16 x float>)
declare void @llvm.masked.scatter.v16i32.v16p0(<16 x i32>, <16 x ptr>, i32, <16 x i1>)
declare i64 @llvm.smin.i64(i64, i64)
"""


def _pixel_word() -> str:
    """One word of one pixel: 32 neighbouring channels."""
    return f"""
        %group = mul i64 %i, %channels
        %first = mul i64 %j, 32
        {_at("from", "%source", "%image*%sn", "%y*%sy", "%p*%sx", "%group*1", "%first*1")}
        {_at("to", "%target", *_WORD)}
        %left = sub i64 %channels, %first
        {_lanes_below("mask", "%left", 32)}
        {_masked_load("%from", 32)}
        %below = fcmp olt <32 x float> %x, zeroinitializer
        %word = bitcast <32 x i1> %below to i32
        store i32 %word, ptr %to, align 4
        {_note_nan("x", 32)}"""


def _pixels_words() -> str:
    """One word of each of 16 neighbouring pixels, channel after channel."""
    return _loop(
        "p",
        "%w",
        f"""
        {_at("from", "%source", "%image*%sn", "%y*%sy", "%p*1")}
        {_at("to", "%target", *_WORD)}
        %right = sub i64 %w, %p
        {_lanes_below("mask", "%right", 16)}
        %group = mul i64 %i, %channels
        %first = mul i64 %j, 32
        %left = sub i64 %channels, %first
        %bits = call i64 @llvm.smin.i64(i64 %left, i64 32)
        br label %channel.head
        channel.head:
        %bit = phi i64 [ 0, %p.body ], [ %bit.next, %channel.tail ]
        %word = phi <16 x i32> [ zeroinitializer, %p.body ], [ %word.next, %channel.tail ]
        %c.0 = add i64 %group, %first
        %c = add i64 %c.0, %bit
        %plane = mul i64 %c, %sc
        %row = getelementptr float, ptr %from, i64 %plane
        {_masked_load("%row", 16)}
        %below = fcmp olt <16 x float> %x, zeroinitializer
        %bit.32 = trunc i64 %bit to i32
        %one = shl i32 1, %bit.32
        {_splat("ones", "%one", 16)}
        %set = select <16 x i1> %below, <16 x i32> %ones, <16 x i32> zeroinitializer
        %word.next = or <16 x i32> %word, %set
        {_note_nan("x", 16)}
        br label %channel.tail
        channel.tail:
        %bit.next = add i64 %bit, 1
        %channel.more = icmp slt i64 %bit.next, %bits
        br i1 %channel.more, label %channel.head, label %channel.exit
        channel.exit:
        {_splat("step", "%tx.32", 16, "%tx.32 = trunc i64 %tx to i32")}
        %places = mul <16 x i32> %step, {_iota(16)}
        %pointers = getelementptr i32, ptr %to, <16 x i32> %places
        call void @llvm.masked.scatter.v16i32.v16p0(
            <16 x i32> %word.next, <16 x ptr> %pointers, i32 4, <16 x i1> %mask)
        """,
        16,
    )


def _loop(name: str, count: str, body: str, step: int = 1) -> str:
    """`body` for %name from 0 below `count`."""
    return f"""
        br label %{name}.enter
        {name}.enter:
        br label %{name}.head
        {name}.head:
        %{name} = phi i64 [ 0, %{name}.enter ], [ %{name}.next, %{name}.tail ]
        %{name}.more = icmp slt i64 %{name}, {count}
        br i1 %{name}.more, label %{name}.body, label %{name}.exit
        {name}.body:
        {body}
        br label %{name}.tail
        {name}.tail:
        %{name}.next = add i64 %{name}, {step}
        br label %{name}.head
        {name}.exit:"""


def _note_nan(vector: str, lanes: int) -> str:
    # A branch that is never taken costs less than a sum that each word waits for.
    return f"""
        %unordered = fcmp uno <{lanes} x float> %{vector}, zeroinitializer
        %unordered.bits = bitcast <{lanes} x i1> %unordered to i{lanes}
        %any = icmp ne i{lanes} %unordered.bits, 0
        br i1 %any, label %found, label %ordered
        found:
        store i32 1, ptr %nan
        br label %ordered
        ordered:"""


_WORD = ("%image*%tn", "%y*%ty", "%p*%tx", "%i*%words", "%j*1")
"""Where a word goes."""


def _at(name: str, start: str, *terms: str) -> str:
    """%name = start + Σ index · stride, of elements of four bytes."""
    lines, last = [], start
    for index, term in enumerate(terms):
        here = f"%{name}" if index == len(terms) - 1 else f"%{name}.{index}"
        lines.append(f"%{name}.by{index} = mul i64 {', '.join(term.split('*'))}")
        lines.append(f"{here} = getelementptr i32, ptr {last}, i64 %{name}.by{index}")
        last = here
    return "\n".join(lines)


def _masked_load(pointer: str, lanes: int) -> str:
    vector = f"<{lanes} x float>"
    arguments = f"ptr {pointer}, i32 4, <{lanes} x i1> %mask, {vector} zeroinitializer"
    return f"%x = call {vector} @llvm.masked.load.v{lanes}f32.p0({arguments})"


def _splat(name: str, value: str, lanes: int, before: str = "") -> str:
    vector = f"<{lanes} x i32>"
    return f"""{before}
        %{name}.first = insertelement {vector} poison, i32 {value}, i64 0
        %{name} = shufflevector {vector} %{name}.first, {vector} poison, {vector} zeroinitializer"""


def _lanes_below(name: str, limit: str, lanes: int) -> str:
    """A mask of the lanes whose number is below an i64."""
    narrow = f"%{name}.limit = trunc i64 {limit} to i32"
    vector = f"<{lanes} x i32>"
    return f"""{_splat(f"{name}.all", f"%{name}.limit", lanes, narrow)}
        %{name} = icmp slt {vector} {_iota(lanes)}, %{name}.all"""


def _iota(lanes: int) -> str:
    return "<" + ", ".join(f"i32 {lane}" for lane in range(lanes)) + ">"
