"""The loops that lay out bytes for the 8-bit kernel, in LLVM IR: void lay(source, target, numbers) each."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from addercost.kernels.codes import LEVELS
from addercost.kernels.cpu.ir.native import (
    at,
    counted_loop,
    iota,
    lanes_below,
    loaded,
    native_function,
    splat_of,
)

RUN_NUMBERS = ("n", "h", "w", "run", "room", "sn", "sy", "sx", "tn", "ty", "tx")
"""Pixels, the bytes that one has and those that are written for it, strides of source and target in bytes."""
TURN_NUMBERS = ("n", "h", "w", "groups", "words", "channels", "sn", "sc", "sy", "sx", "tn", "ty", "tx")
"""Extents, `words` being the eights of a group's channels; strides in bytes."""

WORD = 8
"""Channels whose differences one lane of the SAD instruction sums."""
TURNED_PIXELS = 16
"""Longer vectors take more steps in registers and are slower."""
_CHUNK = 64
FLOATS = 16
"""Values that `quantize` takes at a time."""
_STRETCH = 256


@cache
def quantize(few: bool) -> Any:
    """void quantize(source, target, count, scale, zero): fp32 values to byte codes, as `codes.quantize`;
    `few` says that there are less than `FLOATS`."""
    floats, flags, codes = f"<{FLOATS} x float>", f"<{FLOATS} x i1>", f"<{FLOATS} x i8>"
    spread = "\n".join(
        splat_of(f"{name}s", "float", f"%{name}", FLOATS) for name in ("scale", "zero", "most")
    )
    # The last vector ends where the values do: to mask a store takes longer than all else that is done here.
    load = f"%x = load {floats}, ptr %from, align 4"
    store = f"store {codes} %codes, ptr %to, align 1"
    if few:
        load = f"""{lanes_below("mask", "%count", FLOATS)}
            %x = call {floats} @llvm.masked.load.v{FLOATS}f32.p0(
                ptr %from, i32 4, {flags} %mask, {floats} zeroinitializer)"""
        store = f"""call void @llvm.masked.store.v{FLOATS}i8.p0(
            {codes} %codes, ptr %to, i32 1, {flags} %mask)"""
    body = f"""
        %fits = sub i64 %count, {FLOATS}
        %upward = call i64 @llvm.smin.i64(i64 %i, i64 %fits)
        %first = call i64 @llvm.smax.i64(i64 %upward, i64 0)
        {at("from", "%source", "%first*1")}
        {at("to", "%target", "%first*1", element="i8")}
        {load}
        %divided = fdiv {floats} %x, %scales
        %rounded = call {floats} @llvm.roundeven.v{FLOATS}f32({floats} %divided)
        %moved = fadd {floats} %rounded, %zeros
        %positive = fcmp ogt {floats} %moved, zeroinitializer
        %above = select {flags} %positive, {floats} %moved, {floats} zeroinitializer
        %small = fcmp olt {floats} %above, %mosts
        %inside = select {flags} %small, {floats} %above, {floats} %mosts
        %codes = fptoui {floats} %inside to {codes}
        {store}"""
    body = counted_loop("i", "%count", body, FLOATS)
    ir = f"""
        declare {floats} @llvm.masked.load.v{FLOATS}f32.p0(ptr, i32, {flags}, {floats})
        declare {floats} @llvm.roundeven.v{FLOATS}f32({floats})
        declare void @llvm.masked.store.v{FLOATS}i8.p0({codes}, ptr, i32, {flags})
        declare i64 @llvm.smin.i64(i64, i64)
        declare i64 @llvm.smax.i64(i64, i64)
        define void @quantize(
            ptr noalias %source, ptr noalias %target, i64 %count, float %scale, float %zero) {{
        entry:
        %most = fadd float 0.0, {float(LEVELS)}
        {spread}
        {body}
        ret void
        }}"""
    pointer, number = ctypes.c_void_p, ctypes.c_float
    return native_function(ir, "quantize", None, pointer, pointer, ctypes.c_int64, number, number)


