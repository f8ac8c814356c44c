"""Rules without a loop (sorts, spectral methods, random numbers, CTC), against their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from addercost.counts.rules.ordering import merge_sort_compares, selection_compares
from addercost.counts.rules.random_numbers import philox_counts
from tests.counts.oracle import counted, traced

MATRICES = torch.eye(4).expand(2, 3, 4, 4) * 2


def operations(function: Callable[..., Any], *inputs: Tensor) -> dict[str, int]:
    return {kind: n for kind, n in counted(traced(function, *inputs).calls).by_class().items() if n}


@pytest.mark.parametrize("n", range(40))
def test_a_sort_compares_as_often_as_its_recursion(n: int) -> None:
    """Two halves, and one comparison less than elements to merge them."""

    def worst(length: int) -> int:
        return 0 if length < 2 else worst(length // 2) + worst(length - length // 2) + length - 1

    assert merge_sort_compares(n) == worst(n)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 20])
def test_a_selection_plays_a_tournament(n: int) -> None:
    """The largest of n takes n - 1 comparisons; each next one replays a path of the tree of those that are
    left, whose first place is not played for."""
    found = [selection_compares(n, t) for t in range(n + 2)]
    assert found[:2] == [0, n - 1]
    for t in range(1, n):
        assert found[t + 1] - found[t] == math.ceil(math.log2(n + 1 - t)) - 1
    assert found[n + 1] == found[n]


@pytest.mark.parametrize(
    ("function", "flops"),
    [
        pytest.param(torch.linalg.eigh, 9 * 4**3, id="eigh"),
        pytest.param(lambda x: torch.ops.aten._linalg_eigh(x, "L", False), 4 * 4**3 / 3, id="eigvalsh"),
        pytest.param(torch.linalg.eig, 25 * 4**3, id="eig"),
        pytest.param(torch.ops.aten._linalg_eigvals, 10 * 4**3, id="eigvals"),
        pytest.param(torch.linalg.matrix_exp, 2 * (6 + 1 / 3) * 4**3, id="matrix_exp"),
    ],
)
def test_spectral_methods_count_the_textbooks_flops(function: Callable[..., Any], flops: float) -> None:
    """Half of them products and half sums, for each of six matrices of 4 x 4. Golub and Van Loan, Matrix
    Computations, sections 7.5, 8.3 and 9.3."""
    half = 6 * math.ceil(flops / 2)
    assert operations(function, MATRICES) == {"mul": half, "add": half}


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 5, 3)])
@pytest.mark.parametrize(
    ("function", "flops"),
    [
        pytest.param(
            lambda x: torch.ops.aten._linalg_svd(x, False, False), 4 * 5 * 9 - 4 * 27 / 3, id="values"
        ),
        pytest.param(lambda x: torch.linalg.svd(x, full_matrices=False), 14 * 5 * 9 + 8 * 27, id="thin"),
        pytest.param(torch.linalg.svd, 4 * 25 * 3 + 8 * 5 * 9 + 9 * 27, id="full"),
    ],
)
def test_singular_values_count_the_textbooks_flops(
    function: Callable[..., Any], flops: float, shape: tuple[int, ...]
) -> None:
    """Of m x n with m the longer side, 5, and n the shorter, 3; section 8.6 of the same book."""
    half = math.prod(shape[:-2]) * math.ceil(flops / 2)
    assert operations(function, torch.rand(shape)) == {"mul": half, "add": half}


def test_a_symmetric_factor_and_its_solution() -> None:
    """n = 4. Column j of L divides the n - j numbers below the diagonal, and takes its products off the
    triangle behind it: Σ r(r + 1)/2 = 1 + 3 + 6 of them; the factors times the diagonal are 3 + 2 + 1 more.
    Two substitutions are 6 products and sums each for a column, and a division a row stands between them."""
    factor = operations(torch.linalg.ldl_factor, MATRICES)
    assert {kind: factor[kind] for kind in ("mul", "add", "divide")} == {
        "mul": 6 * 16,
        "add": 6 * 10,
        "divide": 6 * 6,
    }
    pivots = torch.arange(1, 5, dtype=torch.int32).expand(2, 3, 4)
    solved = operations(torch.linalg.ldl_solve, MATRICES, pivots, torch.rand(2, 3, 4, 5))
    columns = 2 * 3 * 5
    assert solved == {"mul": 12 * columns, "add": 12 * columns, "divide": 4 * columns}


@pytest.mark.parametrize("n", [0, 1, 4, 5, 9])
def test_philox_makes_four_numbers_in_ten_rounds(n: int) -> None:
    """A round is two products whose upper and lower halves are kept, hence 2 · 10 products, and two exclusive
    ors for each of two words (4 · 10); the key of two words is raised between rounds (2 · 9). Salmon et al.,
    Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011."""
    blocks = math.ceil(n / 4)
    expected = {"mul": 2 * 10 * blocks, "logic": 4 * 10 * blocks, "add": 2 * 9 * blocks}
    found = philox_counts(n).by_class()
    assert {kind: found.get(kind, 0) for kind in expected} == expected


DRAWN: dict[str, tuple[Callable[[Tensor], Any], int, dict[str, int]]] = {
    "uniform": (lambda x: x.clone().uniform_(2, 3), 9, {"mul": 2, "add": 1}),
    "bernoulli": (lambda x: x.clone().bernoulli_(0.5), 9, {"mul": 1, "compare": 1}),
    "exponential": (
        lambda x: x.clone().exponential_(), 9, {"mul": 1, "transcendental": 1, "add": 1, "divide": 1}
    ),
    "geometric": (
        lambda x: x.clone().geometric_(0.5), 9, {"mul": 1, "transcendental": 1, "add": 1, "divide": 1}
    ),
    "cauchy": (lambda x: x.clone().cauchy_(), 9, {"mul": 3, "transcendental": 1, "add": 2}),
    "random slopes": (
        lambda x: torch.nn.functional.rrelu(x, training=True), 9, {"mul": 3, "compare": 1, "add": 1}
    ),
}  # fmt: skip
"""(function, uniform numbers that it draws for nine elements, operations an element): each uniform number is
scaled by one product."""


@pytest.mark.parametrize("name", DRAWN)
def test_random_numbers_count_their_formula(name: str) -> None:
    function, uniform, element = DRAWN[name]
    expected = philox_counts(uniform).by_class()
    for kind, n in element.items():
        expected[kind] = expected.get(kind, 0) + 9 * n
    assert operations(function, torch.zeros(9)) == {kind: n for kind, n in expected.items() if n}


@pytest.mark.parametrize(
    ("function", "also"),
    [
        pytest.param(torch.randn_like, {}, id="standard"),
        pytest.param(lambda x: x.clone().normal_(1, 2), {"mul": 9, "add": 9}, id="of a mean and a deviation"),
        pytest.param(
            lambda x: x.clone().log_normal_(), {"mul": 9, "add": 9, "transcendental": 9}, id="log-normal"
        ),
    ],
)
def test_normal_numbers_come_in_pairs(function: Callable[[Tensor], Any], also: dict[str, int]) -> None:
    """Nine numbers are five pairs, from ten uniform numbers. A pair takes the logarithm, the cosine and the
    sine, a root, and the products by -2, by 2π and of the root with both."""
    expected = philox_counts(10).by_class()
    for kind, n in {"mul": 10 + 4 * 5, "transcendental": 3 * 5, "sqrt": 5}.items():
        expected[kind] = expected.get(kind, 0) + n
    for kind, n in also.items():
        expected[kind] += n
    assert operations(function, torch.zeros(9)) == {kind: n for kind, n in expected.items() if n}


@pytest.mark.parametrize("lengths", [(2, 3), (4, 4), (1, 0)])
def test_the_ctc_recursion(lengths: tuple[int, int]) -> None:
    """Every target of S symbols has 2·S + 1 states, and each of the T - 1 steps after the first sums three of
    them by logarithms: two comparisons, seven additions, three exponentials and a logarithm."""
    made = traced(
        lambda x: torch.ops.aten._ctc_loss(x, torch.zeros(2, 4, dtype=torch.long), [5, 5], list(lengths)),
        torch.rand(5, 2, 6),
    )
    cells = (5 - 1) * sum(2 * n + 1 for n in lengths)
    found = {kind: n for kind, n in counted(made.calls).by_class().items() if n}
    assert found == {"compare": 2 * cells, "add": 7 * cells, "transcendental": 4 * cells}
