"""The direct convolution of every arithmetic as Halide functions, without a schedule."""

from __future__ import annotations

import math
from typing import Any

import halide as hl

from addercost.kernels.codes import LEVELS
from addercost.kernels.cpu.dense.interleave import interleaved
from addercost.kernels.cpu.dense.kernel_class import KernelClass
from addercost.kernels.cpu.dense.sites import Site

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
    "block_tiles",
    "terms",
    "sign",
    "output_rows",
    "output_columns",
)
"""The parameters of a compiled kernel, in order. They follow its inputs and precede its output. Those of
`Store` come last, if the arithmetic has them."""


WORST_CONDITION = 16.0
"""The largest (Σ|x| + Σ|w|) / Σ|x - w| of an output that is computed by maxima. It loses up to so many times
as much precision as by differences, which is still only 10⁻⁶ of its value."""


class Algorithm:
    def __init__(self, kernel: KernelClass, site: Site) -> None:
        self.kernel, self.site = kernel, site
        self.parameters = {name: hl.Param(hl.Int(32), name) for name in PARAMETERS}
        self.parameters |= {name: hl.Param(hl.Float(32), name) for name in site.store_parameters}
        self.input = hl.ImageParam(site.element, 5, "input")
        self.weight = hl.ImageParam(site.element, 3, "weight")
        self.stationary = hl.ImageParam(site.element, 5, "stationary")
        self.input_sums = hl.ImageParam(hl.Float(32), 5, "input_sums")
        self.factors = hl.ImageParam(hl.Float(32), 3, "factors")
        self.shortcut = hl.ImageParam(hl.Float(32), 5, "shortcut")
        for axis in range(5):
            self.input.dim(axis).set_min(0)
            self.stationary.dim(axis).set_min(0)
            self.shortcut.dim(axis).set_min(0)
            self.input_sums.dim(axis).set_min(0)
        for axis in range(3):
            self.weight.dim(axis).set_min(0)
        taps = [(0, self.input.dim(0).extent() // site.packed), (0, self["filter_x"]), (0, self["filter_y"])]
        if kernel.narrow:
            taps[0], taps[1] = taps[1], taps[0]
        if kernel.filter_axes < 2:
            taps = [taps[0], taps[2]][: kernel.filter_axes + 1]
        self.reduction = hl.RDom(taps if site.packed == 1 else [(0, site.packed), *taps], "tap")
        self.lane, self.pixel, self.block, self.tile = (hl.Var(n) for n in ("lane", "pixel", "block", "tile"))
        self.k, self.g, self.q, self.p, self.n = (hl.Var(n) for n in "kgqpn")
        self.scratch, self.packed = self._scratch(), self._packed_weight()
        if site.of_maxima:
            self.weight_sum, self.weight_sums = self._weight_sums()
        self.sum, self.stored, self.output = self._sum(), hl.Func("stored"), hl.Func("output")
        at = [self.lane, self.pixel, self.block, self.tile, self.g, self.p, self.n]
        size, pixels = kernel.vector_run, kernel.pixels
        along, other = (self.q, self.k) if kernel.across else (self.k, self.q)
        place = (along // size, other // pixels, self.g, self.p, self.n)
        outside = self.k, self.g, self.q, self.p, self.n
        if kernel.at_once:
            self.output[outside] = self._with_shortcut(
                self._finished((along % size, other % pixels, *place), self.k)
            )
            return
        filter_ = self.block * size + self.lane
        if kernel.across and site.scaled:
            filter_ = hl.min(self.tile * pixels + self.pixel, self.factors.dim(0).extent() - 1)
        self.stored[tuple(at)] = self._finished(tuple(at), filter_)
        if kernel.transposed_output:
            within = (along % size) % kernel.lanes * self.rows + other % pixels
            value = self._transposed_tile()[(within, along % size // kernel.lanes, *place)]
        else:
            value = self.stored[(along % size, other % pixels, *place)]
        self.output[outside] = self._with_shortcut(value)

    def _with_shortcut(self, value: Any) -> Any:
        if self.site.shortcut:
            value = hl.strict_float(value + self.shortcut[self.k, self.g, self.q, self.p, self.n])
        return self._behind_sum(value) if self._finishes_at_output else value

    @property
    def _finishes_at_output(self) -> bool:
        """Whether a tile holds fp32, from which the output is computed where it is written: a shortcut has
        the output's layout, and vectors of halves take longer to transpose."""
        return self.site.shortcut or self.site.half

    def _behind_sum(self, value: Any) -> Any:
        """The output: the value within the limits, or its byte code. NaN stays NaN, and its code is 0."""
        if self.site.scaled:
            value = hl.select(value < self["least"], self["least"], value)
            value = hl.strict_float(hl.select(value > self["most"], self["most"], value))
        if self.site.coded:
            value = hl.strict_float(hl.strict_float(hl.round(value / self["step"])) + self["zero"])
            # A comparison with NaN is false.
            value = hl.select(value > 0, hl.min(value, hl.f32(LEVELS)), hl.f32(0))
        return self.site.written(value)

    def _finished(self, at: tuple[Any, ...], filter_: Any) -> Any:
        value = self.site.finish(self.sum[at], self["terms"])
        if self.site.of_maxima:
            value = self._negated_distance(value, at)
        if self.site.scaled:
            # Rounded after the product and again after the sum, as the layer rounds after its scale and after
            # its bias.
            factor, addend = (self.factors[filter_, self.g, row] for row in (0, 1))
            value = hl.strict_float(hl.strict_float(value * factor) + addend)
        return value if self._finishes_at_output else self._behind_sum(value)

    def _negated_distance(self, negated_maxima: Any, at: tuple[Any, ...]) -> Any:
        """-Σ|x - w| from -Σ max(x, w), or NaN where that would be too inexact."""
        lane, pixel, block, tile, g, p, n = at
        q = block * self.kernel.vector_run + lane if self.kernel.across else tile * self.kernel.pixels + pixel
        x, x_magnitudes = (self.input_sums[q, p, n, g, row] for row in (0, 1))
        filter_ = (pixel, tile) if self.kernel.across else (lane, block)
        w, w_magnitudes = (self.weight_sums[(*filter_, g)][value] for value in (0, 1))
        negated = hl.strict_float(hl.strict_float(negated_maxima + negated_maxima + x) + w)
        least = hl.strict_float((x_magnitudes + w_magnitudes) * hl.f32(-1 / WORST_CONDITION))
        # A comparison with NaN is false.
        exact = hl.strict_float(negated <= least) & hl.strict_float(negated > hl.f32(-math.inf))
        return hl.strict_float(hl.select(exact, negated, hl.f32(math.nan)))

    def _weight_sums(self) -> tuple[Any, Any]:
        """Σ w and Σ|w| of each filter of a block, in registers and in memory."""
        self.weight_taps = hl.RDom([(0, self.weight.dim(0).extent())], "weight_tap")
        along = (self.pixel, self.tile) if self.kernel.across else (self.lane, self.block)
        sums, stored = hl.Func("weight_sum"), hl.Func("weight_sums")
        at = (*along, self.g)
        sums[at] = (hl.f32(0), hl.f32(0))
        w = self.packed[along[0], self.weight_taps.x, along[1], self.g]
        sums[at] = (sums[at][0] + w, sums[at][1] + hl.abs(w))
        stored[at] = (sums[at][0], sums[at][1])
        return sums, stored

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def _scratch(self) -> Any:
        """The input with its zero border. Halide computes only the part that a strip needs."""
        self.c, self.x, self.y = hl.Var("c"), hl.Var("x"), hl.Var("y")
        c, x, y = self.c, self.x, self.y
        width, height = self.input.dim(2).extent(), self.input.dim(3).extent()
        column, row = x - self["padding_x"], y - self["padding_y"]
        inside = (column >= 0) & (row >= 0)
        inside = inside & (column < width) & (row < height)
        value = self._read(c, self.g, hl.clamp(column, 0, width - 1), hl.clamp(row, 0, height - 1), self.n)
        scratch = hl.Func("scratch")
        if self.kernel.whole_pixels:
            scratch[c, self.g, x, y, self.n] = hl.select(inside, value, hl.cast(self.site.operand, 0))
            return scratch
        # All zeros first, then the rows of the input: a vector across an edge is then loaded with a mask. A
        # select would make it a gather.
        scratch[c, self.g, x, y, self.n] = hl.cast(self.site.operand, 0)
        self.inner = hl.RDom([(0, width)], "inner")
        self.inner.where((row >= 0) & (row < height))
        scratch[c, self.g, self.inner.x + self["padding_x"], y, self.n] = self._read(
            c, self.g, self.inner.x, hl.clamp(row, 0, height - 1), self.n
        )
        return scratch

    def _read(self, *place: Any) -> Any:
        return self.site.read(self.input[place])

    def _weight(self, j: Any, filter_: Any, group: Any) -> Any:
        return self.site.weigh(self.site.read(self.weight[j, filter_, group]))

    def _packed_weight(self) -> Any:
        """The weights of a block with their filters innermost. Places beyond the last filter repeat its
        weights, and their sums are never stored.
        """
        self.j, self.part = hl.Var("j"), hl.Var("part")
        filter_ = self.block * self.kernel.vector_run + self.lane
        packed = hl.Func("packed")
        if self.kernel.filters_innermost and self.kernel.across:
            filter_ = self.tile * self.kernel.pixels + self.pixel
            packed[self.pixel, self.j, self.tile, self.g] = self._weight(self.j, filter_, self.g)
            return packed
        if self.kernel.filters_innermost:
            packed[self.lane, self.j, self.block, self.g] = self._weight(self.j, filter_, self.g)
            return packed
        filter_ = hl.min(filter_, self.weight.dim(1).extent() - 1)
        if self.kernel.across:
            filter_ = hl.min(self.tile * self.kernel.pixels + self.pixel, self.weight.dim(1).extent() - 1)
            packed[self.pixel, self.j, self.tile, self.g] = self._weight(self.j, filter_, self.g)
            return packed
        if self.kernel.whole_squares:
            side, squares = self.kernel.lanes, self._squares()
            at = (self.j % side) * side + self.lane % side
            packed[self.lane, self.j, self.block, self.g] = squares[
                at, self.lane // side, self.j // side, self.block, self.g
            ]
            return packed
        if self.site.packed == 1:
            packed[self.lane, self.j, self.block, self.g] = self._weight(self.j, filter_, self.g)
            return packed
        # The channels that one lane sums stay neighbours, so here they are innermost instead.
        packed[self.part, self.lane, self.j, self.block, self.g] = self._weight(
            self.j * self.site.packed + self.part, filter_, self.g
        )
        return packed

    def _squares(self) -> Any:
        """The weights cut into squares of as many filters as taps. Each square is transposed, so that its
        filters are innermost.
        """
        side = self.kernel.lanes
        m, group, jo = self.square_index = tuple(hl.Var(name) for name in ("m", "group", "jo"))
        filter_ = self.block * self.kernel.vector_run + group * side + m // side
        rows = hl.Func("rows")
        rows[m, group, jo, self.block, self.g] = self._weight(
            jo * side + m % side, hl.min(filter_, self.weight.dim(1).extent() - 1), self.g
        )
        self.weight_stages = interleaved(rows, (m, group, jo, self.block, self.g), side, side)
        return self.weight_stages[-1]

    def _transposed_tile(self) -> Any:
        """The stored tile with the pixels innermost, transposed one vector of filters at a time."""
        m, group = self.transposed_index = tuple(hl.Var(name) for name in ("m", "group"))
        lane = group * self.kernel.lanes + m % self.kernel.lanes
        place = (self.block, self.tile, self.g, self.p, self.n)
        rows = hl.Func("tile_rows")
        pixel = hl.min(m // self.kernel.lanes, self.kernel.pixels - 1)
        rows[(m, group, *place)] = self.stored[(lane, pixel, *place)]
        self.output_stages = interleaved(rows, (m, group, *place), self.rows, self.kernel.lanes)
        return self.output_stages[-1]

    @property
    def rows(self) -> int:
        """Rows of the transposed tile: its pixels rounded up to a power of two."""
        return int(1 << (self.kernel.pixels - 1).bit_length())

    def _sum(self) -> Any:
        taps = [self.reduction[axis] for axis in range(self.reduction.dimensions())]
        part, (c, *rest) = (taps[:1], taps[1:]) if self.site.packed > 1 else ([], taps)
        axes = self.kernel.filter_axes
        s, r = rest if axes == 2 else (0, *rest) if axes == 1 else (0, 0)
        if self.kernel.narrow:
            c, s = s, c
        q = self.tile * self.kernel.pixels + self.pixel
        if self.kernel.across:
            source = self.input if self.kernel.direct else self.scratch
            q = self.block * self.kernel.vector_run + self.lane
            x = q + s * self["dilation_x"]
            y = self.p * self["stride_y"] + r * self["dilation_y"]
        elif self.kernel.direct:
            # Pixels beyond Q are computed and never stored. Stride and filter are 1 here, or the input has
            # slack.
            source = self.input
            if not self.kernel.slack:
                q = hl.min(q, self.input.dim(2).extent() - 1)
            x = q * self["stride_x"] + s * self["dilation_x"]
            y = self.p * self["stride_y"] + r * self["dilation_y"]
        else:
            source, row = self.scratch, self.p
            if self.kernel.joined:
                # Pixels beyond the last are computed and never stored. The clamp keeps their reads inside the
                # image.
                row, q = (
                    hl.clamp(q // self["output_columns"], 0, self["output_rows"] - 1),
                    q % self["output_columns"],
                )
            x = q * self["stride_x"] + s * self["dilation_x"]
            y = row * self["stride_y"] + r * self["dilation_y"]
        channel = c * self.site.packed + part[0] if part else c
        if self.kernel.filters_innermost:
            j = (r * self["filter_x"] + s) * self.input.dim(0).extent() + c
        elif part:
            j = (r * self["filter_x"] + s) * (self.input.dim(0).extent() // self.site.packed) + c
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
        if self.site.stationary:
            k = hl.min(self.block * self.kernel.block + self.lane, self.stationary.dim(0).extent() - 1)
            across = hl.min(self.tile * self.kernel.pixels + self.pixel, self.stationary.dim(2).extent() - 1)
            for index, make in enumerate(self.site.stationary):
                own = hl.Func(f"own{index}")
                own[at] = make(self.stationary[k, self.g, across, self.p, self.n])
                self.owned.append(own)
        # The broadcast operand comes first. An arithmetic of two operands gives the same result in either
        # order.
        pair = (weight, value) if self.kernel.across else (value, weight)
        term = self.site.combine(*pair, *(own[at] for own in self.owned))
        # The compiler would fold a factor of -1 that it knows into a subtraction.
        total[at] += term if self.site.sign > 0 else hl.cast(self.site.operand, self["sign"]) * term
        return total
