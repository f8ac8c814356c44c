"""Textbook linear algebra and Fourier transforms, written out."""

from __future__ import annotations

import cmath
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from tests.counts.oracle import Case, Draw, case, normal, sizes
from tests.counts.scalar import Array, Number, log, plain, sqrt, total


def spd(n: int) -> Tensor:
    """A symmetric positive definite matrix."""
    a = normal(n, n)
    return a @ a.t() + n * torch.eye(n, dtype=torch.float64)


def minus(value: Any, terms: Any) -> Any:
    for term in terms:
        value = value - term
    return value


def cholesky_of(a: Array) -> Array:
    n = len(a)
    result = np.full((n, n), 0.0, dtype=object)
    for j in range(n):
        result[j, j] = sqrt(minus(a[j, j], (result[j, k] * result[j, k] for k in range(j))))
        for i in range(j + 1, n):
            below = minus(a[i, j], (result[i, k] * result[j, k] for k in range(j)))
            result[i, j] = below / result[j, j]
    return result


@case("aten.linalg_cholesky_ex")
def cholesky(draw: Draw) -> Case:
    return Case(torch.linalg.cholesky, (spd(draw(sizes(1, 4))),), cholesky_of)


def lu_in_place(a: Array) -> tuple[Array, list[int]]:
    """Rows swapped by the largest magnitude of each column."""
    a = a.copy()
    m, n = a.shape
    order = list(range(m))
    for k in range(min(m, n)):
        largest, at = abs(a[k, k]), k
        for i in range(k + 1, m):
            magnitude = abs(a[i, k])
            if magnitude > largest:
                largest, at = magnitude, i
        a[[k, at]] = a[[at, k]]
        order[k], order[at] = order[at], order[k]
        for i in range(k + 1, m):
            a[i, k] = a[i, k] / a[k, k]
            for j in range(k + 1, n):
                a[i, j] = a[i, j] - a[i, k] * a[k, j]
    return a, order


def forward(a: Array, b: Array, unit: bool) -> Array:
    """Solves the lower triangle for every column of b."""
    n = len(a)
    x = b.copy()
    for c in range(b.shape[1]):
        for i in range(n):
            value = minus(x[i, c], (a[i, k] * x[k, c] for k in range(i)))
            x[i, c] = value if unit else value / a[i, i]
    return x


def backward(a: Array, b: Array) -> Array:
    return forward(a[::-1, ::-1], b[::-1], False)[::-1]


@case("aten.linalg_lu_factor_ex")
def lu(draw: Draw) -> Case:
    a = normal(draw(sizes(1, 4)), draw(sizes(1, 4)))
    return Case(lambda a: torch.linalg.lu_factor(a)[0], (a,), lambda a: lu_in_place(a)[0])


@case("aten.linalg_lu_solve")
def lu_solve(draw: Draw) -> Case:
    n, columns = draw(sizes()), draw(sizes())
    factors, pivots = torch.linalg.lu_factor(spd(n))
    pivots = torch.arange(1, n + 1, dtype=torch.int32)

    def loop(a: Array, b: Array) -> Array:
        return backward(a, forward(a, b, True))

    return Case(lambda a, b: torch.linalg.lu_solve(a, pivots, b), (factors, normal(n, columns)), loop)


@case("aten._linalg_solve_ex")
def solve(draw: Draw) -> Case:
    n, columns = draw(sizes(1, 4)), draw(sizes())

    def loop(a: Array, b: Array) -> Array:
        factors, order = lu_in_place(a)
        return backward(factors, forward(factors, b[order], True))

    return Case(torch.linalg.solve, (normal(n, n), normal(n, columns)), loop, tolerance=1e-6)


