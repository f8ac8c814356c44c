"""What the depthwise loops share, in LLVM IR: a tile of sums in registers, and the function around it.

That is i32 convolve(weights, factors, held, source, target, numbers), the numbers being `NUMBERS`; `factors`
holds a factor for each channel and then an addend for each, `held` what is held, where the site has them. It
returns whether it met an input that is not finite, if those are watched.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any, NamedTuple

from addercost.kernels.cpu.depthwise.terms import Term
from addercost.kernels.cpu.ir.native import at, counted_loop, loaded, native_function, splat_of

NUMBERS = (
    *(
        "n",
        "begin",
        "count",
        "c",
        "h",
        "w",
        "p",
        "q",
        "r",
        "stride_y",
        "dilation_y",
        "padding_y",
        "padding_x",
    ),
    *("sn", "sc", "sy", "sx", "tn", "tc", "ty", "tx", "blank", "fill"),
    *("hn", "hc", "hy", "hx", "held_first"),
)
"""Images; the first of the output's rows (`across_channels`) or channels (`along_rows`) and how many; the
extents; the geometry; strides in elements, of source and target; the address of what stands for a pixel, or
a row, beyond the image; the value of a padded tap; strides of what is held, and where the first image's
begins. `source` and `target` begin with the first image."""


class Loop(NamedTuple):
    """What is fixed when a loop is compiled."""

    site: str
    many_taps: bool
    """As `term` takes it."""
    lanes: int
    tile: int
    """Vectors of sums in registers: neighbouring pixels, or rows; there are at least as many."""
    filter_x: int
    stride_x: int
    dilation_x: int
    filter_rows: int = 1
    """Along rows: so many of the filter's rows, which divide it, are written out."""
    stride_y: int = 1
    dilation_y: int = 1
    whole: bool = True
    """Along rows: each has at least `lanes` outputs."""


def first(axis: str, output: str, stride: str) -> str:
    """%<axis>.first, the input's row or column that an output's first tap meets."""
    return f"""%{axis}.strided = mul i64 {output}, {stride}
        %{axis}.first = sub i64 %{axis}.strided, %padding_{axis}"""


def cleared(made: Term, loop: Loop) -> str:
    return "\n".join(
        f"store <{loop.lanes} x {made.sum}> zeroinitializer, ptr %sum{u}" for u in range(loop.tile)
    )


def added(made: Term, lanes: int, met: str, u: int, tap: int, v: str = "") -> str:
    """The term of what a tap meets, added to the sum `u`; LLVM keeps that in a register."""
    vector, site = f"<{lanes} x {made.sum}>", f"{v}site{u}.{tap}"
    names = {
        "x": met,
        "w": f"%{v}weight{tap}",
        "a": f"%{site}.before",
        "r": f"%{site}.after",
        "h": f"%held{u}",
    }
    return f"""%{site}.before = load {vector}, ptr %sum{u}
        {_renamed(made.add(lanes), names, f"{site}.t")}
        store {vector} %{site}.after, ptr %sum{u}"""


_WATCHES = 2
"""Sums that a watched input enters in turns: one would wait for itself."""


def watched(made: Term, lanes: int, met: str, number: int, v: str = "") -> str:
    """Adds what is met times zero, which is a NaN where that is not finite."""
    if not made.watched:
        return ""
    floats, watch, name = f"<{lanes} x float>", f"%watching{number % _WATCHES}", f"%{v}watch{number}"
    return f"""{name}.before = load {floats}, ptr {watch}
        {name} = call {floats} @llvm.fma.v{lanes}f32(
            {floats} {met}, {floats} zeroinitializer, {floats} {name}.before)
        store {floats} {name}, ptr {watch}"""


def finished(made: Term, lanes: int, u: int) -> str:
    """%o<u>, the output of a sum."""
    load = f"load <{lanes} x {made.sum}>, ptr %sum{u}"
    if made.finish is None:
        return f"%o{u} = {load}"
    names = {"a": f"%total{u}", "o": f"%o{u}", "f": "%factor", "b": "%addend"}
    return f"%total{u} = {load}\n{_renamed(made.finish(lanes), names, f'finish{u}.')}"


