"""Depthwise convolution in LLVM IR, which reads the image where it lies.

A tile of sums stays in registers over all taps. A filter's row is written out: what it meets of a row of the
image is addressed, checked against the border and loaded once for all taps.

Each is void convolve(weights, factors, source, target, numbers), the numbers being `NUMBERS`; `factors` holds
a factor for each channel and then an addend for each, where the site has them.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache
from typing import Any, NamedTuple

from addercost.kernels.cpu.depthwise_terms import Term, term
from addercost.kernels.cpu.native import at, counted_loop, lanes_below, loaded, native_function, splat

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
)
"""Images; the first of the output's rows (`across_channels`) or channels (`along_rows`) and how many; the
extents; the geometry; strides in elements, of source and target; the address of what stands for a pixel, or
a row, beyond the image; and the value of a padded tap. `source` and `target` begin with the first image."""


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


@cache
def across_channels(loop: Loop) -> Any:
    """Channels-last: a vector lies across the channels of a pixel, of which there are at least `lanes`;
    weights [R, S, C]."""
    made, lanes = term(loop.site, loop.many_taps), loop.lanes
    vector = f"<{lanes} x {made.element}>"
    # By the column, which is where pixel u meets tap s. A pixel meets its taps in order.
    met: dict[int, list[tuple[int, int]]] = {}
    for u in range(loop.tile):
        for s in range(loop.filter_x):
            met.setdefault(u * loop.stride_x + s * loop.dilation_x, []).append((u, s))
    row = [
        "%row.down = mul i64 %row, %dilation_y",
        "%row.y = add i64 %y.first, %row.down",
        "%row.there = icmp ult i64 %row.y, %h",
        at("row.start", "%image.source", "%row.y*%sy", "%b*1", element=made.element),
        "%base = select i1 %row.there, ptr %row.start, ptr %blank.row",
        "%step = select i1 %row.there, i64 %sx, i64 0",
        at("pixel", "%base", "%x.first*%step", element=made.element),
        at("tap", "%weights", "%row*%filter.row", "%b*1", element=made.weight_element),
    ]
    for s in range(loop.filter_x):
        row.append(at(f"tap{s}", "%tap", f"%c*{s}", element=made.weight_element))
        row.append(f"%weight{s} = load <{lanes} x {made.weight_element}>, ptr %tap{s}, align 1")
    last, before = "%pixel", 0
    for column, sites in sorted(met.items()):
        row += [
            at(f"pixel{column}", last, f"%step*{column - before}", element=made.element),
            f"%column{column} = add i64 %x.first, {column}",
            f"%inside{column} = icmp ult i64 %column{column}, %w",
            f"%from{column} = select i1 %inside{column}, ptr %pixel{column}, ptr %blank.row",
            f"%x{column} = load {vector}, ptr %from{column}, align 1",
            *(_added(made, lanes, f"%x{column}", u, s) for u, s in sites),
        ]
        last, before = f"%pixel{column}", column
    body = [
        f"%b.most = sub i64 %c, {lanes}",
        "%b = call i64 @llvm.smin.i64(i64 %block, i64 %b.most)",
        _cleared(made, loop),
        counted_loop("row", "%r", "\n".join(row)),
        _factors(made, lanes, "%b"),
        at("out", "%image.target", "%row.out*%ty", "%q.first*%tx", "%b*1", element=made.result),
    ]
    for u in range(loop.tile):
        body += [
            _finished(made, lanes, u),
            at(f"out{u}", "%out", f"%tx*{u}", element=made.result),
            f"store <{lanes} x {made.result}> %o{u}, ptr %out{u}, align 4",
        ]
    # All channels of a tile's pixels before the next tile: memory is then met in order.
    block = counted_loop("block", "%c", "\n".join(body), lanes)
    inner = f"""
        %q.most = sub i64 %q, {loop.tile}
        %q.first = call i64 @llvm.smin.i64(i64 %pixels, i64 %q.most)
        {_first("x", "%q.first", str(loop.stride_x))}
        {block}"""
    inner = counted_loop("pixels", "%q", inner, loop.tile)
    inner = f"%row.out = add i64 %row.number, %begin\n{_first('y', '%row.out', '%stride_y')}\n{inner}"
    return _compiled(made, loop, counted_loop("row.number", "%count", inner))


@cache
def along_rows(loop: Loop) -> Any:
    """Channels-first: a vector lies along a row of the output, a tile's are in neighbouring rows;
    weights [C, R, S]."""
    made, lanes = term(loop.site, loop.many_taps), loop.lanes

    offsets = sorted({_offset(loop, s) for s in range(loop.filter_x)})
    # By the row, which is where the output's row u meets the filter's row r. It meets those in order.
    met: dict[int, list[tuple[int, int]]] = {}
    for u in range(loop.tile):
        for r in range(loop.filter_rows):
            met.setdefault(u * loop.stride_y + r * loop.dilation_y, []).append((u, r))

    def taps(masked: bool) -> str:
        v = "border" if masked else "inner"
        rows = [
            at(f"{v}.tap", "%channel.weights", f"%{v}.row*{loop.filter_x}", element=made.weight_element),
            f"%{v}.down = mul i64 %{v}.row, {loop.dilation_y}",
            f"%{v}.top = add i64 %y.first, %{v}.down",
        ]
        for tap in range(loop.filter_rows * loop.filter_x):
            rows += [
                f"%{v}.tap{tap} = getelementptr {made.weight_element}, ptr %{v}.tap, i64 {tap}",
                f"%{v}.one{tap} = load {made.weight_element}, ptr %{v}.tap{tap}, align 1",
                _splat(f"{v}.weight{tap}", made.weight_element, f"%{v}.one{tap}", lanes),
            ]
        for j, pairs in sorted(met.items()):
            x = {s: f"%{v}.met{j}.{_offset(loop, s)}" for s in range(loop.filter_x)}
            rows += [
                f"%{v}.y{j} = add i64 %{v}.top, {j}",
                f"%{v}.there{j} = icmp ult i64 %{v}.y{j}, %h",
                at(f"{v}.start{j}", "%plane", f"%{v}.y{j}*%sy", element=made.element),
                f"%{v}.base{j} = select i1 %{v}.there{j}, ptr %{v}.start{j}, ptr %blank.row",
                at(f"{v}.from{j}", f"%{v}.base{j}", "%x.first*1", element=made.element),
                *(
                    _read(made, loop, f"{v}.met{j}.{offset}", f"{v}.from{j}", offset, masked)
                    for offset in offsets
                ),
            ]
            if loop.stride_x == 2:
                for s, both in x.items():
                    x[s] = f"%{v}.x{j}.{s}"
                    rows.append(_every_second(made, x[s], both, lanes, s * loop.dilation_x % 2))
            for u, r in pairs:
                rows += [_added(made, lanes, x[s], u, r * loop.filter_x + s, f"{v}.") for s in x]
        return counted_loop(f"{v}.row", "%r", "\n".join(rows), loop.filter_rows)

    body = [
        f"%p.most = sub i64 %p, {loop.tile}",
        "%p.first = call i64 @llvm.smin.i64(i64 %rows, i64 %p.most)",
        f"%q.most = sub i64 %q, {lanes if loop.whole else 1}",
        "%q.first = call i64 @llvm.smin.i64(i64 %columns, i64 %q.most)",
        _first("x", "%q.first", str(loop.stride_x)),
        _first("y", "%p.first", str(loop.stride_y)),
        *(_mask(loop, offset) for offset in offsets),
        _cleared(made, loop),
    ]
    if loop.stride_x > 2:
        body.append(taps(True))
    else:
        # The last column that is read, from the first.
        reach = offsets[-1] + loop.stride_x * lanes - 1
        body.append(f"""
            %x.last = add i64 %x.first, {reach}
            %left = icmp sge i64 %x.first, 0
            %right = icmp slt i64 %x.last, %w
            %inside = and i1 %left, %right
            br i1 %inside, label %inner, label %border
            inner:
            {taps(False)}
            br label %summed
            border:
            {taps(True)}
            br label %summed
            summed:""")
    body.append(at("out", "%plane.target", "%p.first*%ty", "%q.first*1", element=made.result))
    if not loop.whole:
        body += ["%space = sub i64 %q, %q.first", lanes_below("kept", "%space", lanes)]
    for u in range(loop.tile):
        body += [_finished(made, lanes, u), at(f"out{u}", "%out", f"%ty*{u}", element=made.result)]
        values = f"<{lanes} x {made.result}> %o{u}, ptr %out{u}"
        if loop.whole:
            body.append(f"store {values}, align 4")
        else:
            store = f"@llvm.masked.store.v{lanes}{_short(made.result)}.p0"
            body.append(f"call void {store}({values}, i32 4, <{lanes} x i1> %kept)")
    inner = counted_loop("columns", "%q", "\n".join(body), lanes)
    inner = counted_loop("rows", "%p", inner, loop.tile)
    inner = f"""
        %channel = add i64 %channel.number, %begin
        {at("channel.weights", "%weights", "%channel*%filter.size", element=made.weight_element)}
        {at("plane", "%image.source", "%channel*%sc", element=made.element)}
        {at("plane.target", "%image.target", "%channel*%tc", element=made.result)}
        {_factors(made, lanes, "%channel", of_one=True)}
        %fill.narrow = trunc i64 %fill to i8
        {inner}"""
    return _compiled(made, loop, counted_loop("channel.number", "%count", inner))


def _offset(loop: Loop, s: int) -> int:
    """Columns from the first that tap s's vector is read at: for a stride of 2 an even and an odd tap's are
    two halves of one that is twice as long."""
    column = s * loop.dilation_x
    return column - column % 2 if loop.stride_x == 2 else column


def _mask(loop: Loop, offset: int) -> str:
    """%mask<offset>, which of the columns that are read there the image has."""
    size = loop.lanes * (2 if loop.stride_x == 2 else 1)
    numbers = ", ".join(
        f"i32 {lane * (loop.stride_x if loop.stride_x > 2 else 1) + offset}" for lane in range(size)
    )
    first = f"%start{offset}.narrow = trunc i64 %x.first to i32"
    width = f"%width{offset}.narrow = trunc i64 %w to i32"
    return f"""{splat(f"start{offset}", f"%start{offset}.narrow", size, first)}
        {splat(f"width{offset}", f"%width{offset}.narrow", size, width)}
        %places{offset} = add <{size} x i32> %start{offset}, <{numbers}>
        %mask{offset} = icmp ult <{size} x i32> %places{offset}, %width{offset}"""


def _read(made: Term, loop: Loop, name: str, start: str, offset: int, masked: bool) -> str:
    """%<name>, the columns at `offset` from %<start>; a masked one that the image has not is `fill`."""
    size = loop.lanes * (2 if loop.stride_x == 2 else 1)
    vector, kind = f"<{size} x {made.element}>", f"v{size}{_short(made.element)}"
    place = f"%{name}.at = getelementptr {made.element}, ptr %{start}, i64 {offset}"
    if not masked:
        return f"{place}\n%{name} = load {vector}, ptr %{name}.at, align 1"
    fill = "zeroinitializer"
    if made.element == "i8":
        place, fill = f"{_splat(f'{name}.fill', 'i8', '%fill.narrow', size)}\n{place}", f"%{name}.fill"
    rest = f"i32 1, <{size} x i1> %mask{offset}, {vector} {fill}"
    if loop.stride_x <= 2:
        return f"{place}\n%{name} = call {vector} @llvm.masked.load.{kind}.p0(ptr %{name}.at, {rest})"
    apart = ", ".join(f"i64 {lane * loop.stride_x}" for lane in range(size))
    return f"""{place}
        %{name}.each = getelementptr {made.element}, ptr %{name}.at, <{size} x i64> <{apart}>
        %{name} = call {vector} @llvm.masked.gather.{kind}.v{size}p0(<{size} x ptr> %{name}.each, {rest})"""


def _every_second(made: Term, name: str, both: str, lanes: int, first: int) -> str:
    vector = f"<{2 * lanes} x {made.element}>"
    order = ", ".join(f"i32 {2 * lane + first}" for lane in range(lanes))
    return f"{name} = shufflevector {vector} {both}, {vector} poison, <{lanes} x i32> <{order}>"


def _first(axis: str, output: str, stride: str) -> str:
    """%<axis>.first, the input's row or column that an output's first tap meets."""
    return f"""%{axis}.strided = mul i64 {output}, {stride}
        %{axis}.first = sub i64 %{axis}.strided, %padding_{axis}"""


def _cleared(made: Term, loop: Loop) -> str:
    return "\n".join(
        f"store <{loop.lanes} x {made.sum}> zeroinitializer, ptr %sum{u}" for u in range(loop.tile)
    )


def _added(made: Term, lanes: int, met: str, u: int, tap: int, v: str = "") -> str:
    """The term of what a tap meets, added to the sum `u`; LLVM keeps that in a register."""
    vector, site = f"<{lanes} x {made.sum}>", f"{v}site{u}.{tap}"
    names = {"x": met, "w": f"%{v}weight{tap}", "a": f"%{site}.before", "r": f"%{site}.after"}
    return f"""%{site}.before = load {vector}, ptr %sum{u}
        {_renamed(made.add(lanes), names, f"{site}.t")}
        store {vector} %{site}.after, ptr %sum{u}"""


def _finished(made: Term, lanes: int, u: int) -> str:
    """%o<u>, the output of a sum."""
    load = f"load <{lanes} x {made.sum}>, ptr %sum{u}"
    if made.finish is None:
        return f"%o{u} = {load}"
    names = {"a": f"%total{u}", "o": f"%o{u}", "f": "%factor", "b": "%addend"}
    return f"%total{u} = {load}\n{_renamed(made.finish(lanes), names, f'finish{u}.')}"


def _renamed(lines: str, names: dict[str, str], temporary: str) -> str:
    lines = re.sub(r"%t(\d)", rf"%{temporary}\1", lines)
    return re.sub(r"%([a-z])\b(?!\.)", lambda found: names[found[1]], lines)


def _factors(made: Term, lanes: int, channel: str, of_one: bool = False) -> str:
    """%factor and %addend, those of `lanes` channels or of one in every lane."""
    if not made.scaled:
        return ""
    lines = [at("factors.at", "%factors", f"{channel}*1", element="float")]
    lines.append(at("addends.at", "%factors.at", "%c*1", element="float"))
    for name in ("factor", "addend"):
        if of_one:
            lines.append(f"%{name}.one = load float, ptr %{name}s.at, align 4")
            lines.append(_splat(name, "float", f"%{name}.one", lanes))
        else:
            lines.append(f"%{name} = load <{lanes} x float>, ptr %{name}s.at, align 4")
    return "\n".join(lines)


def _splat(name: str, element: str, value: str, lanes: int) -> str:
    vector = f"<{lanes} x {element}>"
    return f"""%{name}.in = insertelement {vector} poison, {element} {value}, i64 0
        %{name} = shufflevector {vector} %{name}.in, {vector} poison, <{lanes} x i32> zeroinitializer"""


def _short(element: str) -> str:
    return {"float": "f32"}.get(element, element)


def _compiled(made: Term, loop: Loop, body: str) -> Any:
    lanes, element = loop.lanes, made.element
    sums = "\n".join(f"%sum{u} = alloca <{lanes} x {made.sum}>" for u in range(loop.tile))
    inner = f"""
        {at("image.source", "%source", "%image*%sn", element=element)}
        {at("image.target", "%target", "%image*%tn", element=made.result)}
        {body}"""
    kinds = [(count, f"<{count} x {element}>", _short(element)) for count in (lanes, 2 * lanes)]
    loads = "\n".join(
        f"""declare {vector} @llvm.masked.load.v{count}{kind}.p0(ptr, i32, <{count} x i1>, {vector})
        declare {vector} @llvm.masked.gather.v{count}{kind}.v{count}p0(
            <{count} x ptr>, i32, <{count} x i1>, {vector})"""
        for count, vector, kind in kinds
    )
    floats, stored = f"<{lanes} x float>", f"<{lanes} x {made.result}>"
    ir = f"""
        @minus = global {floats} <{", ".join(["float -1.0"] * lanes)}>, align 4
        declare i64 @llvm.smin.i64(i64, i64)
        declare {floats} @llvm.fma.v{lanes}f32({floats}, {floats}, {floats})
        declare {floats} @llvm.fabs.v{lanes}f32({floats})
        declare <{lanes} x i16> @llvm.abs.v{lanes}i16(<{lanes} x i16>, i1)
        declare <{lanes} x i32> @llvm.abs.v{lanes}i32(<{lanes} x i32>, i1)
        {loads}
        declare void @llvm.masked.store.v{lanes}{_short(made.result)}.p0({stored}, ptr, i32, <{lanes} x i1>)
        define void @convolve(ptr noalias %weights, ptr noalias %factors, ptr noalias %source,
            ptr noalias %target, ptr noalias %numbers) {{
        entry:
        {sums}
        {loaded(NUMBERS)}
        %blank.row = inttoptr i64 %blank to ptr
        %filter.size = mul i64 %r, {loop.filter_x}
        %filter.row = mul i64 %c, {loop.filter_x}
        {counted_loop("image", "%n", inner)}
        ret void
        }}"""
    pointer = ctypes.c_void_p
    return native_function(ir, "convolve", None, pointer, pointer, pointer, pointer, pointer)
