"""Singular values and eigenvalues without vectors: their own work, unless gradients need the vectors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import addercost
from addercost.counts.model import count

M, N = 5, 3


class Calls(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def products(function, rows: int, columns: int, **options) -> int:
    """Multiplications. In Golub and Van Loan's estimates they are half of the flops."""
    trace = addercost.trace_model(Calls(function), torch.zeros(rows, columns), **options)
    return count(trace).total.by_class()["mul"]


VALUES = math.ceil((4 * M * N**2 - 4 * N**3 / 3) / 2)
THIN = math.ceil((14 * M * N**2 + 8 * N**3) / 2)


@pytest.mark.parametrize(
    ("function", "rows", "columns", "expected"),
    [
        pytest.param(torch.linalg.svdvals, M, N, VALUES, id="svdvals"),
        pytest.param(lambda x: torch.linalg.matrix_norm(x, 2), M, N, VALUES, id="spectral-norm"),
        pytest.param(lambda x: torch.linalg.matrix_norm(x, "nuc"), M, N, VALUES, id="nuclear-norm"),
        pytest.param(torch.linalg.eigvals, M, M, math.ceil(10 * M**3 / 2), id="eigvals"),
        pytest.param(torch.linalg.eigvalsh, M, M, math.ceil(4 * M**3 / 3 / 2), id="eigvalsh"),
        pytest.param(lambda x: torch.linalg.svd(x, full_matrices=False).S, M, N, THIN, id="svd"),
        pytest.param(lambda x: torch.linalg.eig(x)[0], M, M, math.ceil(25 * M**3 / 2), id="eig"),
        pytest.param(lambda x: torch.linalg.eigh(x)[0], M, M, math.ceil(9 * M**3 / 2), id="eigh"),
    ],
)
def test_vectors_are_counted_where_they_are_wanted(function, rows: int, columns: int, expected: int) -> None:
    assert products(function, rows, columns) == expected


def test_gradients_want_the_vectors() -> None:
    trace = addercost.trace_model(
        Calls(torch.linalg.svdvals), torch.zeros(M, N, requires_grad=True), backward=True
    )
    [decomposition] = [call for call in trace.calls if call.op == "aten._linalg_svd.default"]
    assert decomposition.args["compute_uv"] is True


def test_torch_computes_as_before() -> None:
    """The kernels of the trace are gone after it."""
    products(torch.linalg.svdvals, M, N)
    x = torch.randn(M, N, requires_grad=True)
    values = torch.linalg.svdvals(x)
    torch.testing.assert_close(values, torch.linalg.svd(x).S)
    values.sum().backward()
    assert x.grad is not None and not torch._C._dispatch_has_kernel_for_dispatch_key(
        "aten::linalg_svdvals", "AutogradMeta"
    )
