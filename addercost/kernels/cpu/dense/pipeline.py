"""One direct convolution and one schedule for every arithmetic. Sizes are parameters of the compiled code.

A register tile of `pixels` outputs × `vectors` vectors of filters stays in registers for the whole reduction.
The loops around it are, from the inside out: tiles of a block of filters, tiles along a row, rows of a strip,
strips of a task, blocks of a task.

A block's weights are copied once, with their filters innermost. A strip's input is copied into a scratch
image with a border, once for each block. Where there are many blocks, a task copies its whole input once for
all of them. The inner loop then loads contiguous vectors of weights, broadcasts inputs, and has no edge to
check. Where a layer has few filters, or planes are read in place, the roles are exchanged: vectors run along
a row of pixels, and weights are broadcast.
"""

from __future__ import annotations

from typing import Any

import halide as hl

from addercost.kernels.cpu.dense.algorithm import Algorithm
from addercost.kernels.cpu.dense.interleave import schedule_interleaved
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.object_code import kernel_function
from addercost.kernels.cpu.dense.sites import SITES
from addercost.kernels.cpu.processor import jit_target, target_of_signs

Guard, Whole = hl.TailStrategy.GuardWithIf, hl.TailStrategy.RoundUp


def compile_kernel(kernel: KernelClass) -> Any:
    """A callable (input [c,g,x,y,n], weight [c·r·s,k,g], *PARAMETERS, output [k,g,q,p,n]); axes are listed
    innermost first.

    An arithmetic with a stationary operand takes it after the weight, in the output's shape. One with maxima
    takes the sums of inputs there, [q,p,n,g,2]. A scaled arithmetic takes factors and addends there, [k,g,2],
    where k is rounded up to whole blocks. A shortcut, in the output's shape and layout, follows these.
    """
    target = target_of_signs() if SITES[kernel.site].of_words else jit_target()
    return kernel_function(str(kernel), lambda: scheduled(kernel), target)


def scheduled(kernel: KernelClass) -> tuple[Any, list[Any]]:
    """The Halide function of the output with its schedule, and the kernel's arguments."""
    algorithm = _Scheduled(kernel, SITES[kernel.site])
    algorithm.schedule()
    images = [algorithm.input, algorithm.weight]
    if algorithm.site.of_maxima:
        images.append(algorithm.input_sums)
    if algorithm.site.stationary:
        images.append(algorithm.stationary)
    if algorithm.site.scaled:
        images.append(algorithm.factors)
    if algorithm.site.shortcut:
        images.append(algorithm.shortcut)
    return algorithm.output, [*images, *algorithm.parameters.values()]


