"""Depthwise convolution across channels, in LLVM IR: of images that are channels-last, where they lie.

A filter's row is written out: what it meets of a row of the image is addressed, checked against the border
and loaded once for all taps.
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
    watched,
)
from addercost.kernels.cpu.ir.native import at, counted_loop


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
            watched(made, lanes, f"%x{column}", column),
            *(added(made, lanes, f"%x{column}", u, s) for u, s in sites),
        ]
        last, before = f"%pixel{column}", column
    body = [
        f"%b.most = sub i64 %c, {lanes}",
        "%b = call i64 @llvm.smin.i64(i64 %block, i64 %b.most)",
        cleared(made, loop),
        *(_held(made, lanes, u) for u in range(loop.tile)),
        counted_loop("row", "%r", "\n".join(row)),
        factors(made, lanes, "%b"),
        at("out", "%image.target", "%row.out*%ty", "%q.first*%tx", "%b*1", element=made.result),
    ]
    for u in range(loop.tile):
        body += [
            finished(made, lanes, u),
            at(f"out{u}", "%out", f"%tx*{u}", element=made.result),
            f"store <{lanes} x {made.result}> %o{u}, ptr %out{u}, align 4",
        ]
    # All channels of a tile's pixels before the next tile: memory is then met in order.
    block = counted_loop("block", "%c", "\n".join(body), lanes)
    inner = f"""
        %q.most = sub i64 %q, {loop.tile}
        %q.first = call i64 @llvm.smin.i64(i64 %pixels, i64 %q.most)
        {first("x", "%q.first", str(loop.stride_x))}
        {block}"""
    inner = counted_loop("pixels", "%q", inner, loop.tile)
    inner = f"%row.out = add i64 %row.number, %begin\n{first('y', '%row.out', '%stride_y')}\n{inner}"
    return compiled(made, loop, counted_loop("row.number", "%count", inner))


def _held(made: Term, lanes: int, u: int) -> str:
    """%held<u>, what is held for pixel u."""
    if not made.held:
        return ""
    place = at(f"held{u}.at", "%image.held", "%row.out*%hy", f"%held.q{u}*%hx", "%b*1", element="float")
    vector = f"<{lanes} x float>"
    return f"""%held.q{u} = add i64 %q.first, {u}
        {place}
        %held{u} = load {vector}, ptr %held{u}.at, align 4"""