@cache
def copy_runs() -> Any:
    """Neighbouring bytes of each pixel, with zeros behind them."""
    bytes_, flags = f"<{_CHUNK} x i8>", f"<{_CHUNK} x i1>"
    body = f"""
        {at("from", "%source", "%image*%sn", "%y*%sy", "%p*%sx", "%b*1", element="i8")}
        {at("to", "%target", "%image*%tn", "%y*%ty", "%p*%tx", "%b*1", element="i8")}
        %left = sub i64 %run, %b
        {lanes_below("has", "%left", _CHUNK)}
        %space = sub i64 %room, %b
        {lanes_below("takes", "%space", _CHUNK)}
        %x = call {bytes_} @llvm.masked.load.v{_CHUNK}i8.p0(
            ptr %from, i32 1, {flags} %has, {bytes_} zeroinitializer)
        call void @llvm.masked.store.v{_CHUNK}i8.p0({bytes_} %x, ptr %to, i32 1, {flags} %takes)"""
    body = counted_loop("b", "%room", body, _CHUNK)
    for name, count in (("p", "%w"), ("y", "%h"), ("image", "%n")):
        body = counted_loop(name, count, body)
    declared = f"""
        declare {bytes_} @llvm.masked.load.v{_CHUNK}i8.p0(ptr, i32, {flags}, {bytes_})
        declare void @llvm.masked.store.v{_CHUNK}i8.p0({bytes_}, ptr, i32, {flags})"""
    return _compiled(declared, body, RUN_NUMBERS)


@cache
def copy_words() -> Any:
    """As `copy_runs` for short runs: whole words, of which the source must have all bytes."""
    body = f"""
        {at("from", "%source", "%image*%sn", "%y*%sy", "%p*%sx", "%b*1", element="i8")}
        {at("to", "%target", "%image*%tn", "%y*%ty", "%p*%tx", "%b*1", element="i8")}
        %x = load i64, ptr %from, align 1
        %left = sub i64 %run, %b
        %whole = icmp sge i64 %left, {WORD}
        %bits = mul i64 %left, 8
        %bit = shl i64 1, %bits
        %below = sub i64 %bit, 1
        %mask = select i1 %whole, i64 -1, i64 %below
        %kept = and i64 %x, %mask
        store i64 %kept, ptr %to, align 1"""
    body = counted_loop("p", "%w", body)
    for name, count, step in (("b", "%room", WORD), ("y", "%h", 1), ("image", "%n", 1)):
        body = counted_loop(name, count, body, step)
    return _compiled("", body, RUN_NUMBERS)


