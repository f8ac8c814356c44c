"""Solvers, Fourier transforms, resizing and random numbers, counted by hand from what one matrix or line takes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from addercost.arithmetic import OpCounts
from addercost.counts.rules.fourier import complex_transform
from addercost.counts.rules.interpolation import _taps
from addercost.counts.rules.random_numbers import normal_counts, uniform_counts
from tests.counts.by_hand.calls import ops, t, work


def fp32(**counts: int) -> OpCounts:
    return OpCounts.of("fp32", **counts)


A = t(2, 3, 4, 4)
"""Six matrices of 4 × 4."""
LU = fp32(mul=9 + 4 + 1, add=9 + 4 + 1, divide=3 + 2 + 1)
PIVOTS = fp32(compare=3 + 2 + 1, abs=4 + 3 + 2 + 1)
UNIT = fp32(mul=6, add=6)
"""A substitution by a triangle of ones for one right-hand side: 0 + 1 + 2 + 3 products come off."""
SUBSTITUTION = UNIT + fp32(divide=4)
CHOLESKY = fp32(mul=10, add=10, divide=6, sqrt=4)
"""Of column j, 4 - j numbers with j products each: 3 + 4 + 3; each below the diagonal is divided."""


@pytest.mark.parametrize(
    ("op", "args", "out", "expected"),
    [
        pytest.param("aten.linalg_cholesky_ex", {"self": A}, A, CHOLESKY * 6, id="cholesky"),
        pytest.param("aten.linalg_lu_factor_ex", {"A": A}, A, (LU + PIVOTS) * 6, id="lu"),
        pytest.param("aten.linalg_lu", {"A": A, "pivot": False}, A, LU * 6, id="lu-without-pivots"),
        pytest.param("aten.cholesky_solve", {"self": t(6, 4, 5), "input2": t(6, 4, 4)}, t(6, 4, 5), SUBSTITUTION * (2 * 5 * 6), id="cholesky-solve"),
        pytest.param("aten._cholesky_solve_helper", {"self": t(6, 4, 5), "A": t(6, 4, 4)}, t(6, 4, 5), SUBSTITUTION * (2 * 5 * 6), id="cholesky-solve-helper"),
        pytest.param("aten.cholesky_inverse", {"self": A}, A, SUBSTITUTION * (2 * 4 * 6), id="cholesky-inverse"),
        pytest.param("aten.linalg_lu_solve", {"LU": A, "B": t(2, 3, 4, 5)}, t(2, 3, 4, 5), (UNIT + SUBSTITUTION) * (5 * 6), id="lu-solve"),
        pytest.param("aten.linalg_lu_solve", {"LU": A, "B": t(2, 3, 5, 4), "left": False}, t(2, 3, 5, 4), (UNIT + SUBSTITUTION) * (5 * 6), id="lu-solve-right"),
        pytest.param("aten._linalg_solve_ex", {"A": A, "B": t(2, 3, 4, 5)}, t(2, 3, 4, 5), (LU + PIVOTS + (UNIT + SUBSTITUTION) * 5) * 6, id="solve"),
        pytest.param("aten._linalg_solve_ex", {"A": A, "B": t(2, 3, 4)}, t(2, 3, 4), (LU + PIVOTS + UNIT + SUBSTITUTION) * 6, id="solve-for-vectors"),
        pytest.param("aten.linalg_solve_triangular", {"self": A, "B": t(2, 3, 4, 5)}, t(2, 3, 4, 5), SUBSTITUTION * (5 * 6), id="triangular"),
        pytest.param("aten.linalg_solve_triangular", {"self": A, "unitriangular": True}, t(2, 3, 4, 5), UNIT * (5 * 6), id="triangle-of-ones"),
        pytest.param("aten.triangular_solve", {"self": t(2, 3, 4, 5), "A": A}, t(2, 3, 4, 5), SUBSTITUTION * (5 * 6), id="old-triangular"),
        pytest.param("aten._linalg_det", {"A": A}, t(2, 3), (LU + PIVOTS + fp32(mul=3)) * 6, id="determinant"),
        pytest.param("aten._linalg_slogdet", {"A": A}, t(2, 3), (LU + PIVOTS + fp32(abs=4, transcendental=4, compare=4, mul=3, add=3)) * 6, id="log-determinant"),
        # Gauss and Jordan: a step inverts the pivot, multiplies its row and column by that and updates the rest.
        pytest.param("aten.linalg_inv_ex", {"A": A}, A, (fp32(mul=4 * (6 + 9), add=4 * (3 + 9), divide=4) + PIVOTS) * 6, id="inverse"),
        pytest.param("aten.linalg_cross", {"self": t(5, 3), "other": t(5, 3)}, t(5, 3), fp32(mul=30, add=15), id="cross"),
    ],
)  # fmt: skip
def test_batches_of_matrices(op: str, args: dict[str, Any], out: Any, expected: OpCounts) -> None:
    assert work(op, out, **args).other == expected


def test_matrices_without_rows() -> None:
    empty = t(2, 0, 0)
    for op in ("aten._linalg_det", "aten._linalg_slogdet", "aten.linalg_inv_ex"):
        assert not work(op, t(2), A=empty).other
    assert not work("aten._linalg_solve_ex", t(2, 0, 5), A=empty, B=t(2, 0, 5)).other
    assert not work("aten.linalg_solve_triangular", t(2, 0, 5), self=empty, B=t(2, 0, 5)).other
    assert not work("aten.ormqr", t(0, 2), self=t(0, 3), input2=t(3), input3=t(0, 2)).other


def reflector(rows: int, columns: int) -> OpCounts:
    """A Householder reflector of a column with so many rows, applied to so many columns behind it: the norm
    (products, their sum, a root), its sign, three differences, τ and a division a row; vᵀa, τ times that, and
    its multiples taken off, where v begins with 1."""
    own = fp32(mul=rows, add=rows - 1 + 3, sqrt=1, compare=1, divide=rows)
    return own + fp32(mul=2 * rows - 1, add=2 * rows - 1 - 1 + 1) * columns


QR_5x3 = reflector(5, 2) + reflector(4, 1) + reflector(3, 0)


def applied(rows: tuple[int, ...], columns: tuple[int, ...]) -> OpCounts:
    """Reflectors of so many rows, each applied to so many columns."""
    n = sum((2 * r - 1) * c for r, c in zip(rows, columns, strict=True))
    return fp32(mul=n, add=n)


def test_factors_of_reflectors() -> None:
    """A of 5 × 3: reflectors of 5, 4 and 3 rows. Multiplied out from the last, each changes only the columns
    from its own on."""
    a = t(7, 5, 3)
    assert work("aten.geqrf", a, self=a).other == QR_5x3 * 7
    # The last row of a matrix needs no reflector: one number is a triangle.
    square = reflector(3, 2) + reflector(2, 1)
    assert work("aten.geqrf", t(3, 3), self=t(3, 3)).other == square
    wide = reflector(3, 4) + reflector(2, 3)
    assert work("aten.geqrf", t(3, 5), self=t(3, 5)).other == wide
    thin, whole = applied((5, 4, 3), (3, 2, 1)), applied((5, 4, 3), (5, 4, 3))
    assert work("aten.linalg_qr", a, A=a, mode="r").other == QR_5x3 * 7
    assert work("aten.linalg_qr", a, A=a).other == (QR_5x3 + thin) * 7
    assert work("aten.linalg_qr", a, A=a, mode="complete").other == (QR_5x3 + whole) * 7
    assert work("aten.linalg_householder_product", a, input=a, tau=t(7, 3)).other == thin * 7
    assert (
        work("aten.linalg_householder_product", a, input=a, tau=t(7, 2)).other == applied((5, 4), (3, 2)) * 7
    )
    found = work("aten.ormqr", t(5, 11), self=t(5, 3), input2=t(3), input3=t(5, 11)).other
    assert found == applied((5, 4, 3), (11, 11, 11))
    found = work("aten.ormqr", t(5, 11), self=t(5, 3), input2=t(2), input3=t(5, 11)).other
    assert found == applied((5, 4), (11, 11))


@pytest.mark.parametrize(("m", "n"), [(5, 3), (3, 5)])
def test_least_squares_and_pseudo_inverses(m: int, n: int) -> None:
    """Of A or its transpose, 5 × 3: reflectors, applied to two right-hand sides, and a substitution by 3 × 3."""
    applied_to_b = applied((5, 4, 3), (2, 2, 2))
    substitution = fp32(mul=3, add=3, divide=3) * 2
    found = work("aten.linalg_lstsq", t(n, 2), A=t(m, n), B=t(m, 2)).other
    assert found == QR_5x3 + applied_to_b + substitution
    one = work("aten.linalg_lstsq", t(n), self=t(m, n), b=t(m)).other
    assert one == QR_5x3 + applied((5, 4, 3), (1, 1, 1)) + fp32(mul=3, add=3, divide=3)
    # V·(1/s)·Uᵀ: three numbers inverted if large enough, V scaled, 15 sums of 3 products.
    half = math.ceil((14 * 5 * 9 + 8 * 27) / 2)
    parts = fp32(mul=half, add=half) + fp32(mul=5 * 9 + 9, add=5 * 3 * 2, divide=3, compare=3)
    assert work("aten.linalg_pinv", t(n, m), self=t(m, n)).other == parts


def divided(n: int) -> tuple[int, int]:
    """(products, sums) of a transform of n complex numbers by its smallest prime factor p: p transforms of
    n / p, and n / p butterflies of p inputs."""
    if n < 2:
        return 0, 0
    p = next(i for i in range(2, n + 1) if n % i == 0)
    mul, add = divided(n // p)
    butterfly = (p - 1) + (0 if p == 2 else (p - 1) ** 2)
    return p * mul + n // p * butterfly, p * add + n // p * p * (p - 1)


@pytest.mark.parametrize("n", range(1, 31))
def test_a_transform_by_its_recursion(n: int) -> None:
    assert complex_transform(n) == divided(n)


def transforms(*lines: tuple[int, int, int]) -> OpCounts:
    """(number, length, halves): lines of a length, complex (2 halves) or real (1)."""
    mul = sum(number * divided(n)[0] * halves for number, n, halves in lines)
    add = sum(number * divided(n)[1] * halves for number, n, halves in lines)
    # A complex product is four products and two sums, a complex sum two sums; a half has half of it.
    return OpCounts.of("fp32", mul=2 * mul, add=mul + add)


@pytest.mark.parametrize("normalization", [0, 1])
def test_transforms_of_images(normalization: int) -> None:
    """Of 7 images of 5 × 6. A real row of 6 has 4 coefficients, so 4 columns of 5 are left."""
    real, half = t(7, 5, 6), t(7, 5, 4, dtype="complex64")
    whole = t(7, 5, 6, dtype="complex64")
    given: dict[str, Any] = {"normalization": normalization}
    by_rows = transforms((35, 6, 1), (28, 5, 2))
    found = work("aten._fft_r2c", half, self=real, dim=(1, 2), **given).other
    assert found == by_rows + fp32(mul=280 * normalization)
    found = work("aten._fft_c2r", real, self=half, dim=(1, 2), **given).other
    assert found == by_rows + fp32(mul=210 * normalization)
    found = work("aten._fft_c2c", whole, self=whole, dim=(-2, -1), **given).other
    assert found == transforms((42, 5, 2), (35, 6, 2)) + fp32(mul=420 * normalization)
    assert work("aten._fft_r2c", half, self=real, dim=(2,), normalization=0).other == transforms((35, 6, 1))
    columns = work("aten._fft_r2c", t(7, 3, 6, dtype="complex64"), self=real, dim=(1,), normalization=0).other
    assert columns == transforms((42, 5, 1))


@pytest.mark.parametrize("support", [1, 2, 3])
@pytest.mark.parametrize(("size", "out"), [(7, 3), (3, 7), (5, 5), (12, 5), (5, 1), (1, 5)])
def test_taps_are_the_pixels_within_reach(size: int, out: int, support: int) -> None:
    """Pixel j has its centre at j + ½; output i reaches as far from its own centre as the support, stretched
    where the image shrinks."""
    scale = size / out
    reach = support * max(scale, 1)
    centres = [scale * (i + 0.5) for i in range(out)]
    inside = sum(-reach < j + 0.5 - centre <= reach for centre in centres for j in range(size))
    assert _taps(size, out, support) == inside


def test_resizing_with_a_filter_goes_by_rows_and_then_by_columns() -> None:
    """Of [2, 3, 5, 7] to [2, 3, 3, 4]: 6 · 5 rows, then 6 · 4 columns; the first tap of each sum adds nothing."""
    for name, support in (("bilinear", 1), ("bicubic", 2), ("lanczos", 3)):
        found = work(f"aten._upsample_{name}2d_aa", t(2, 3, 3, 4), self=t(2, 3, 5, 7)).other
        products = 30 * _taps(7, 4, support) + 24 * _taps(5, 3, support)
        assert found == fp32(mul=products, add=products - 30 * 4 - 24 * 3)


def test_numbers_between_grid_points() -> None:
    """210 outputs. Between two numbers w·a + v·b; 3 such in the plane, 7 in space; cubics are 5 sums of 4."""
    assert work("aten.upsample_linear1d", t(2, 3, 35), self=t(2, 3, 5)) == ops(mul=420, add=210)
    assert work("aten.upsample_bilinear2d", t(2, 3, 5, 7), self=t(2, 3, 2, 2)) == ops(mul=1260, add=630)
    assert work("aten.upsample_trilinear3d", t(2, 3, 5, 7, 1), self=t(2, 3, 2, 2, 1)) == ops(
        mul=2940, add=1470
    )
    assert work("aten.upsample_bicubic2d", t(2, 3, 5, 7), self=t(2, 3, 2, 2)) == ops(mul=4200, add=3150)
    # Two matrices of 2 × 3 by 35 places: 140 coordinates as sums of three products.
    grid = work("aten.affine_grid_generator", t(2, 5, 7, 2), theta=t(2, 2, 3))
    assert grid == ops(mul=420, add=280)


COORDINATE = fp32(add=2 + 1, mul=1)
"""(g + 1)·H/2 - ½, rounded down."""


def sampled(axes: int, **args: Any) -> OpCounts:
    """Three channels at 35 places of two images."""
    place = {2: (5, 7), 3: (5, 7, 1)}[axes]
    op = f"aten.grid_sampler_{axes}d"
    return work(op, t(2, 3, *place), input=t(2, 3, 9, 9, 9), grid=t(2, *place, axes), **args).other


def test_sampling_by_a_grid() -> None:
    """70 places and 210 values. In the plane a remainder, its complement and four products make the weights."""
    plane = (COORDINATE * 2 + fp32(add=2 * 2, mul=4)) * 70 + fp32(mul=4, add=3) * 210
    assert sampled(2) == plane
    assert sampled(2, align_corners=True) + fp32(add=140) == plane
    space = (COORDINATE * 3 + fp32(add=3 * 2, mul=4 + 8)) * 70 + fp32(mul=8, add=7) * 210
    assert sampled(3) == space
    assert sampled(2, interpolation_mode=1) == COORDINATE * 140
    cubic = sampled(2, interpolation_mode=2)
    # Four polynomials an axis: the remainder and three further distances, three products, 2·2 and 2·3 sums.
    assert cubic == (COORDINATE + fp32(add=1 + 3 + 4 + 6, mul=12)) * 140 + fp32(mul=20, add=15) * 210
    assert sampled(2, padding_mode=1) == plane + fp32(compare=280)
    assert sampled(2, padding_mode=2) == plane + fp32(compare=280, abs=140, divide=140, add=140)


def gradients_of_samples(axes: int, **args: Any) -> OpCounts:
    """The same places: 70 of them and 210 gradients."""
    place = {2: (5, 7), 3: (5, 7, 1)}[axes]
    op = f"aten.grid_sampler_{axes}d_backward"
    grid, x = t(2, *place, axes), t(2, 3, *(9,) * axes)
    return work(op, x, grad_output=t(2, 3, *place), input=x, grid=grid, **args).other


def test_gradients_of_sampling_by_a_grid() -> None:
    """In space eight weights take twelve products, and each axis four of shares along the other two; a
    channel has four differences, four products of them and three sums, and the gradient.
    """
    space = (COORDINATE * 3 + fp32(add=3 * 2, mul=12 + 3 * 4 + 3)) * 70
    space += fp32(mul=8 + 3 * (4 + 1), add=8 + 3 * (4 + 3)) * 210 + fp32(add=3 * (210 - 70))
    assert gradients_of_samples(3) == space
    plane = gradients_of_samples(2)
    reflected = gradients_of_samples(2, padding_mode=2)
    assert reflected == plane + fp32(compare=280, abs=140, divide=140, add=140, mul=140)
    nearest = gradients_of_samples(2, interpolation_mode=1)
    assert nearest == COORDINATE * 140 + fp32(add=210)
    assert gradients_of_samples(2, interpolation_mode=1, output_mask=(False, True)) == OpCounts()
    # Cubic: the weights as in the forward, then their 16 products, each times a gradient.
    weights = (COORDINATE + fp32(add=1 + 3 + 4 + 6, mul=12)) * 140
    of_pixels = weights + fp32(mul=16) * 70 + fp32(mul=16, add=16) * 210
    assert gradients_of_samples(2, interpolation_mode=2, output_mask=(True, False)) == of_pixels
    # Derivatives (3a·u + 2b)·u of the near taps, (3a·u + 2b)·u + c of the far ones, two with a minus.
    slopes = fp32(mul=8, add=2 + 4 + 2) * 140 + fp32(mul=16 * 140 + 140)
    of_grid = weights + slopes + fp32(mul=17, add=15) * 420 + fp32(add=2 * (210 - 70))
    assert gradients_of_samples(2, interpolation_mode=2, output_mask=(False, True)) == of_grid


def test_draws() -> None:
    x = t(3, 5)
    assert work("aten.rand", x).other == uniform_counts(15, "fp32")
    assert work("aten.native_dropout", x, input=x, p=0.5, train=False) == ops()
    found = work("aten.native_dropout", x, input=x, p=0.5, train=True).other
    assert found == uniform_counts(15, "fp32") + fp32(compare=15, mul=30)
    assert work("aten.rrelu_with_noise", x, self=x) == ops(compare=15, mul=15)
    found = work("aten.rrelu_with_noise", x, self=x, training=True).other
    assert found == uniform_counts(15, "fp32") + fp32(compare=15, mul=30, add=15)
    assert work("aten.randperm", t(5, dtype="int64")).other == uniform_counts(4, "fp32")
    assert work("aten.randperm", t(0, dtype="int64")) == ops()
    # a - 1/3, 9·d, √, 1/, 1 + c·z, its cube, log(u), z²/2, d·v, d·log(v), three sums, a comparison.
    of_15 = fp32(add=75, mul=120, sqrt=15, divide=15, transcendental=30, compare=15)
    gammas = normal_counts(15, "fp32") + uniform_counts(15, "fp32") + of_15
    assert work("aten._standard_gamma", x, self=x).other == gammas
    assert work("aten._sample_dirichlet", x, self=x).other == gammas + fp32(add=12, divide=15)
    # Running sums of three rows of five, and two draws of each by a search of three comparisons.
    found = work("aten.multinomial", t(3, 2), self=x, num_samples=2, replacement=True).other
    assert found == uniform_counts(6, "fp32") + fp32(add=12, mul=6, compare=18)
    # w/-log(u) for each, of which the two largest take 6 comparisons a row.
    found = work("aten.multinomial", t(3, 2), self=x, num_samples=2).other
    assert found == uniform_counts(15, "fp32") + fp32(transcendental=15, add=15, divide=15, compare=18)
    assert work("aten.multinomial", t(3, 2), self=t(3, 0), num_samples=2) == ops()
