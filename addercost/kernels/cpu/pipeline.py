"""One direct convolution and one schedule for every arithmetic; sizes are parameters of the compiled code.

A register tile of `pixels` outputs × `vectors` vectors of filters runs through the whole reduction. Around
it, from the inside out: tiles along a row, rows of a strip, strips of a task, blocks of filters of a task.
A block's weights are copied once into filter-innermost order, a strip's input once into a bordered scratch
image, so that the inner loop loads weight vectors densely, broadcasts inputs, and meets no edge. Where a
layer has few filters the two change places: vectors lie across a row, weights are broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import halide as hl

from addercost.kernels.cpu.interleave import interleaved, schedule_interleaved
from addercost.kernels.cpu.sites import SITES, Site

Guard = hl.TailStrategy.GuardWithIf

PARAMETERS = (
    "stride_y",
    "stride_x",
    "padding_y",
    "padding_x",
    "dilation_y",
    "dilation_x",
    "filter_y",
    "filter_x",
    "strip_rows",
    "task_strips",
    "task_blocks",
    "terms",
)
"""Of a compiled kernel, in order, after its input and weight and before its output."""


@dataclass(frozen=True, slots=True)
class KernelClass:
    """What is fixed when a kernel is compiled."""

    site: str
    lanes: int
    """Filters in a vector; with `across`, pixels."""
    vectors: int
    pixels: int
    """Of a tile; with `across`, filters."""
    channels_last_input: bool
    channels_last_output: bool
    direct: bool
    """The input has what border it needs and is read in place, without a scratch image."""
    narrow: bool
    """Fewer channels than filter columns: the inner loop runs along the filter's row instead."""
    across: bool = False
    """Vectors lie across a row of outputs, at stride 1."""
    whole_squares: bool = False
    """A filter's taps divide into whole vectors: weights are turned round in registers."""
    filters_innermost: bool = False
    """Of the weights, which hold whole blocks of filters."""
    slack: bool = False
    """The input goes on to the end of the last tile of a row, so that no pixel's place is clamped."""

    @property
    def block(self) -> int:
        """Filters in a tile."""
        return self.pixels if self.across else self.vector_run

    @property
    def whole_pixels(self) -> bool:
        """The scratch image keeps a pixel's channels together, otherwise a row's pixels."""
        return self.channels_last_input and not self.across

    @property
    def turned_output(self) -> bool:
        """Pixels are neighbours in the output and filters in the tile."""
        return not (self.channels_last_output or self.across)

    @property
    def vector_run(self) -> int:
        """Elements of a tile along its vectors."""
        return self.lanes * self.vectors


def compile_kernel(kernel: KernelClass) -> Any:
    """The callable (input [c,g,x,y,n], weight [c·r·s,k,g], *PARAMETERS, output [k,g,q,p,n]), innermost first.

    A site with a held operand takes it after the weight, shaped as the output; a scaled one factors
    and addends there, [k,g,2] of whole blocks.
    """
    algorithm = _Algorithm(kernel, SITES[kernel.site])
    algorithm.schedule()
    images = [algorithm.input, algorithm.weight]
    if algorithm.site.held:
        images.append(algorithm.held)
    if algorithm.site.scaled:
        images.append(algorithm.factors)
    arguments = [*images, *algorithm.parameters.values()]
    return algorithm.output.compile_to_callable(arguments, hl.get_jit_target_from_environment())