@cache
def turn(channels: int, whole: bool) -> Any:
    """8 or 16 channels' rows to as many bytes of each pixel, `TURNED_PIXELS` at a time.

    With `whole` there are at least so many pixels in a row, of which the last are moved back to where they
    fit, and the channels divide. Otherwise there are 8, and what is missing is zeros; pixels that lie closer
    than eight bytes are written in order, so that zeros beyond one are what the next one overwrites.
    """
    pixels = TURNED_PIXELS
    rows, flags = f"<{pixels} x i8>", f"<{pixels} x i1>"
    lines = ["%p = add i64 %stretch, %within"]
    if whole:
        lines += [f"%p.most = sub i64 %w, {pixels}", "%from.p = call i64 @llvm.smin.i64(i64 %p, i64 %p.most)"]
    else:
        lines += [
            "%from.p = add i64 %p, 0",
            "%right = sub i64 %w, %p",
            lanes_below("inside", "%right", pixels),
        ]
    lines += [
        "%group = mul i64 %i, %channels",
        f"%first = mul i64 %j, {channels}",
        "%c = add i64 %group, %first",
        "%left = sub i64 %channels, %first",
        "%group.words = mul i64 %i, %words",
        at("from", "%source", "%image*%sn", "%y*%sy", "%from.p*%sx", "%c*%sc", element="i8"),
        at(
            *("to", "%target", "%image*%tn", "%y*%ty", "%from.p*%tx", f"%group.words*{WORD}", "%first*1"),
            element="i8",
        ),
    ]
    for b in range(channels):
        lines.append(at(f"row{b}", "%from", f"%sc*{b}", element="i8"))
        if whole:
            lines.append(f"%v0.{b} = load {rows}, ptr %row{b}, align 1")
            continue
        lines += [
            f"%there{b} = icmp sgt i64 %left, {b}",
            f"%mask{b} = select i1 %there{b}, {flags} %inside, {flags} zeroinitializer",
            f"%v0.{b} = call {rows} @llvm.masked.load.v{pixels}i8.p0(ptr %row{b}, i32 1, {flags} %mask{b}, "
            f"{rows} zeroinitializer)",
        ]
    word = f"i{8 * channels}"
    lines.append(_interleaved(channels, pixels))
    lines.append(f"%words.all = bitcast <{channels * pixels} x i8> %turned to <{pixels} x {word}>")
    if whole:
        for lane in range(pixels):
            lines.append(f"%word{lane} = extractelement <{pixels} x {word}> %words.all, i64 {lane}")
            lines.append(at(f"to{lane}", "%to", f"%tx*{lane}", element="i8"))
            lines.append(f"store {word} %word{lane}, ptr %to{lane}, align 1")
    else:
        longs = f"<{pixels} x i64>"
        lines += [
            f"%step.first = insertelement {longs} poison, i64 %tx, i64 0",
            f"%step = shufflevector {longs} %step.first, {longs} poison, <{pixels} x i32> zeroinitializer",
            f"%places = mul {longs} %step, {iota(pixels, 'i64')}",
            f"%pointers = getelementptr i8, ptr %to, {longs} %places",
            f"call void @llvm.masked.scatter.v{pixels}i64.v{pixels}p0("
            f"{longs} %words.all, <{pixels} x ptr> %pointers, i32 1, {flags} %inside)",
        ]
    body = "\n".join(lines)
    for name, count, step in (
        ("within", "%stretch.length", pixels),
        ("j", "%steps", 1),
        ("i", "%groups", 1),
    ):
        body = counted_loop(name, count, body, step)
    # Some lines of memory of each channel, for all channels: then what is written is still in the cache.
    body = f"""
        %steps = udiv i64 %words, {channels // WORD}
        %stretch.left = sub i64 %w, %stretch
        %stretch.length = call i64 @llvm.smin.i64(i64 %stretch.left, i64 {_STRETCH})
        {body}"""
    for name, count, step in (("stretch", "%w", _STRETCH), ("y", "%h", 1), ("image", "%n", 1)):
        body = counted_loop(name, count, body, step)
    declared = f"""
        declare i64 @llvm.smin.i64(i64, i64)
        declare {rows} @llvm.masked.load.v{pixels}i8.p0(ptr, i32, {flags}, {rows})
        declare void @llvm.masked.scatter.v{pixels}i64.v{pixels}p0(
            <{pixels} x i64>, <{pixels} x ptr>, i32, {flags})
        """
    return _compiled(declared, body, TURN_NUMBERS)


def _interleaved(count: int, length: int) -> str:
    """%turned, the elements of %v0.0, %v0.1 … in turns: each step joins the first half with the second."""
    lines: list[str] = []
    for stage in range(1, count.bit_length()):
        count //= 2
        order = ", ".join(f"i32 {lane // 2 + lane % 2 * length}" for lane in range(2 * length))
        for b in range(count):
            before = f"<{length} x i8> %v{stage - 1}.{b}, <{length} x i8> %v{stage - 1}.{b + count}"
            name = f"v{stage}.{b}" if count > 1 else "turned"
            lines.append(f"%{name} = shufflevector {before}, <{2 * length} x i32> <{order}>")
        length *= 2
    return "\n".join(lines)


def _compiled(declared: str, body: str, numbers: tuple[str, ...]) -> Any:
    ir = f"""{declared}
        define void @lay(ptr noalias %source, ptr noalias %target, ptr noalias %numbers) {{
        entry:
        {loaded(numbers)}
        {body}
        ret void
        }}"""
    pointer = ctypes.c_void_p
    return native_function(ir, "lay", None, pointer, pointer, pointer)