class _Scheduled(Algorithm):
    def schedule(self) -> None:
        self._schedule_output()
        self._schedule_tile()
        self._schedule_copies()

    def _schedule_output(self) -> None:
        kernel, output, buffer = self.kernel, self.output, self.output.output_buffer()
        shortcut = self.shortcut
        for axis in range(5):
            buffer.dim(axis).set_min(0)
        names = ("ko", "kt", "ki", "qo", "qi", "po", "pi", "strip", "blocks", "kj", "strips", "sj", "task")
        ko, kt, ki, qo, qi, po, pi, strip, blocks, kj, strips, sj, task = (hl.Var(name) for name in names)
        columns = kernel.vector_run if kernel.across else kernel.pixels
        output.split(self.k, ko, ki, kernel.block, Whole if kernel.whole_filters else Guard)
        output.split(self.q, qo, qi, columns, Whole if kernel.whole_columns else Guard)
        output.split(self.p, po, pi, self["strip_rows"], Guard).fuse(po, self.n, strip)
        output.split(ko, ko, kt, self["block_tiles"], Guard).split(ko, blocks, kj, self["task_blocks"], Guard)
        output.split(strip, strips, sj, self["task_strips"], Guard)
        if kernel.channels_last_output:
            buffer.dim(0).set_stride(1)
            shortcut.dim(0).set_stride(1)
            output.reorder(ki, qi, kt, qo, pi, sj, kj, strips, blocks, self.g)
            if not kernel.across:
                output.vectorize(ki, kernel.lanes).unroll(ki)
                if kernel.at_once:
                    output.unroll(qi)
        else:
            for image in (buffer, shortcut):
                image.dim(0).set_stride(hl.Expr())
                image.dim(2).set_stride(1)
            output.reorder(qi, ki, kt, qo, pi, sj, kj, strips, blocks, self.g)
            output.vectorize(qi, kernel.lanes if kernel.across else kernel.pixels)
            if kernel.at_once:
                output.unroll(qi).unroll(ki)
        output.fuse(strips, blocks, task).parallel(task).never_partition_all()
        self.tile_loop, self.block_loop = kt, kj
        self.scratch_loop = task if kernel.kept_scratch else sj

    def _schedule_tile(self) -> None:
        kernel = self.kernel
        if kernel.at_once:
            self.sum.compute_at(self.output, self.tile_loop).store_in(hl.MemoryType.Register)
            self.sum.bound_extent(self.block, 1).bound_extent(self.tile, 1)
            self._schedule_sums([self.sum])
            return
        # The stored tile may be indexed by a loop's variable. The sum may not: it would have to leave the
        # registers.
        self.stored.compute_at(self.output, self.tile_loop).store_in(hl.MemoryType.Stack)
        if kernel.transposed_output:
            self._schedule_transposed()
        self.sum.compute_at(self.stored, self.block).store_in(hl.MemoryType.Register)
        tiles = [self.stored, self.sum]
        if self.site.stationary:
            self.stationary.dim(0).set_stride(hl.Expr())
            for own in self.owned:
                tiles.append(own.compute_at(self.stored, self.block).store_in(hl.MemoryType.Stack))
        self._schedule_sums(tiles)

    def _schedule_sums(self, tiles: list[Any]) -> None:
        kernel, reduction = self.kernel, self.reduction
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

    def _schedule_weight_sums(self) -> None:
        kernel = self.kernel
        along, outer = (self.pixel, self.tile) if kernel.across else (self.lane, self.block)
        stored = self.weight_sums.compute_at(self.output, self.block_loop).never_partition_all()
        sums = self.weight_sum.compute_at(stored, outer)
        update = sums.update().reorder(along, self.weight_taps.x)
        if kernel.across:
            return
        sums.store_in(hl.MemoryType.Register)
        for stage in (stored, sums):
            stage.bound(along, 0, kernel.vector_run)
        for stage in (stored, sums, update):
            stage.vectorize(along, kernel.lanes).unroll(along)

    def _schedule_squares(self, packed: Any) -> None:
        side, (m, group, jo) = self.kernel.lanes, self.square_index
        column = hl.Var("column")
        packed.bound(self.lane, 0, self.kernel.block).align_bounds(self.j, side)
        packed.split(self.j, jo, column, side).split(self.lane, group, self.lane, side)
        # The loop along the filters' rows is the inner one, so few streams of memory are read at a time.
        packed.reorder(self.lane, column, jo, group, self.block, self.g).vectorize(self.lane).unroll(column)
        for stage in self.weight_stages:
            stage.compute_at(packed, jo)
        schedule_interleaved(self.weight_stages, m, side, side)

    def _schedule_transposed(self) -> None:
        m, group = self.transposed_index
        last = self.output_stages[-1]
        last.compute_at(self.output, self.tile_loop).bound(group, 0, self.kernel.vectors).unroll(group)
        for stage in self.output_stages[:-1]:
            stage.compute_at(last, group)
        schedule_interleaved(self.output_stages, m, self.rows, self.kernel.lanes)

    def _schedule_copies(self) -> None:
        kernel = self.kernel
        packed = self.packed.compute_at(self.output, self.block_loop)
        if kernel.across:
            # There are few filters, so this copy is short.
            packed.bound(self.pixel, 0, kernel.pixels)
            if kernel.filters_innermost:
                self.weight.dim(0).set_stride(hl.Expr())
                self.weight.dim(1).set_stride(1)
                packed.vectorize(self.pixel)
        elif kernel.filters_innermost:
            self.weight.dim(0).set_stride(hl.Expr())
            self.weight.dim(1).set_stride(1)
            packed.bound(self.lane, 0, kernel.block).vectorize(self.lane, kernel.lanes)
        elif kernel.whole_squares:
            self._schedule_squares(packed)
        elif self.site.packed == 1:
            # Dense loads along j with scattered stores take half as long as gathering along the filters.
            jo, ji = hl.Var("jo"), hl.Var("ji")
            packed.bound(self.lane, 0, kernel.block).split(self.j, jo, ji, 16, Guard)
            packed.reorder(ji, self.lane, jo, self.block, self.g).vectorize(ji)
        else:
            packed.bound(self.lane, 0, kernel.block)
            packed.bound(self.part, 0, self.site.packed).vectorize(self.part)
        packed.never_partition_all()
        if self.site.of_maxima:
            self._schedule_weight_sums()
        source = self.input
        if kernel.channels_last_input:
            source.dim(0).set_stride(1)
        else:
            source.dim(0).set_stride(hl.Expr())
            if kernel.across or not kernel.direct:
                source.dim(2).set_stride(1)
        if kernel.direct:
            return
        scratch = self.scratch.compute_at(self.output, self.scratch_loop)
        if kernel.whole_pixels:
            scratch.vectorize(self.c, 16, Guard).never_partition_all()
        else:
            order = (self.x, self.c, self.g, self.y, self.n)
            scratch.reorder_storage(*order).reorder(*order)
            scratch.vectorize(self.x, 16, hl.TailStrategy.RoundUp)
            rows = scratch.update().reorder(self.inner.x, *order[1:])
            rows.vectorize(self.inner.x, 16, hl.TailStrategy.Predicate)
