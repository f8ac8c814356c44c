"""Factorisations and solvers by their textbook algorithms, without blocking.

Direct methods are counted exactly as written in Golub and Van Loan, Matrix Computations, 4th edition
(Cholesky 4.2, LU with partial pivoting 3.4, Householder QR 5.2, triangular systems 3.1). Spectral methods
iterate until they converge. For them this uses the book's estimates of flops: half of them are
multiplications, half additions.
"""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def cholesky_counts(n: int) -> dict[str, int]:
    """L[i,j] = (A[i,j] - Σ_{k<j} L[i,k]·L[j,k]) / L[j,j], with a root on the diagonal."""
    products = (n**3 - n) // 6
    return {"mul": products, "add": products, "divide": n * (n - 1) // 2, "sqrt": n}


def lu_counts(m: int, n: int, pivot: bool = True) -> dict[str, int]:
    """For column k: the largest of m-k magnitudes, m-k-1 divisions, and (m-k-1)·(n-k-1) products
    subtracted.
    """
    steps = range(min(m, n))
    products = sum((m - k - 1) * (n - k - 1) for k in steps)
    counts = {"mul": products, "add": products, "divide": sum(m - k - 1 for k in steps)}
    if pivot:
        counts |= {"compare": sum(m - k - 1 for k in steps), "abs": sum(m - k for k in steps)}
    return counts


def triangular_counts(n: int, columns: int, unit: bool = False) -> dict[str, int]:
    """Substitution for each right-hand side: n(n-1)/2 products subtracted, n divisions."""
    products = columns * n * (n - 1) // 2
    return {"mul": products, "add": products, "divide": 0 if unit else columns * n}


def inverse_counts(n: int) -> dict[str, int]:
    """Gauss-Jordan in place, with pivoting. Step k computes 1/a[k,k], multiplies row and column k by it, and
    updates the rest.
    """
    pivots = n * (n - 1) // 2
    return {
        "mul": n * (n - 1) * (n + 1),
        "add": n * (n - 1) ** 2 + n * (n - 1),
        "divide": n,
        "compare": pivots,
        "abs": n * (n + 1) // 2,
    }


def reflector_counts(m: int, n: int) -> dict[str, int]:
    """Householder QR: R and the vectors v. Step k, with L = m-k rows, computes β = -sign(x₀)·‖x‖, τ = (β -
    x₀)/β and v = x/(x₀ - β); then each of n-k-1 columns takes w = τ·(vᵀa) and a - w·v, where v₀ is 1."""
    mul = add = divide = sqrt = compare = 0
    for k in range(min(m, n)):
        rows, columns = m - k, n - k - 1
        if rows > 1:
            mul, add, sqrt, compare = mul + rows, add + rows - 1 + 3, sqrt + 1, compare + 1
            divide += 1 + rows - 1
            mul, add = mul + columns * (2 * rows - 1), add + columns * (2 * rows - 1)
    return {"mul": mul, "add": add, "divide": divide, "sqrt": sqrt, "compare": compare}


def orthogonal_counts(m: int, k: int, columns: int) -> dict[str, int]:
    """k reflectors of m rows, multiplied out into `columns` columns from the last reflector to the first.
    Products with zeros that are known are not counted.
    """
    work = sum((2 * (m - i) - 1) * max(columns - i, 0) for i in range(k))
    return {"mul": work, "add": work}


def _times(
    call: OpCall, name: str, counts: dict[str, int], also: dict[str, int] | None = None
) -> OperatorWork:
    """The operations `counts` and `also` for each matrix of the batch, in the format of the argument
    `name`.
    """
    x = call.tensor(name)
    batch = math.prod(x.shape[:-2])
    one = OpCounts.of(x.number_format, **counts) + OpCounts.of(x.number_format, **(also or {}))
    return OperatorWork(other=one * batch)


def _matrix(call: OpCall) -> tuple[str, int, int]:
    """(name of the matrix argument, rows, columns)."""
    for name in ("A", "self", "input", "LU", "LD"):
        spec = call.optional_tensor(name)
        if spec is not None:
            return name, spec.shape[-2], spec.shape[-1]
    raise KeyError(f"{call.op} has no matrix argument")


def _columns(call: OpCall, name: str, n: int) -> int:
    """The number of right-hand sides: 1 for [n], r for […, n, r]."""
    b = call.tensor(name)
    matrix = call.tensor(_matrix(call)[0])
    return 1 if len(b.shape) == len(matrix.shape) - 1 else b.shape[-1]


@rule("aten.linalg_cholesky_ex", "aten.cholesky")
def cholesky(call: OpCall) -> OperatorWork:
    """A: [n, n]: L[i,j] = (A[i,j] - Σ_{k<j} L[i,k]·L[j,k]) / L[j,j], with a root on the diagonal: (n³ - n)/6
    products subtracted, n·(n-1)/2 divisions, n roots."""
    name, n, _ = _matrix(call)
    return _times(call, name, cholesky_counts(n))


@rule("aten.cholesky_solve", "aten._cholesky_solve_helper")
def cholesky_solve(call: OpCall) -> OperatorWork:
    """B: [n, r], L: [n, n]: forward and back substitution."""
    b, factor = call.tensor("self"), call.tensor("input2" if "input2" in call.args else "A")
    one = OpCounts.of(b.number_format, **triangular_counts(factor.shape[-1], b.shape[-1]))
    return OperatorWork(other=one * 2 * math.prod(call.output.shape[:-2]))


@rule("aten.cholesky_inverse")
def cholesky_inverse(call: OpCall) -> OperatorWork:
    """Forward and back substitution for every column of the identity."""
    name, n, _ = _matrix(call)
    substitution = triangular_counts(n, n)
    return _times(call, name, substitution, substitution)


@rule("aten.linalg_lu_factor_ex", "aten.linalg_lu", "aten._lu_with_info")
def lu(call: OpCall) -> OperatorWork:
    """A: [m, n]: for column k the largest of m-k magnitudes, m-k-1 divisions, and (m-k-1)·(n-k-1) products
    subtracted."""
    name, m, n = _matrix(call)
    return _times(call, name, lu_counts(m, n, bool(call.args.get("pivot", True))))


@rule("aten.linalg_lu_solve")
def lu_solve(call: OpCall) -> OperatorWork:
    """Forward substitution by the unit lower triangle, then back substitution by the upper one."""
    n = call.shape("LU")[-1]
    b = call.tensor("B")
    columns = b.shape[-1] if call.args.get("left", True) else b.shape[-2]
    one = OpCounts.of(b.number_format, **triangular_counts(n, columns, unit=True))
    one += OpCounts.of(b.number_format, **triangular_counts(n, columns))
    return OperatorWork(other=one * math.prod(call.output.shape[:-2]))


@rule("aten._linalg_solve_ex")
def solve(call: OpCall) -> OperatorWork:
    """LU, then both substitutions."""
    name, n, _ = _matrix(call)
    columns = _columns(call, "B", n)
    x = call.tensor(name)
    factor = OpCounts.of(x.number_format, **lu_counts(n, n)) * math.prod(x.shape[:-2])
    one = OpCounts.of(x.number_format, **triangular_counts(n, columns, unit=True))
    one += OpCounts.of(x.number_format, **triangular_counts(n, columns))
    return OperatorWork(other=factor + one * (call.output.numel // max(n * columns, 1)))


@rule("aten.linalg_solve_triangular", "aten.triangular_solve")
def solve_triangular(call: OpCall) -> OperatorWork:
    """out: […, n, r]: one substitution for each of r right-hand sides. Solved from the right, out:
    […, r, n].
    """
    out = call.output
    a = call.tensor("A" if call.name.endswith("triangular_solve") else "self")
    n = a.shape[-1]
    one = triangular_counts(n, 1, bool(call.args.get("unitriangular")))
    return OperatorWork(other=OpCounts.of(out.number_format, **one) * (out.numel // max(n, 1)))


@rule("aten.linalg_inv_ex", "aten.inverse")
def inverse(call: OpCall) -> OperatorWork:
    """A: [n, n], Gauss-Jordan in place, with pivoting: step k computes 1/a[k,k], multiplies row and column k
    by it, and updates the rest by (n-1)² products."""
    name, n, _ = _matrix(call)
    return _times(call, name, inverse_counts(n))


@rule("aten._linalg_det")
def determinant(call: OpCall) -> OperatorWork:
    """LU and the product of its diagonal."""
    name, n, _ = _matrix(call)
    return _times(call, name, lu_counts(n, n), {"mul": max(n - 1, 0)})


@rule("aten._linalg_slogdet")
def log_determinant(call: OpCall) -> OperatorWork:
    """LU, the signs of its diagonal and the sum of the logarithms of its magnitudes."""
    name, n, _ = _matrix(call)
    also = {"abs": n, "transcendental": n, "compare": n, "mul": max(n - 1, 0), "add": max(n - 1, 0)}
    return _times(call, name, lu_counts(n, n), also)


@rule("aten.geqrf")
def householder(call: OpCall) -> OperatorWork:
    """A: [m, n] to R and vectors v. Step k: β = -sign(x₀)·‖x‖, τ = (β - x₀)/β, v = x/(x₀ - β); then each of
    n-k-1 columns takes w = τ·(vᵀa) and a - w·v."""
    name, m, n = _matrix(call)
    return _times(call, name, reflector_counts(m, n))


@rule("aten.linalg_householder_product", "aten.orgqr")
def householder_product(call: OpCall) -> OperatorWork:
    """The first n columns of the product of k reflectors."""
    name, m, n = _matrix(call)
    return _times(call, name, orthogonal_counts(m, call.shape("tau")[-1], n))


@rule("aten.ormqr")
def multiply_by_reflectors(call: OpCall) -> OperatorWork:
    """k reflectors applied to every column (or row) of `other`."""
    x, other, k = call.tensor("self"), call.tensor("input2"), call.shape("input2")[-1]
    m = x.shape[-2]
    lines = call.tensor("input3").numel // max(m, 1)
    work = sum(2 * (m - i) - 1 for i in range(min(k, x.shape[-1]))) * lines
    return OperatorWork(other=OpCounts.of(other.number_format, mul=work, add=work))


@rule("aten.linalg_qr")
def qr(call: OpCall) -> OperatorWork:
    """Reflectors; for "reduced" or "complete" also their product into min(m, n) or m columns."""
    name, m, n = _matrix(call)
    mode = str(call.args.get("mode", "reduced"))
    k = min(m, n)
    also = {} if mode == "r" else orthogonal_counts(m, k, k if mode == "reduced" else m)
    return _times(call, name, reflector_counts(m, n), also)


def _flops(n: float) -> dict[str, int]:
    """An estimate of n flops as half multiplications and half additions."""
    return {"mul": math.ceil(n / 2), "add": math.ceil(n / 2)}


@rule("aten._linalg_eigh")
def symmetric_eigen(call: OpCall) -> OperatorWork:
    """9·n³ flops with vectors, 4/3·n³ without (section 8.3)."""
    name, n, _ = _matrix(call)
    return _times(call, name, _flops(9 * n**3 if call.args.get("compute_v", True) else 4 * n**3 / 3))


@rule("aten.linalg_eig", "aten._linalg_eigvals", "aten.linalg_eigvals")
def eigen(call: OpCall) -> OperatorWork:
    """25·n³ flops with vectors, 10·n³ without (section 7.5)."""
    name, n, _ = _matrix(call)
    return _times(call, name, _flops((10 if call.name.endswith("vals") else 25) * n**3))


@rule("aten._linalg_svd")
def singular_values(call: OpCall) -> OperatorWork:
    """m ≥ n: 4·m·n² - 4/3·n³ flops for values alone, 14·m·n² + 8·n³ for the thin factors,
    4·m²·n + 8·m·n² + 9·n³ for the full ones (section 8.6, Golub and Reinsch)."""
    name, rows, columns = _matrix(call)
    m, n = max(rows, columns), min(rows, columns)
    if not call.args.get("compute_uv", True):
        return _times(call, name, _flops(4 * m * n**2 - 4 * n**3 / 3))
    if call.args.get("full_matrices"):
        return _times(call, name, _flops(4 * m**2 * n + 8 * m * n**2 + 9 * n**3))
    return _times(call, name, _flops(14 * m * n**2 + 8 * n**3))


@rule("aten.linalg_lstsq")
def least_squares(call: OpCall) -> OperatorWork:
    """Householder QR of A (or of its transpose), Qᵀ applied to B, back substitution."""
    name, m, n = _matrix(call)
    high, low = max(m, n), min(m, n)
    columns = _columns(call, "b" if "b" in call.args else "B", n)
    applied = columns * sum(2 * (high - i) - 1 for i in range(low))
    solved = triangular_counts(low, columns)
    also = {key: solved[key] + (applied if key in ("mul", "add") else 0) for key in solved}
    return _times(call, name, reflector_counts(high, low), also)


@rule("aten.linalg_pinv")
def pseudo_inverse(call: OpCall) -> OperatorWork:
    """V·(1/s)·Uᵀ from the thin singular value decomposition."""
    name, rows, columns = _matrix(call)
    m, n = max(rows, columns), min(rows, columns)
    also = {"mul": m * n * n + n * n, "add": m * n * max(n - 1, 0), "divide": n, "compare": n}
    return _times(call, name, _flops(14 * m * n**2 + 8 * n**3), also)


@rule("aten.linalg_matrix_exp")
def matrix_exponential(call: OpCall) -> OperatorWork:
    """Padé of degree 6 without scaling: 6 matrix products and a solve, 2·(6 + 1/3)·n³ flops (section 9.3)."""
    name, n, _ = _matrix(call)
    return _times(call, name, _flops(2 * (6 + 1 / 3) * n**3))


@rule("aten.linalg_ldl_factor_ex")
def ldl(call: OpCall) -> OperatorWork:
    """A = L·D·Lᵀ with symmetric pivoting: n³/3 flops (section 4.4)."""
    name, n, _ = _matrix(call)
    products = (n**3 - n) // 6
    return _times(
        call,
        name,
        {"mul": products + n * (n - 1) // 2, "add": products, "divide": n * (n - 1) // 2},
        {"compare": n * (n - 1) // 2, "abs": n * (n + 1) // 2},
    )


@rule("aten.linalg_ldl_solve")
def ldl_solve(call: OpCall) -> OperatorWork:
    """Two substitutions by the unit triangle and n divisions for each right-hand side."""
    n, b = call.shape("LD")[-1], call.tensor("B")
    columns = b.shape[-1]
    one = OpCounts.of(b.number_format, **triangular_counts(n, columns, unit=True)) * 2
    one += OpCounts.of(b.number_format, divide=n * columns)
    return OperatorWork(other=one * math.prod(call.output.shape[:-2]))


@rule("aten.linalg_cross")
def cross(call: OpCall) -> OperatorWork:
    """Three components for every pair of vectors: a difference of two products each."""
    out = call.output
    return OperatorWork(other=OpCounts.of(out.number_format, mul=2 * out.numel, add=out.numel))
