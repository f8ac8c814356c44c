"""What the depthwise loops share, in LLVM IR: a tile of sums in registers, and the function around it.

That is i32 convolve(weights, factors, stationary, source, target, numbers), where the numbers are an array of
`DepthwiseNumbers`. Where the site has them, `factors` are a factor for each channel and then an addend for
each, and `stationary` is the third operand. It returns whether an input is not finite, if the site is
watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from addercost.kernels.cpu.depthwise.terms import term
from addercost.kernels.cpu.ir.build import FLOAT, I32, I64, POINTER, at, compiled, counted, function, loaded
from addercost.kernels.cpu.ir.vectors import any_set, fma, splat, vector, zeros


class DepthwiseNumbers(NamedTuple):
    """What a depthwise loop is given beside its memory. `source`, `target` begin with the first image."""

    n: int
    """Images."""
    begin: int
    """The first of the output's rows (`across_channels`) or channels (`along_rows`)."""
    length: int
    """How many of those."""
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
    """Strides in elements: of the source by image, channel, row and column."""
    sc: int
    sy: int
    sx: int
    tn: int
    """Of the target."""
    tc: int
    ty: int
    tx: int
    blank: int
    """The address of what is read in place of a pixel, or a row, beyond the image."""
    fill: int
    """The value of a padded tap."""
    hn: int
    """Strides of the stationary operand."""
    hc: int
    hy: int
    hx: int
    stationary_first: int
    """Where the first image's stationary operand begins."""


class DepthwiseLoop(NamedTuple):
    """What is fixed when a loop is compiled."""

    site: str
    many_taps: bool
    """As `term` takes it."""
    lanes: int
    tile: int
    """Vectors of sums in registers, of neighbouring pixels or rows. The output has at least as many."""
    filter_x: int
    stride_x: int
    dilation_x: int
    filter_rows: int = 1
    """Along rows: so many of the filter's rows are written out; they divide it."""
    stride_y: int = 1
    dilation_y: int = 1
    whole: bool = True
    """Along rows: each has at least `lanes` outputs."""


_WATCHES = 2
"""Sums that the watched inputs enter in turn: with one, each addition would wait for the last."""


class TileCode:
    """The function `convolve` while it is written."""

    def __init__(self, loop: DepthwiseLoop) -> None:
        self.loop, self.term = loop, term(loop.site, loop.many_taps)
        self.code = code = function("convolve", *[POINTER] * 6, result=I32)
        self.weights, self._factors, self._stationary, self._source, self._target, numbers = (
            code.function.args
        )
        self._sum, self._floats = vector(self.term.sum, loop.lanes), vector(FLOAT, loop.lanes)
        # LLVM keeps these in registers.
        self._sums = [code.alloca(self._sum) for _ in range(loop.tile)]
        self._watches = [code.alloca(self._floats) for _ in range(_WATCHES if self.term.watched else 0)]
        for watch in self._watches:
            code.store(zeros(self._floats), watch)
        self.numbers = loaded(code, DepthwiseNumbers, numbers)
        self.blank = code.inttoptr(self.numbers.blank, POINTER)
        self.filter_size = code.mul(self.numbers.r, I64(loop.filter_x))
        """Weights of a filter."""

    @contextmanager
    def images(self) -> Iterator[tuple[Any, Any, Any]]:
        """A loop over the images, for where each has its source, its stationary operand and its target."""
        code, numbers = self.code, self.numbers
        with counted(code, numbers.n) as image:
            yield (
                at(code, self.term.element, self._source, (image, numbers.sn)),
                at(code, FLOAT, self._stationary, (numbers.stationary_first, 1), (image, numbers.hn)),
                at(code, self.term.result, self._target, (image, numbers.tn)),
            )

    def first(self, output: Any, stride: Any, padding: Any) -> Any:
        """The row or column of the input under an output's first tap."""
        return self.code.sub(self.code.mul(output, stride), padding)

    def clear(self) -> None:
        """Sets the tile's sums to 0."""
        for place in self._sums:
            self.code.store(zeros(self._sum), place)

    @contextmanager
    def sums(self) -> Iterator[list[Any]]:
        """The tile's sums so far; what is in the list at the end is kept."""
        sums = [self.code.load(place) for place in self._sums]
        yield sums
        for value, place in zip(sums, self._sums, strict=True):
            self.code.store(value, place)

    def added(self, sums: list[Any], u: int, x: Any, weight: Any, stationary: list[Any]) -> Any:
        """The sum `u` and the term of an input and a weight."""
        return self.term.add(self.code, sums[u], x, weight, *stationary[u : u + 1])

    def watch(self, x: Any, number: int) -> None:
        """Adds the input times zero to a sum, which makes it NaN where the input is not finite."""
        if not self.term.watched:
            return
        place = self._watches[number % _WATCHES]
        watched = self.code.load(place)
        self.code.store(fma(self.code, x, zeros(self._floats), watched), place)

    def factors(self, channel: Any, of_one: bool = False) -> list[Any]:
        """The factors and the addends of `lanes` channels, or those of one in every lane; nothing where the
        site has none."""
        if not self.term.scaled:
            return []
        code = self.code
        factor = at(code, FLOAT, self._factors, (channel, 1))
        places = factor, at(code, FLOAT, factor, (self.numbers.c, 1))
        if of_one:
            return [splat(code, code.load(place, align=4, typ=FLOAT), self.loop.lanes) for place in places]
        return [code.load(place, align=4, typ=self._floats) for place in places]

    def finished(self, u: int, factors: list[Any]) -> Any:
        """The outputs of the sum `u`."""
        return self.term.finish(self.code, self.code.load(self._sums[u]), *factors)

    def compiled(self) -> Any:
        code = self.code
        found = I32(0)
        if self.term.watched:
            unordered = code.fcmp_unordered("uno", *(code.load(watch) for watch in self._watches))
            found = code.zext(any_set(code, unordered), I32)
        code.ret(found)
        return compiled(code)