def _renamed(lines: str, names: dict[str, str], temporary: str) -> str:
    lines = re.sub(r"%t(\d)", rf"%{temporary}\1", lines)
    return re.sub(r"%([a-z])\b(?!\.)", lambda found: names[found[1]], lines)


def factors(made: Term, lanes: int, channel: str, of_one: bool = False) -> str:
    """%factor and %addend, those of `lanes` channels or of one in every lane."""
    if not made.scaled:
        return ""
    lines = [at("factors.at", "%factors", f"{channel}*1", element="float")]
    lines.append(at("addends.at", "%factors.at", "%c*1", element="float"))
    for name in ("factor", "addend"):
        if of_one:
            lines.append(f"%{name}.one = load float, ptr %{name}s.at, align 4")
            lines.append(splat_of(name, "float", f"%{name}.one", lanes))
        else:
            lines.append(f"%{name} = load <{lanes} x float>, ptr %{name}s.at, align 4")
    return "\n".join(lines)


def short(element: str) -> str:
    return {"float": "f32"}.get(element, element)


def compiled(made: Term, loop: Loop, body: str) -> Any:
    lanes, element = loop.lanes, made.element
    sums = "\n".join(f"%sum{u} = alloca <{lanes} x {made.sum}>" for u in range(loop.tile))
    inner = f"""
        {at("image.source", "%source", "%image*%sn", element=element)}
        {at("image.held", "%held", "%held_first*1", "%image*%hn", element="float")}
        {at("image.target", "%target", "%image*%tn", element=made.result)}
        {body}"""
    kinds = [(count, f"<{count} x {element}>", short(element)) for count in (lanes, 2 * lanes)]
    loads = "\n".join(
        f"""declare {vector} @llvm.masked.load.v{count}{kind}.p0(ptr, i32, <{count} x i1>, {vector})
        declare {vector} @llvm.masked.gather.v{count}{kind}.v{count}p0(
            <{count} x ptr>, i32, <{count} x i1>, {vector})"""
        for count, vector, kind in kinds
    )
    floats, stored = f"<{lanes} x float>", f"<{lanes} x {made.result}>"
    watches, found = "", "%odd = add i32 0, 0"
    if made.watched:
        names = [f"%watching{number}" for number in range(_WATCHES)]
        watches = "\n".join(
            f"{name} = alloca {floats}\nstore {floats} zeroinitializer, ptr {name}" for name in names
        )
        seen = "\n".join(f"{name}.seen = load {floats}, ptr {name}" for name in names)
        found = f"""{seen}
            %unordered = fcmp uno {floats} {", ".join(f"{name}.seen" for name in names)}
            %unordered.bits = bitcast <{lanes} x i1> %unordered to i{lanes}
            %any = icmp ne i{lanes} %unordered.bits, 0
            %odd = zext i1 %any to i32"""
    ir = f"""
        @minus = global {floats} <{", ".join(["float -1.0"] * lanes)}>, align 4
        declare i64 @llvm.smin.i64(i64, i64)
        declare {floats} @llvm.fma.v{lanes}f32({floats}, {floats}, {floats})
        declare {floats} @llvm.fabs.v{lanes}f32({floats})
        declare <{lanes} x i16> @llvm.abs.v{lanes}i16(<{lanes} x i16>, i1)
        declare <{lanes} x i32> @llvm.abs.v{lanes}i32(<{lanes} x i32>, i1)
        {loads}
        declare void @llvm.masked.store.v{lanes}{short(made.result)}.p0({stored}, ptr, i32, <{lanes} x i1>)
        define i32 @convolve(ptr noalias %weights, ptr noalias %factors, ptr noalias %held,
            ptr noalias %source, ptr noalias %target, ptr noalias %numbers) {{
        entry:
        {sums}
        {watches}
        {loaded(NUMBERS)}
        %blank.row = inttoptr i64 %blank to ptr
        %filter.size = mul i64 %r, {loop.filter_x}
        %filter.row = mul i64 %c, {loop.filter_x}
        {counted_loop("image", "%n", inner)}
        {found}
        ret i32 %odd
        }}"""
    pointer = ctypes.c_void_p
    return native_function(ir, "convolve", ctypes.c_int32, *[pointer] * 6)
