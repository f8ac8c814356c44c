"""Depthwise convolution along rows, in LLVM IR: of images that are channels-first, where they lie.

Rows of a filter are written out: a row of the image is read once for all that it adds to a tile's rows.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from addercost.kernels.cpu.depthwise.terms import Term, term
from addercost.kernels.cpu.depthwise.tile import (
    Loop,
    added,
    cleared,
    compiled,
    factors,
    finished,
    first,
    short,
    watched,
)
from addercost.kernels.cpu.ir.native import at, counted_loop, lanes_below, splat, splat_of


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
                splat_of(f"{v}.weight{tap}", made.weight_element, f"%{v}.one{tap}", lanes),
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
            for s, name in x.items():
                rows.append(watched(made, lanes, name, j * loop.filter_x + s, f"{v}."))
            for u, r in pairs:
                rows += [added(made, lanes, x[s], u, r * loop.filter_x + s, f"{v}.") for s in x]
        return counted_loop(f"{v}.row", "%r", "\n".join(rows), loop.filter_rows)

    body = [
        f"%p.most = sub i64 %p, {loop.tile}",
        "%p.first = call i64 @llvm.smin.i64(i64 %rows, i64 %p.most)",
        f"%q.most = sub i64 %q, {lanes if loop.whole else 1}",
        "%q.first = call i64 @llvm.smin.i64(i64 %columns, i64 %q.most)",
        first("x", "%q.first", str(loop.stride_x)),
        first("y", "%p.first", str(loop.stride_y)),
        *(_mask(loop, offset) for offset in offsets),
        cleared(made, loop),
    ]
    if not loop.whole:
        body += ["%space = sub i64 %q, %q.first", lanes_below("kept", "%space", lanes)]
    body += [_held(made, loop, u) for u in range(loop.tile)]
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
    for u in range(loop.tile):
        body += [finished(made, lanes, u), at(f"out{u}", "%out", f"%ty*{u}", element=made.result)]
        values = f"<{lanes} x {made.result}> %o{u}, ptr %out{u}"
        if loop.whole:
            body.append(f"store {values}, align 4")
        else:
            store = f"@llvm.masked.store.v{lanes}{short(made.result)}.p0"
            body.append(f"call void {store}({values}, i32 4, <{lanes} x i1> %kept)")
    inner = counted_loop("columns", "%q", "\n".join(body), lanes)
    inner = counted_loop("rows", "%p", inner, loop.tile)
    inner = f"""
        %channel = add i64 %channel.number, %begin
        {at("channel.weights", "%weights", "%channel*%filter.size", element=made.weight_element)}
        {at("plane", "%image.source", "%channel*%sc", element=made.element)}
        {at("plane.target", "%image.target", "%channel*%tc", element=made.result)}
        {factors(made, lanes, "%channel", of_one=True)}
        %fill.narrow = trunc i64 %fill to i8
        {inner}"""
    return compiled(made, loop, counted_loop("channel.number", "%count", inner))


def _held(made: Term, loop: Loop, u: int) -> str:
    """%held<u>, what is held for a row's outputs."""
    if not made.held:
        return ""
    vector, lanes = f"<{loop.lanes} x float>", loop.lanes
    load = f"load {vector}, ptr %held{u}.at, align 4"
    if not loop.whole:
        mask = f"i32 4, <{lanes} x i1> %kept, {vector} zeroinitializer"
        load = f"call {vector} @llvm.masked.load.v{lanes}f32.p0(ptr %held{u}.at, {mask})"
    place = at(f"held{u}.at", "%image.held", "%channel*%hc", f"%held.p{u}*%hy", "%q.first*1", element="float")
    return f"%held.p{u} = add i64 %p.first, {u}\n{place}\n%held{u} = {load}"


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
    vector, kind = f"<{size} x {made.element}>", f"v{size}{short(made.element)}"
    place = f"%{name}.at = getelementptr {made.element}, ptr %{start}, i64 {offset}"
    if not masked:
        return f"{place}\n%{name} = load {vector}, ptr %{name}.at, align 1"
    fill = "zeroinitializer"
    if made.element == "i8":
        place, fill = f"{splat_of(f'{name}.fill', 'i8', '%fill.narrow', size)}\n{place}", f"%{name}.fill"
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
