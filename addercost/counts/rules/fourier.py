"""Fast Fourier transforms by the mixed-radix algorithm of Cooley and Tukey (1965).

Multiplications by twiddle factors count even where the factor is 1. For a power of two the result is the
textbook's 5·n·log2(n) real operations: 2·n·log2(n) multiplications and 3·n·log2(n) additions (Van Loan,
Computational Frameworks for the Fast Fourier Transform, 1992, section 1.4).
"""

from __future__ import annotations

import functools
import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def _factors(n: int) -> list[int]:
    found, p = [], 2
    while p * p <= n:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return [*found, n] if n > 1 else found


@functools.cache
def complex_transform(n: int) -> tuple[int, int]:
    """(complex multiplications, complex additions) of one transform of length n.

    For each prime factor p: n/p butterflies, each with p - 1 twiddle factors, (p - 1)² products by roots of
    one (none for p = 2, where the root is -1) and p·(p - 1) additions.
    """
    mul = add = 0
    for p in _factors(n):
        butterflies = n // p
        mul += butterflies * ((p - 1) + ((p - 1) ** 2 if p > 2 else 0))
        add += butterflies * p * (p - 1)
    return mul, add


def _transform_counts(call: OpCall, shape: tuple[int, ...], axes: tuple[int, ...], halved: int) -> OpCounts:
    """Transforms over `axes` of complex data of `shape`. Along the axis `halved` the data is real.

    A real transform costs half as much as a complex one of the same length.
    """
    mul = add = 0
    for axis in axes:
        n = shape[axis]
        lines = math.prod(shape) // n if n else 0
        m, a = complex_transform(n)
        factor = 1 if axis == halved else 2
        mul += lines * m * factor
        add += lines * a * factor
        if axis == halved:
            # A real row of n has n/2 + 1 independent coefficients. Only those are transformed along other
            # axes.
            shape = (*shape[:axis], n // 2 + 1, *shape[axis + 1 :])
    # A complex product is 4 multiplications and 2 additions; a complex sum is 2 additions.
    return OpCounts.of(call.output.number_format, mul=2 * mul, add=mul + add)


def _axes(call: OpCall, rank: int) -> tuple[int, ...]:
    dims = call.args["dim"]
    assert isinstance(dims, tuple)
    return tuple(d % rank for d in dims if isinstance(d, int))


def _scaling(call: OpCall) -> OpCounts:
    """A factor of 1/n or 1/√n on the two parts of every output."""
    out = call.output
    if not call.args.get("normalization"):
        return OpCounts()
    return OpCounts.of(out.number_format, mul=out.numel * (2 if out.is_complex else 1))


@rule("aten._fft_c2c")
def complex_to_complex(call: OpCall) -> OperatorWork:
    """Along each axis of length n, for each prime factor p of n: n/p butterflies of p·(p-1) complex
    additions, p - 1 complex products and, for p > 2, (p-1)² more. With `normalization` each output is
    multiplied by a factor."""
    x = call.tensor("self")
    axes = _axes(call, len(x.shape))
    return OperatorWork(other=_transform_counts(call, x.shape, axes, -1) + _scaling(call))


@rule("aten._fft_r2c")
def real_to_complex(call: OpCall) -> OperatorWork:
    """Real numbers are transformed along the last axis, then its n/2 + 1 coefficients along the other axes,
    as in `complex_to_complex`.
    """
    x = call.tensor("self")
    axes = _axes(call, len(x.shape))[::-1]
    return OperatorWork(
        other=_transform_counts(call, x.shape, axes, axes[0] if axes else -1) + _scaling(call)
    )


@rule("aten._fft_c2r")
def complex_to_real(call: OpCall) -> OperatorWork:
    """The inverse of `real_to_complex`, with as many operations."""
    out = call.output
    axes = _axes(call, len(out.shape))[::-1]
    return OperatorWork(
        other=_transform_counts(call, out.shape, axes, axes[0] if axes else -1) + _scaling(call)
    )