class _Algorithm:
    def __init__(self, kernel: KernelClass, site: Site) -> None:
        self.kernel, self.site = kernel, site
        self.parameters = {name: hl.Param(hl.Int(32), name) for name in PARAMETERS}
        self.input = hl.ImageParam(site.element, 5, "input")
        self.weight = hl.ImageParam(site.element, 3, "weight")
        self.held = hl.ImageParam(site.element, 5, "held")
        self.factors = hl.ImageParam(hl.Float(32), 3, "factors")
        for axis in range(5):
            self.input.dim(axis).set_min(0)
            self.held.dim(axis).set_min(0)
        for axis in range(3):
            self.weight.dim(axis).set_min(0)
        taps = [(0, self.input.dim(0).extent() // site.packed), (0, self["filter_x"]), (0, self["filter_y"])]
        if kernel.narrow:
            taps[0], taps[1] = taps[1], taps[0]
        self.reduction = hl.RDom(taps if site.packed == 1 else [(0, site.packed), *taps], "tap")
        self.lane, self.pixel, self.block, self.tile = (hl.Var(n) for n in ("lane", "pixel", "block", "tile"))
        self.k, self.g, self.q, self.p, self.n = (hl.Var(n) for n in "kgqpn")
        self.scratch, self.packed = self._scratch(), self._packed_weight()
        self.sum, self.stored, self.output = self._sum(), hl.Func("stored"), hl.Func("output")
        at = [self.lane, self.pixel, self.block, self.tile, self.g, self.p, self.n]
        value = hl.cast(site.result, site.finish(self.sum[tuple(at)], self["terms"]))
        if site.scaled:
            filter_ = self.block * kernel.vector_run + self.lane
            # Two roundings, as of the scale and the bias that it stands for.
            factor, addend = (self.factors[filter_, self.g, row] for row in (0, 1))
            value = hl.strict_float(hl.strict_float(value * factor) + addend)
        self.stored[tuple(at)] = value
        size, pixels = kernel.vector_run, kernel.pixels
        along, other = (self.q, self.k) if kernel.across else (self.k, self.q)
        place = (along // size, other // pixels, self.g, self.p, self.n)
        if kernel.turned_output:
            within = (along % size) % kernel.lanes * self.rows + other % pixels
            value = self._turned()[(within, along % size // kernel.lanes, *place)]
        else:
            value = self.stored[(along % size, other % pixels, *place)]
        self.output[self.k, self.g, self.q, self.p, self.n] = value

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def _scratch(self) -> Any:
        """The input with its zero border, as far as the strip at hand needs it."""
        self.c, self.x, self.y = hl.Var("c"), hl.Var("x"), hl.Var("y")
        c, x, y = self.c, self.x, self.y
        width, height = self.input.dim(2).extent(), self.input.dim(3).extent()
        column, row = x - self["padding_x"], y - self["padding_y"]
        inside = (column >= 0) & (row >= 0)
        inside = inside & (column < width) & (row < height)
        value = self.input[c, self.g, hl.clamp(column, 0, width - 1), hl.clamp(row, 0, height - 1), self.n]
        scratch = hl.Func("scratch")
        if self.kernel.whole_pixels:
            scratch[c, self.g, x, y, self.n] = hl.select(inside, value, hl.cast(self.site.element, 0))
            return scratch
        # Zeros first, then the rows: a vector that reaches over an edge is a masked one, not a gathered one.
        scratch[c, self.g, x, y, self.n] = hl.cast(self.site.element, 0)
        self.inner = hl.RDom([(0, width)], "inner")
        self.inner.where((row >= 0) & (row < height))
        scratch[c, self.g, self.inner.x + self["padding_x"], y, self.n] = self.input[
            c, self.g, self.inner.x, hl.clamp(row, 0, height - 1), self.n
        ]
        return scratch

    def _packed_weight(self) -> Any:
        """A block's weights, filter innermost; filters beyond K repeat the last and are dropped."""
        self.j, self.part = hl.Var("j"), hl.Var("part")
        filter_ = self.block * self.kernel.vector_run + self.lane
        packed = hl.Func("packed")
        if self.kernel.filters_innermost:
            packed[self.lane, self.j, self.block, self.g] = self.weight[self.j, filter_, self.g]
            return packed
        filter_ = hl.min(filter_, self.weight.dim(1).extent() - 1)
        if self.kernel.across:
            filter_ = hl.min(self.tile * self.kernel.pixels + self.pixel, self.weight.dim(1).extent() - 1)
            packed[self.pixel, self.j, self.tile, self.g] = self.weight[self.j, filter_, self.g]
            return packed
        if self.kernel.whole_squares:
            side, squares = self.kernel.lanes, self._squares()
            at = (self.j % side) * side + self.lane % side
            packed[self.lane, self.j, self.block, self.g] = squares[
                at, self.lane // side, self.j // side, self.block, self.g
            ]
            return packed
        if self.site.packed == 1:
            packed[self.lane, self.j, self.block, self.g] = self.weight[self.j, filter_, self.g]
            return packed
        # Here the weights lie channel-innermost, so that the channels of a lane are neighbours.
        packed[self.part, self.lane, self.j, self.block, self.g] = self.weight[
            self.j * self.site.packed + self.part, filter_, self.g
        ]
        return packed

    def _squares(self) -> Any:
        """Squares of weights, as many filters as taps, with the filters innermost."""
        side = self.kernel.lanes
        m, group, jo = self.square_index = tuple(hl.Var(name) for name in ("m", "group", "jo"))
        filter_ = self.block * self.kernel.vector_run + group * side + m // side
        rows = hl.Func("rows")
        rows[m, group, jo, self.block, self.g] = self.weight[
            jo * side + m % side, hl.min(filter_, self.weight.dim(1).extent() - 1), self.g
        ]
        self.weight_stages = interleaved(rows, (m, group, jo, self.block, self.g), side, side)
        return self.weight_stages[-1]

    def _turned(self) -> Any:
        """The stored tile with the pixels innermost, each vector of filters for itself."""
        m, group = self.turned_index = tuple(hl.Var(name) for name in ("m", "group"))
        lane = group * self.kernel.lanes + m % self.kernel.lanes
        place = (self.block, self.tile, self.g, self.p, self.n)
        rows = hl.Func("tile_rows")
        pixel = hl.min(m // self.kernel.lanes, self.kernel.pixels - 1)
        rows[(m, group, *place)] = self.stored[(lane, pixel, *place)]
        self.output_stages = interleaved(rows, (m, group, *place), self.rows, self.kernel.lanes)
        return self.output_stages[-1]

    @property
    def rows(self) -> int:
        """Of the turned tile: its pixels rounded up to a power of two."""
        return int(1 << (self.kernel.pixels - 1).bit_length())

    def _sum(self) -> Any:
        taps = [self.reduction[axis] for axis in range(self.reduction.dimensions())]
        part, (c, s, r) = taps[:-3], taps[-3:]
        if self.kernel.narrow:
            c, s = s, c
        q = self.tile * self.kernel.pixels + self.pixel
        if self.kernel.across:
            source, q = self.scratch, self.block * self.kernel.vector_run + self.lane
            x = q + s * self["dilation_x"]
            y = self.p * self["stride_y"] + r * self["dilation_y"]
        elif self.kernel.direct:
            # Pixels beyond Q are dropped; here stride and filter are 1, or there is slack.
            source = self.input
            if not self.kernel.slack:
                q = hl.min(q, self.input.dim(2).extent() - 1)
            x = q * self["stride_x"] + s * self["dilation_x"]
            y = self.p * self["stride_y"] + r * self["dilation_y"]
        else:
            source = self.scratch
            x = q * self["stride_x"] + s * self["dilation_x"]
            y = self.p * self["stride_y"] + r * self["dilation_y"]
        channel = c * self.site.packed + part[0] if part else c
        if part:
            j = (r * self["filter_x"] + s) * (self.input.dim(0).extent() // self.site.packed) + c
        elif self.kernel.filters_innermost:
            j = (r * self["filter_x"] + s) * self.input.dim(0).extent() + c
        else:
            j = (c * self["filter_y"] + r) * self["filter_x"] + s
        value = source[channel, self.g, x, y, self.n]
        if self.kernel.across:
            weight = self.packed[self.pixel, j, self.tile, self.g]
        else:
            weight = self.packed[(*part, self.lane, j, self.block, self.g)]
        self.owned: list[Any] = []
        total = hl.Func("total")
        at = (self.lane, self.pixel, self.block, self.tile, self.g, self.p, self.n)
        total[at] = hl.cast(self.site.accumulator, 0)
        if self.site.held:
            k = hl.min(self.block * self.kernel.block + self.lane, self.held.dim(0).extent() - 1)
            across = hl.min(self.tile * self.kernel.pixels + self.pixel, self.held.dim(2).extent() - 1)
            for index, make in enumerate(self.site.held):
                own = hl.Func(f"own{index}")
                own[at] = make(self.held[k, self.g, across, self.p, self.n])
                self.owned.append(own)
            total[at] += self.site.combine(value, weight, *(own[at] for own in self.owned))
        else:
            total[at] += self.site.combine(value, weight)
        return total

    def schedule(self) -> None:
        self._schedule_output()
        self._schedule_tile()
        self._schedule_copies()

    def _schedule_output(self) -> None:
        kernel, output, buffer = self.kernel, self.output, self.output.output_buffer()
        for axis in range(5):
            buffer.dim(axis).set_min(0)
        names = ("ko", "ki", "qo", "qi", "po", "pi", "strip", "blocks", "kj", "strips", "sj", "task")
        ko, ki, qo, qi, po, pi, strip, blocks, kj, strips, sj, task = (hl.Var(name) for name in names)
        columns = kernel.vector_run if kernel.across else kernel.pixels
        output.split(self.k, ko, ki, kernel.block, Guard).split(self.q, qo, qi, columns, Guard)
        output.split(self.p, po, pi, self["strip_rows"], Guard).fuse(po, self.n, strip)
        output.split(ko, blocks, kj, self["task_blocks"], Guard)
        output.split(strip, strips, sj, self["task_strips"], Guard)
        if kernel.channels_last_output:
            buffer.dim(0).set_stride(1)
            output.reorder(ki, qi, qo, pi, sj, kj, strips, blocks, self.g)
            if not kernel.across:
                output.vectorize(ki, kernel.lanes).unroll(ki)
        else:
            buffer.dim(0).set_stride(hl.Expr())
            buffer.dim(2).set_stride(1)
            output.reorder(qi, ki, qo, pi, sj, kj, strips, blocks, self.g)
            output.vectorize(qi, kernel.lanes if kernel.across else kernel.pixels)
        output.fuse(strips, blocks, task).parallel(task).never_partition_all()
        self.tile_loop, self.strip_loop, self.block_loop = qo, sj, kj

    def _schedule_tile(self) -> None:
        kernel, reduction = self.kernel, self.reduction
        # The stored tile may be addressed in a loop; the sum may not, or it would leave the registers.
        self.stored.compute_at(self.output, self.tile_loop).store_in(hl.MemoryType.Stack)
        if kernel.turned_output:
            self._schedule_turned()
        self.sum.compute_at(self.stored, self.block).store_in(hl.MemoryType.Register)
        tiles = [self.stored, self.sum]
        if self.site.held:
            self.held.dim(0).set_stride(hl.Expr())
            for own in self.owned:
                tiles.append(own.compute_at(self.stored, self.block).store_in(hl.MemoryType.Stack))
        for stage in tiles:
            stage.bound(self.lane, 0, kernel.vector_run).bound(self.pixel, 0, kernel.pixels)
            stage.vectorize(self.lane, kernel.lanes).unroll(self.lane).unroll(self.pixel)
        self.sum.never_partition_all()
        taps = [reduction[axis] for axis in range(reduction.dimensions())]
        update = self.sum.update()
        if self.site.packed == 1:
            update.reorder(self.lane, self.pixel, *taps)
        else:
            update.reorder(taps[0], self.lane, self.pixel, *taps[1:]).atomic().vectorize(taps[0])
        update.vectorize(self.lane, kernel.lanes).unroll(self.lane).unroll(self.pixel)

    def _schedule_squares(self, packed: Any) -> None:
        side, (m, group, jo) = self.kernel.lanes, self.square_index
        column = hl.Var("column")
        packed.bound(self.lane, 0, self.kernel.block).align_bounds(self.j, side)
        packed.split(self.j, jo, column, side).split(self.lane, group, self.lane, side)
        # Along the filters' rows first: few streams of memory at a time.
        packed.reorder(self.lane, column, jo, group, self.block, self.g).vectorize(self.lane).unroll(column)
        for stage in self.weight_stages:
            stage.compute_at(packed, jo)
        schedule_interleaved(self.weight_stages, m, side, side)

    def _schedule_turned(self) -> None:
        m, group = self.turned_index
        last = self.output_stages[-1]
        last.compute_at(self.output, self.tile_loop).bound(group, 0, self.kernel.vectors).unroll(group)
        for stage in self.output_stages[:-1]:
            stage.compute_at(last, group)
        schedule_interleaved(self.output_stages, m, self.rows, self.kernel.lanes)

    def _schedule_copies(self) -> None:
        kernel = self.kernel
        packed = self.packed.compute_at(self.output, self.block_loop)
        if kernel.across:
            # A few filters: copied as they come.
            packed.bound(self.pixel, 0, kernel.pixels)
        elif kernel.filters_innermost:
            self.weight.dim(0).set_stride(hl.Expr())
            self.weight.dim(1).set_stride(1)
            packed.bound(self.lane, 0, kernel.block).vectorize(self.lane, kernel.lanes)
        elif kernel.whole_squares:
            self._schedule_squares(packed)
        elif self.site.packed == 1:
            # Dense loads along j and scattered stores: half the time of gathering along the filters.
            jo, ji = hl.Var("jo"), hl.Var("ji")
            packed.bound(self.lane, 0, kernel.block).split(self.j, jo, ji, 16, Guard)
            packed.reorder(ji, self.lane, jo, self.block, self.g).vectorize(ji)
        else:
            packed.bound(self.lane, 0, kernel.block)
            packed.bound(self.part, 0, self.site.packed).vectorize(self.part)
        packed.never_partition_all()
        source = self.input
        if kernel.channels_last_input:
            source.dim(0).set_stride(1)
        else:
            source.dim(0).set_stride(hl.Expr())
            if not kernel.direct:
                source.dim(2).set_stride(1)
        if kernel.direct:
            return
        scratch = self.scratch.compute_at(self.output, self.strip_loop)
        if kernel.whole_pixels:
            width = self.site.packed if self.site.packed > 1 else 16
            scratch.vectorize(self.c, width, Guard).never_partition_all()
        else:
            order = (self.x, self.c, self.g, self.y, self.n)
            scratch.reorder_storage(*order).reorder(*order)
            scratch.vectorize(self.x, 16, hl.TailStrategy.RoundUp)
            rows = scratch.update().reorder(self.inner.x, *order[1:])
            rows.vectorize(self.inner.x, 16, hl.TailStrategy.Predicate)
