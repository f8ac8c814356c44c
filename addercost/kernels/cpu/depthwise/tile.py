"""What the depthwise loops share, in LLVM IR: a tile of sums in registers, and the function around it.

The function is i32 convolve(weights, factors, stationary, source, target, numbers). `numbers` is an array of
`DepthwiseNumbers`. `factors` are one factor for each channel and then one addend for each, where the
arithmetic has them; `stationary` is the third operand, where there is one. The function returns 1 if an input
is not finite and the arithmetic is watched, else 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from addercost.kernels.cpu.depthwise.terms import term
from addercost.kernels.cpu.ir.build import FLOAT, I32, I64, POINTER, at, compiled, counted, function, loaded
from addercost.kernels.cpu.ir.vectors import any_set, fma, splat, vector, zeros


class DepthwiseNumbers(NamedTuple):
    """The sizes, strides and addresses of one call. `source` and `target` point to the first image of the
    call.
    """

    n: int
    """Images."""
    begin: int
    """The first of the output's rows (`across_channels`) or channels (`along_rows`)."""
    length: int
    """How many of these rows or channels to compute."""
    c: int
    h: int
    w: int
    p: int
    q: int
    r: int
    stride_y: int
    dilation_y: int
    padding_y: int
    padding_x: int
    sn: int
    """Strides of the source by image, channel, row and column, in elements."""
    sc: int
    sy: int
    sx: int
    tn: int
    """Strides of the target, likewise."""
    tc: int
    ty: int
    tx: int
    blank: int
    """The address that is read in place of a pixel, or a row, outside the image."""
    fill: int
    """The value of a padded tap."""
    hn: int
    """Strides of the stationary operand, likewise."""
    hc: int
    hy: int
    hx: int
    stationary_first: int
    """Elements from the stationary operand's address to where it begins for the call's first image."""


class DepthwiseLoop(NamedTuple):
    """What is fixed when a loop is compiled."""

    site: str
    many_taps: bool
    """As in `term`."""
    lanes: int
    tile: int
    """Vectors of sums in registers, for neighbouring pixels or rows. The output has at least as many."""
    filter_x: int
    stride_x: int
    dilation_x: int
    filter_rows: int = 1
    """For `along_rows`: how many rows of the filter are unrolled. The number of rows is a multiple of it."""
    stride_y: int = 1
    dilation_y: int = 1
    whole: bool = True
    """For `along_rows`: each row of the output has at least `lanes` pixels."""


_WATCHES = 2
"""Sums that the watched inputs are added to in turn. With a single one, each addition would wait for the
last.
"""


class TileCode:
    """The builder of one function `convolve`."""

    def __init__(self, loop: DepthwiseLoop) -> None:
        self.loop, self.term = loop, term(loop.site, loop.many_taps)
        self.code = code = function("convolve", *[POINTER] * 6, result=I32)
        self.weights, self._factors, self._stationary, self._source, self._target, numbers = (
            code.function.args
        )
        self._sum, self._floats = vector(self.term.sum, loop.lanes), vector(FLOAT, loop.lanes)
        # LLVM keeps these stack slots in registers.
        self._sums = [code.alloca(self._sum) for _ in range(loop.tile)]
        self._watches = [code.alloca(self._floats) for _ in range(_WATCHES if self.term.watched else 0)]
        for watch in self._watches:
            code.store(zeros(self._floats), watch)
        self.numbers = loaded(code, DepthwiseNumbers, numbers)
        self.blank = code.inttoptr(self.numbers.blank, POINTER)
        self.filter_size = code.mul(self.numbers.r, I64(loop.filter_x))
        """Weights in a filter."""

    @contextmanager
    def images(self) -> Iterator[tuple[Any, Any, Any]]:
        """A loop over the images. It yields the addresses of each image's source, stationary operand and
        target.
        """
        code, numbers = self.code, self.numbers
        with counted(code, numbers.n) as image:
            yield (
                at(code, self.term.element, self._source, (image, numbers.sn)),
                at(code, FLOAT, self._stationary, (numbers.stationary_first, 1), (image, numbers.hn)),
                at(code, self.term.result, self._target, (image, numbers.tn)),
            )

    def first(self, output: Any, stride: Any, padding: Any) -> Any:
        """The row or column of the input at an output's first tap."""
        return self.code.sub(self.code.mul(output, stride), padding)

    def clear(self) -> None:
        """Sets the tile's sums to 0."""
        for place in self._sums:
            self.code.store(zeros(self._sum), place)

    @contextmanager
    def sums(self) -> Iterator[list[Any]]:
        """Yields the tile's sums so far, and afterwards stores what the list then holds."""
        sums = [self.code.load(place) for place in self._sums]
        yield sums
        for value, place in zip(sums, self._sums, strict=True):
            self.code.store(value, place)

    def added(self, sums: list[Any], u: int, x: Any, weight: Any, stationary: list[Any]) -> Any:
        """The sum number u plus the term of one input and one weight."""
        return self.term.add(self.code, sums[u], x, weight, *stationary[u : u + 1])

    def watch(self, x: Any, number: int) -> None:
        """Adds zero times the input to a sum, which becomes NaN if the input is not finite."""
        if not self.term.watched:
            return
        place = self._watches[number % _WATCHES]
        watched = self.code.load(place)
        self.code.store(fma(self.code, x, zeros(self._floats), watched), place)

    def factors(self, channel: Any, of_one: bool = False) -> list[Any]:
        """The factors and the addends of `lanes` channels; with `of_one`, those of one channel in every lane.
        Empty for an arithmetic without them."""
        if not self.term.scaled:
            return []
        code = self.code
        factor = at(code, FLOAT, self._factors, (channel, 1))
        places = factor, at(code, FLOAT, factor, (self.numbers.c, 1))
        if of_one:
            return [splat(code, code.load(place, align=4, typ=FLOAT), self.loop.lanes) for place in places]
        return [code.load(place, align=4, typ=self._floats) for place in places]

    def finished(self, u: int, factors: list[Any]) -> Any:
        """The outputs made of sum number u."""
        return self.term.finish(self.code, self.code.load(self._sums[u]), *factors)

    def compiled(self) -> Any:
        code = self.code
        found = I32(0)
        if self.term.watched:
            unordered = code.fcmp_unordered("uno", *(code.load(watch) for watch in self._watches))
            found = code.zext(any_set(code, unordered), I32)
        code.ret(found)
        return compiled(code)