@case("aten.linalg_solve_triangular")
def solve_triangular(draw: Draw) -> Case:
    n, columns, unit = draw(sizes()), draw(sizes()), draw(st.booleans())

    def run(a: Tensor, b: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(a, b, upper=False, unitriangular=unit)

    return Case(run, (spd(n).tril(), normal(n, columns)), lambda a, b: forward(a, b, unit))


@case("aten.cholesky_solve")
def cholesky_solve(draw: Draw) -> Case:
    n, columns = draw(sizes()), draw(sizes())

    def loop(b: Array, a: Array) -> Array:
        return backward(a.T, forward(a, b, False))

    return Case(torch.cholesky_solve, (normal(n, columns), torch.linalg.cholesky(spd(n))), loop)


@case("aten.linalg_inv_ex")
def inverse(draw: Draw) -> Case:
    """Gauss-Jordan in place; swapped rows become swapped columns."""

    def loop(a: Array) -> Array:
        a = a.copy()
        n = len(a)
        swaps = []
        for k in range(n):
            largest, at = abs(a[k, k]), k
            for i in range(k + 1, n):
                magnitude = abs(a[i, k])
                if magnitude > largest:
                    largest, at = magnitude, i
            a[[k, at]] = a[[at, k]]
            swaps.append((k, at))
            pivot = 1 / a[k, k]
            for j in range(n):
                if j != k:
                    a[k, j] = a[k, j] * pivot
            for i in range(n):
                if i == k:
                    continue
                for j in range(n):
                    if j != k:
                        a[i, j] = a[i, j] - a[i, k] * a[k, j]
                a[i, k] = -(a[i, k] * pivot)
            a[k, k] = pivot
        for k, at in reversed(swaps):
            a[:, [k, at]] = a[:, [at, k]]
        return a

    return Case(torch.linalg.inv, (normal(*[draw(sizes(1, 4))] * 2),), loop, tolerance=1e-6)


@case("aten._linalg_det", "aten._linalg_slogdet")
def determinant(draw: Draw) -> Case:
    logarithmic = draw(st.booleans())

    def loop(a: Array) -> Array:
        diagonal = list(np.diagonal(lu_in_place(a)[0]))
        value: Any = diagonal[0]
        if logarithmic:
            signs = [Number(1.0 if v > 0 else -1.0, v.tally) for v in diagonal]
            value = total(log(abs(v)) for v in diagonal)
            diagonal = signs
        joined = diagonal[0]
        for v in diagonal[1:]:
            joined = joined * v
        result = np.empty((), dtype=object)
        # The sign of the permutation is not an operation, so magnitudes are compared.
        result[()] = value if logarithmic else abs(plain(joined))
        return result

    function = (lambda a: torch.linalg.slogdet(a)[1]) if logarithmic else torch.linalg.det
    if not logarithmic:
        return Case(
            function, (normal(*[draw(sizes(1, 4))] * 2),), loop, reference=lambda a: torch.linalg.det(a).abs()
        )
    return Case(function, (normal(*[draw(sizes(1, 4))] * 2),), loop)


def reflect(column: Any, v: list[Any], tau: Any) -> None:
    """column - w·v with w = τ·(vᵀ·column), v[0] being 1."""
    dot = column[0]
    for a, b in zip(column[1:], v, strict=True):
        dot = dot + a * b
    w = dot * tau
    column[0] = column[0] - w
    for i, b in enumerate(v, 1):
        column[i] = column[i] - b * w


def householder_of(a: Array) -> tuple[Array, list[Any], list[list[Any]]]:
    a = a.copy()
    m, n = a.shape
    taus, vectors = [], []
    for k in range(min(m, n)):
        x = a[k:, k]
        if len(x) == 1:
            taus.append(None)
            vectors.append([])
            continue
        norm = sqrt(total(value * value for value in x))
        beta = -norm if x[0] >= 0 else norm + 0.0
        tau = (beta - x[0]) / beta
        pivot = x[0] - beta
        v = [value / pivot for value in x[1:]]
        for j in range(k + 1, n):
            reflect(a[k:, j], v, tau)
        a[k, k] = beta
        a[k + 1 :, k] = v
        taus.append(tau)
        vectors.append(v)
    return a, taus, vectors


@case("aten.geqrf")
def householder(draw: Draw) -> Case:
    a = normal(draw(sizes(1, 4)), draw(sizes(1, 3)))
    return Case(lambda a: torch.geqrf(a)[0], (a,), lambda a: householder_of(a)[0])


@case("aten.linalg_qr")
def qr(draw: Draw) -> Case:
    n = draw(sizes(1, 3))
    m = n + draw(sizes(1, 2))
    mode = draw(st.sampled_from(["reduced", "complete", "r"]))

    def loop(a: Array) -> Any:
        _, taus, vectors = householder_of(a)
        if mode == "r":
            return None
        columns = m if mode == "complete" else n
        tally = taus[0].tally
        q = np.empty((m, columns), dtype=object)
        for i, j in np.ndindex(m, columns):
            q[i, j] = Number(float(i == j), tally)
        for k in reversed(range(n)):
            for j in range(k, columns):
                reflect(q[k:, j], vectors[k], taus[k])
        return q

    return Case(lambda a: torch.linalg.qr(a, mode)[0], (normal(m, n),), loop)


@case("aten.linalg_cross")
def cross(draw: Draw) -> Case:
    n = draw(sizes())

    def loop(a: Array, b: Array) -> Array:
        rows = [
            [u[(i + 1) % 3] * v[(i + 2) % 3] - u[(i + 2) % 3] * v[(i + 1) % 3] for i in range(3)]
            for u, v in zip(a, b, strict=True)
        ]
        return np.array(rows, dtype=object)

    return Case(torch.linalg.cross, (normal(n, 3), normal(n, 3)), loop)


class Complex:
    """A complex number that counts its real operations by way of two counting parts."""

    def __init__(self, re: Any, im: Any) -> None:
        self.re, self.im = re, im

    def __add__(self, other: Complex) -> Complex:
        return Complex(self.re + other.re, self.im + other.im)

    def times(self, factor: complex) -> Complex:
        a, b = factor.real, factor.imag
        return Complex(self.re * a - self.im * b, self.re * b + self.im * a)

    def minus(self, other: Complex) -> Complex:
        return Complex(self.re - other.re, self.im - other.im)


def transform(x: list[Complex]) -> list[Complex]:
    """Decimation in time by the smallest prime factor, twiddles by 1 included."""
    n = len(x)
    if n == 1:
        return x
    p = next(q for q in range(2, n + 1) if n % q == 0)
    parts = [transform(x[r::p]) for r in range(p)]
    m = n // p
    result: list[Any] = [None] * n
    for k in range(m):
        turned = [parts[0][k]]
        for r in range(1, p):
            turned.append(parts[r][k].times(cmath.exp(-2j * cmath.pi * r * k / n)))
        for q in range(p):
            value = turned[0]
            for r in range(1, p):
                if p == 2:
                    value = value.minus(turned[r]) if q else value + turned[r]
                else:
                    root = turned[r].times(cmath.exp(-2j * cmath.pi * r * q / p)) if q else turned[r]
                    value = value + root
            result[q * m + k] = value
    return result


@case("aten._fft_c2c")
def fourier(draw: Draw) -> Case:
    n = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 12]))

    def loop(re: Array, im: Array) -> Array:
        out = transform([Complex(a, b) for a, b in zip(re, im, strict=True)])
        result = np.empty((n, 2), dtype=object)
        for i, value in enumerate(out):
            result[i] = [value.re, value.im]
        return result

    def run(re: Tensor, im: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.fft(torch.complex(re, im)))

    return Case(run, (normal(n), normal(n)), loop)


@case("aten._fft_c2c")
def fourier_of_an_image(draw: Draw) -> Case:
    h, w = draw(sizes(2, 4)), draw(sizes(2, 4))

    def loop(re: Array, im: Array) -> Array:
        rows = [transform([Complex(re[i, j], im[i, j]) for j in range(w)]) for i in range(h)]
        columns = [transform([rows[i][j] for i in range(h)]) for j in range(w)]
        result = np.empty((h, w, 2), dtype=object)
        for i, j in np.ndindex(h, w):
            # The inverse: each transform's index reversed, and both parts divided by the number of points.
            value = columns[(-j) % w][(-i) % h]
            result[i, j] = [value.re * (1 / (h * w)), value.im * (1 / (h * w))]
        return result

    def run(re: Tensor, im: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.ifft2(torch.complex(re, im)))

    return Case(run, (normal(h, w), normal(h, w)), loop)
