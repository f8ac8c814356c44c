"""The loops that pack signs, in LLVM IR: comparing two vectors gives a word of bits at once there, and Halide
has no such type.

Each is i32 pack(source, target, numbers), the numbers being `NUMBERS`; it returns whether a NaN was met.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from addercost.kernels.cpu.ir.native import (
    at,
    counted_loop,
    iota,
    lanes_below,
    loaded,
    native_function,
    splat,
)
from addercost.kernels.signs import WORD

NUMBERS = (
    *("n", "h", "w", "groups", "words", "channels"),
    *("sn", "sc", "sy", "sx", "tn", "ty", "tx", "tw"),
)
"""Extents, then strides in elements: of the source by image, channel, row and column, of the target by image,
row, column and word. For `pack_runs`, `words` are those of a run and the rest belongs to its start."""


@cache
def pack_runs() -> Any:
    """Whole words whose channels lie one after the other, and so do the words."""
    word = f"""
        %first = mul i64 %j, 32
        {at("from", "%source", "%image*%sn", "%y*%sy", "%p*%sx", "%first*1")}
        {at("to", "%target", "%image*%tn", "%y*%ty", "%p*%tx", "%j*1")}
        %second = getelementptr float, ptr %from, i64 16
        %x0 = load <16 x float>, ptr %from, align 4
        %x1 = load <16 x float>, ptr %second, align 4
        %below0 = fcmp olt <16 x float> %x0, zeroinitializer
        %below1 = fcmp olt <16 x float> %x1, zeroinitializer
        %below = shufflevector <16 x i1> %below0, <16 x i1> %below1, <32 x i32> {iota(32)}
        %word = bitcast <32 x i1> %below to i32
        store i32 %word, ptr %to, align 4
        %unordered = fcmp uno <16 x float> %x0, %x1
        {_note_nan("%unordered", 16)}"""
    return _compiled(word, ("j", "p", "y", "image"))


@cache
def pack_pixels(lanes: int) -> Any:
    """Neighbouring channels, of which the last word may have fewer than 32; no word has more than `lanes`,
    16 or 32."""
    to_word = "%word = bitcast <32 x i1> %below to i32"
    if lanes < WORD:
        to_word = f"%bits = bitcast <{lanes} x i1> %below to i{lanes}\n%word = zext i{lanes} %bits to i32"
    word = f"""
        %group = mul i64 %i, %channels
        %first = mul i64 %j, 32
        {at("from", "%source", "%image*%sn", "%y*%sy", "%p*%sx", "%group*1", "%first*1")}
        {at("to", "%target", *_WORD)}
        %left = sub i64 %channels, %first
        {lanes_below("mask", "%left", lanes)}
        {_masked_load("x", "%from", lanes)}
        %below = fcmp olt <{lanes} x float> %x, zeroinitializer
        {to_word}
        store i32 %word, ptr %to, align 4
        %unordered = fcmp uno <{lanes} x float> %x, zeroinitializer
        {_note_nan("%unordered", lanes)}"""
    # Along a row of pixels, the mask stays as it is.
    return _compiled(word, ("p", "j", "i", "y", "image"))


@cache
def pack_rows(lanes: int, step: int, dense: bool) -> Any:
    """A word of each of `lanes` pixels of a row at a time, channel after channel; pixels are neighbours
    (step 1) or every second one is left out (step 2), and with `dense` their words are neighbours."""
    reached = lanes if step == 1 else 2 * lanes
    load = _masked_load("x", "%row", lanes)
    right, mask = "%right = sub i64 %w, %p", lanes_below("mask", "%right", lanes)
    if step == 2:
        # The last that is read is the last pixel's, not the one after it.
        right = "%rest = sub i64 %w, %p\n%double = mul i64 %rest, 2\n%right = sub i64 %double, 1"
        mask = f"{lanes_below('mask2', '%right', reached)}\n{lanes_below('mask', '%rest', lanes)}"
        even = "<" + ", ".join(f"i32 {2 * lane}" for lane in range(lanes)) + ">"
        load = f"""{_masked_load("both", "%row", reached, "mask2")}
            %x = shufflevector <{reached} x float> %both, <{reached} x float> poison,
                <{lanes} x i32> {even}"""
    words, flags = f"<{lanes} x i32>", f"<{lanes} x i1>"
    if dense:
        store = (
            f"call void @llvm.masked.store.v{lanes}i32.p0({words} %word.next, ptr %to, i32 4, {flags} %mask)"
        )
    else:
        store = f"""{splat("step", "%tx.32", lanes, "%tx.32 = trunc i64 %tx to i32")}
            %places = mul {words} %step, {iota(lanes)}
            %pointers = getelementptr i32, ptr %to, {words} %places
            call void @llvm.masked.scatter.v{lanes}i32.v{lanes}p0(
                {words} %word.next, <{lanes} x ptr> %pointers, i32 4, {flags} %mask)"""
    body = f"""
        {at("from", "%source", "%image*%sn", "%y*%sy", "%p*%sx")}
        {at("to", "%target", *_WORD)}
        {right}
        {mask}
        %group = mul i64 %i, %channels
        %first = mul i64 %j, 32
        %left = sub i64 %channels, %first
        %bits = call i64 @llvm.smin.i64(i64 %left, i64 32)
        br label %channel.head
        channel.head:
        %bit = phi i64 [ 0, %p.body ], [ %bit.next, %channel.tail ]
        %word = phi {words} [ zeroinitializer, %p.body ], [ %word.next, %channel.tail ]
        %nans = phi {flags} [ zeroinitializer, %p.body ], [ %nans.next, %channel.tail ]
        %c.0 = add i64 %group, %first
        %c = add i64 %c.0, %bit
        %plane = mul i64 %c, %sc
        %row = getelementptr float, ptr %from, i64 %plane
        {load}
        %below = fcmp olt <{lanes} x float> %x, zeroinitializer
        %bit.32 = trunc i64 %bit to i32
        %one = shl i32 1, %bit.32
        {splat("ones", "%one", lanes)}
        %set = select {flags} %below, {words} %ones, {words} zeroinitializer
        %word.next = or {words} %word, %set
        %unordered = fcmp uno <{lanes} x float> %x, zeroinitializer
        %nans.next = or {flags} %nans, %unordered
        br label %channel.tail
        channel.tail:
        %bit.next = add i64 %bit, 1
        %channel.more = icmp slt i64 %bit.next, %bits
        br i1 %channel.more, label %channel.head, label %channel.exit
        channel.exit:
        {_note_nan("%nans.next", lanes)}
        {store}"""
    return _compiled(counted_loop("p", "%w", body, lanes), ("y", "j", "i", "image"))


_WORD = ("%image*%tn", "%y*%ty", "%p*%tx", "%i*%group.words", "%j*%tw")
"""Where a word goes."""


def _compiled(body: str, loops: tuple[str, ...]) -> Any:
    """`body` in `loops`, innermost first."""
    counts = {"image": "%n", "y": "%h", "i": "%groups", "j": "%words", "p": "%w"}
    for name in loops:
        body = counted_loop(name, counts[name], body)
    ir = f"""{_declared()}
        define i32 @pack(ptr noalias %source, ptr noalias %target, ptr noalias %numbers) {{
        entry:
        %nan = alloca i32
        store i32 0, ptr %nan
        {loaded(NUMBERS)}
        %group.words = mul i64 %words, %tw
        {body}
        %met = load i32, ptr %nan
        ret i32 %met
        }}"""
    pointer = ctypes.c_void_p
    return native_function(ir, "pack", ctypes.c_int32, pointer, pointer, pointer)


def _declared() -> str:
    lines = ["declare i64 @llvm.smin.i64(i64, i64)"]
    for n in (16, 32, 64, 128):
        flags, words, floats = f"<{n} x i1>", f"<{n} x i32>", f"<{n} x float>"
        lines += [
            f"declare {floats} @llvm.masked.load.v{n}f32.p0(ptr, i32, {flags}, {floats})",
            f"declare void @llvm.masked.store.v{n}i32.p0({words}, ptr, i32, {flags})",
            f"declare void @llvm.masked.scatter.v{n}i32.v{n}p0({words}, <{n} x ptr>, i32, {flags})",
        ]
    return "\n".join(lines)


def _note_nan(unordered: str, lanes: int) -> str:
    # A branch that is never taken costs less than a sum that each word waits for.
    return f"""
        %unordered.bits = bitcast <{lanes} x i1> {unordered} to i{lanes}
        %any = icmp ne i{lanes} %unordered.bits, 0
        br i1 %any, label %found, label %ordered
        found:
        store i32 1, ptr %nan
        br label %ordered
        ordered:"""


def _masked_load(name: str, pointer: str, lanes: int, mask: str = "mask") -> str:
    vector = f"<{lanes} x float>"
    arguments = f"ptr {pointer}, i32 4, <{lanes} x i1> %{mask}, {vector} zeroinitializer"
    return f"%{name} = call {vector} @llvm.masked.load.v{lanes}f32.p0({arguments})"
