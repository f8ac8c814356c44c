"""Sparse operands: products of the values that are stored, whichever layout stores them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.sparse import SparseSemiStructuredTensorCUTLASS
from torch.sparse._semi_structured_conversions import sparse_semi_structured_from_dense_cutlass
from torch.utils.checkpoint import checkpoint

from addercost.api import trace_model
from addercost.arithmetic import OpClass, OpCounts
from addercost.counts.call_work import work_of
from addercost.counts.model import ModelCounts, count
from addercost.counts.peak_memory import memory_of
from addercost.results.trace import trace_from_json, trace_to_json
from addercost.trace.record import OpCall, TensorSpec
from tests.counts.oracle import Function

N, COLUMNS = 8, 3
warnings.filterwarnings("ignore", message="Sparse CSR tensor support")


def pattern() -> Tensor:
    """A diagonal and one more value, in the first of four blocks of 4 × 4; two blocks have values."""
    dense = torch.eye(N)
    dense[0, 3] = 1
    return dense


LAYOUTS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "csr": (Tensor.to_sparse_csr, N + 1),
    "csc": (Tensor.to_sparse_csc, N + 1),
    "coo": (Tensor.to_sparse_coo, N + 1),
    "bsr": (lambda t: t.to_sparse_bsr((4, 4)), 2 * 16),
    "bsc": (lambda t: t.to_sparse_bsc((4, 4)), 2 * 16),
}
"""(how it is made, values that it stores): a block is stored whole."""


class Held(nn.Module):
    """One product with a sparse matrix that the module holds."""

    def __init__(self, matrix: Tensor, parameter: bool, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        if parameter:
            self.matrix = nn.Parameter(matrix)
        else:
            self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.matrix, x)


def counted(model: nn.Module, *args: Tensor, **options: Any) -> ModelCounts:
    counts = count(trace_model(model, *args, **options))
    assert counts.complete, counts.uncounted
    return counts


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("place", ["input", "input of sparse.mm", "buffer", "weight", "linear", "sparse.mm"])
def test_sites_are_the_stored_values_times_the_columns(layout: str, place: str) -> None:
    make, stored = LAYOUTS[layout]
    matrix, x = make(pattern()), torch.zeros(N, COLUMNS)
    if place == "input":
        counts = counted(Function(lambda a, b: a @ b), matrix, x)
    elif place == "input of sparse.mm":
        counts = counted(Function(torch.sparse.mm), matrix, x)
    elif place == "linear":
        counts = counted(Held(matrix, True, lambda a, b: F.linear(b, a)), x.t().contiguous())
    else:
        multiply = torch.sparse.mm if place == "sparse.mm" else torch.matmul
        counts = counted(Held(matrix, place != "buffer", multiply), x)
    assert counts.mac_sites == stored * COLUMNS


def test_bytes_are_those_of_values_and_indices() -> None:
    (layer,) = counted(
        Function(lambda a, b: a @ b), pattern().to_sparse_csr(), torch.zeros(N, COLUMNS)
    ).layers
    # CSR: a column for each of N + 1 values and N + 1 starts of rows, in 64 bits.
    matrix = 4 * (N + 1) + 8 * (N + 1) + 8 * (N + 1)
    assert layer.bytes_read == matrix + 4 * N * COLUMNS


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("place", ["weight", "buffer", "input", "linear", "twice", "checkpointed"])
def test_gradients_through_a_sparse_matrix(layout: str, place: str) -> None:
    """Each of three products has the stored values times the columns: the forward, the gradient of x by the
    transposed matrix, and the matrix's own gradient, which has its stored values alone. A buffer has none.
    """
    make, stored = LAYOUTS[layout]
    matrix, x = make(pattern()), torch.zeros(N, COLUMNS)
    products = 3
    if place == "input":
        made = trace_model(Function(lambda a, b: a @ b), matrix, x, backward=True)
    else:
        functions: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], int]] = {
            "weight": (torch.matmul, 3),
            "buffer": (torch.matmul, 2),
            "linear": (lambda a, b: F.linear(b.t(), a), 3),
            "twice": (lambda a, b: a @ (a @ b), 6),
            # The backward repeats the forward.
            "checkpointed": (
                lambda a, b: checkpoint(lambda m, c: (m @ c).relu(), a, b, use_reentrant=False),
                4,
            ),
        }
        function, products = functions[place]
        made = trace_model(Held(matrix, place != "buffer", function), x, backward=True)
    counts = count(made)
    assert counts.complete, counts.uncounted
    assert counts.mac_sites == products * stored * COLUMNS


@pytest.mark.parametrize("layout", ["csr", "coo"])
def test_gradients_of_torchs_sparse_product(layout: str) -> None:
    make, stored = LAYOUTS[layout]
    held = Held(make(pattern()), True, torch.sparse.mm)
    assert counted(held, torch.zeros(N, COLUMNS), backward=True).mac_sites == 3 * stored * COLUMNS


def test_gradients_of_dense_operands_beside_a_sparse_one_are_whole() -> None:
    """y = (S·x)·w with S of 9 stored values, x: [8, 3], w: [3, 5]: S·x and its two gradients take 9·3 sums
    each, the product with w and its two gradients 8·3·5.
    """
    held = Held(pattern().to_sparse_csr(), True, lambda a, b: a @ b[:, :COLUMNS] @ b[:COLUMNS])
    counts = counted(held, torch.zeros(N, COLUMNS + 2), backward=True)
    assert counts.mac_sites == 3 * (N + 1) * COLUMNS + 3 * N * COLUMNS * (COLUMNS + 2)


def two_patterns() -> tuple[Tensor, Tensor, int, int]:
    """Matrices of [4, 6] and [6, 5] with values at chance places, and by loops over their elements: in how
    many sums of a product a value of one meets one of the other, and in how many places of the product.
    """
    at_random = torch.Generator().manual_seed(5)
    a, b = ((torch.rand(shape, generator=at_random) < 0.4).float() for shape in ((4, 6), (6, 5)))
    sums = [sum(int(a[i, k] and b[k, j]) for k in range(6)) for i, j in itertools.product(range(4), range(5))]
    return a, b, sum(sums), sum(map(bool, sums))


PRODUCTS_OF_TWO: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "csr": (Tensor.to_sparse_csr, torch.mm),
    "csr, sparse.mm": (Tensor.to_sparse_csr, torch.sparse.mm),
    "csc": (Tensor.to_sparse_csc, torch.mm),
    "coo": (Tensor.to_sparse_coo, torch.mm),
    "coo, sparse.mm": (Tensor.to_sparse_coo, torch.sparse.mm),
    "as a sum": (Tensor.to_sparse_csr, lambda a, b: torch.addmm(torch.zeros(4, 5).to_sparse_csr(), a, b)),
}


@pytest.mark.parametrize("place", ["inputs", "buffer", "weight"])
@pytest.mark.parametrize(("make", "multiply"), PRODUCTS_OF_TWO.values(), ids=PRODUCTS_OF_TWO)
def test_a_product_of_two_sparse_matrices_has_the_values_that_meet(
    make: Callable[[Tensor], Tensor], multiply: Callable[[Tensor, Tensor], Tensor], place: str
) -> None:
    a, b, sites, sums = two_patterns()
    if place == "inputs":
        counts = counted(Function(multiply), make(a), make(b))
    else:
        counts = counted(Held(make(a), place == "weight", multiply), make(b))
    assert counts.mac_sites == sites
    assert counts.total == OpCounts.of("fp32", mul=sites, add=sites - sums)


@pytest.mark.parametrize("dense", [True, False], ids=["made dense", "sparse output"])
@pytest.mark.parametrize("name", ["csr", "coo", "coo, sparse.mm"])
def test_gradients_of_a_product_of_two_sparse_matrices(name: str, dense: bool) -> None:
    """Each pair of values that meets gives one product to the gradient of either value."""
    make, multiply = PRODUCTS_OF_TWO[name]
    a, b, sites, sums = two_patterns()
    function = Function(lambda m, x: multiply(m, x).to_dense() if dense else multiply(m, x))
    made = trace_model(function, make(a), make(b), backward=True)
    counts = count(made)
    assert counts.complete, counts.uncounted
    assert counts.mac_sites == 3 * sites
    # A sum in each place of the product, and for each value that is stored.
    assert counts.total[OpClass.ADD] == 3 * sites - sums - int(a.sum() + b.sum())


def test_what_follows_a_product_of_two_sparse_matrices_is_counted_by_its_values() -> None:
    a, b, sites, sums = two_patterns()
    chain = Function(lambda m, n, x: torch.relu(m @ n) @ x)
    counts = counted(chain, a.to_sparse_csr(), b.to_sparse_csr(), torch.zeros(5, COLUMNS))
    assert counts.mac_sites == sites + sums * COLUMNS


def test_a_large_sparse_matrix_does_not_need_the_memory_of_a_dense_one() -> None:
    """All elements of a million rows and columns would take 4 TB. This matrix stores four of them."""
    places, n = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]), 1_000_000
    matrix = torch.sparse_coo_tensor(places, torch.ones(4), (n, n)).coalesce()
    assert counted(Held(matrix, False, lambda m, x: torch.sparse.mm(m, x)), matrix).mac_sites == 4


def test_two_sparse_operands_without_data_make_a_lower_bound() -> None:
    a = TensorSpec((4, 4), "float32", stored=(5, 40))
    call = OpCall("aten.mm.default", "", {"self": a, "mat2": a}, (a,), 0)
    assert work_of(call) is None


def test_an_operator_that_looks_at_every_element_is_not_counted_on_a_sparse_tensor() -> None:
    a = TensorSpec((4, 4), "float32", stored=(5, 40))
    assert work_of(OpCall("aten.exp.default", "", {"self": a}, (a,), 0, ("pointwise",))) is None


def test_semi_structured_weights_have_half_of_the_products() -> None:
    """w: [16, 32], two values of every four kept in [16, 16 + 2] with their places; x: [32, 5]."""
    w, x = TensorSpec((16, 18), "float16", "parameter"), TensorSpec((32, 5), "float16")
    call = OpCall(
        "aten._sparse_semi_structured_mm.default",
        "",
        {"mat1": w, "mat1_meta": TensorSpec((16, 2), "int16"), "mat2": x},
        (TensorSpec((16, 5), "float16"),),
        0,
    )
    work = work_of(call)
    assert work is not None and work.mac_sites == 16 * 16 * 5


def test_a_saved_trace_keeps_what_is_stored() -> None:
    made = trace_model(Function(lambda a, b: a @ b), pattern().to_sparse_csr(), torch.zeros(N, COLUMNS))
    assert trace_from_json(trace_to_json(made)) == made


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_density_is_a_share_of_the_weights(share: float) -> None:
    model = nn.Sequential(nn.Linear(10, 20, bias=False), nn.ReLU(), nn.Linear(20, 30, bias=False))
    made = trace_model(model, torch.zeros(4, 10))
    counts = count(made, what_if=[f"density={share}"])
    assert counts.mac_sites == 4 * (round(share * 200) + round(share * 600))


def test_without_sparse_operands_nothing_changes() -> None:
    made = trace_model(nn.Linear(3, 4), torch.zeros(2, 3))
    assert count(made).total == OpCounts.of("fp32", mul=24, add=24)


def semi_structured(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """The last two of every four values are stored, as a checkpoint from a GPU has them."""
    dense = torch.tensor([0, 0, 1, 1] if dtype is not torch.float32 else [0, 1]).repeat(rows, columns)
    packed, places = sparse_semi_structured_from_dense_cutlass(dense[:, :columns].to(dtype))
    return SparseSemiStructuredTensorCUTLASS(
        torch.Size((rows, columns)), packed, places, None, None, None, requires_grad=False
    )


@pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor")
@pytest.mark.parametrize("place", ["linear", "matmul", "input", "needs values"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_semi_structured_tensors_of_a_model(place: str, dtype: torch.dtype) -> None:
    """w: [64, 128], of which half is stored; five vectors. Two bits say where a stored value of 16 bits is,
    and four bits where one of 32 is.
    """
    w, x = semi_structured(64, 128, dtype), torch.zeros(5, 128, dtype=dtype)
    sites = 5 * 64 * 128 // 2

    def as_linear(m: Tensor, v: Tensor) -> Tensor:
        return F.linear(v, m)

    if place == "input":
        made = trace_model(Function(as_linear), w, x)
    elif place == "needs values":
        made = trace_model(Held(w, False, lambda m, v: F.linear(v, m) if v.mm(v.t()).sum() == 0 else v), x)
        assert made.tracer == "real"
        sites += 5 * 128 * 5
    else:
        function = as_linear if place == "linear" else lambda m, v: m @ v.t()
        made = trace_model(Held(w, True, function), x)
    counts = count(made)
    assert counts.complete and counts.mac_sites == sites
    if place == "linear":
        half, bits = 64 * 128 // 2, 2 if dtype.itemsize == 2 else 4
        weight = half * dtype.itemsize + half * bits // 8
        assert counts.layers[0].bytes_read == weight + 5 * 128 * dtype.itemsize


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_of_a_sparse_weight_is_what_it_stores(layout: str) -> None:
    make, stored = LAYOUTS[layout]
    matrix = make(pattern())
    memory = memory_of(trace_model(Held(matrix, True, torch.matmul), torch.zeros(N, COLUMNS), memory=True))
    indices = {"csr": 9 + 9, "csc": 9 + 9, "coo": 2 * 9, "bsr": 3 + 2, "bsc": 3 + 2}[layout]
    assert memory is not None and memory.weight_bytes == 4 * stored + 8 * indices


def stored_in_rows(dtype: torch.dtype = torch.float32) -> Tensor:
    """Seven values in four rows of a matrix of [4, 8]: 1, 1, 2 and 3 of them."""
    dense = torch.zeros(4, 8, dtype=dtype)
    for row, columns in enumerate(([1], [7], [0, 4], [2, 3, 6])):
        dense[row, columns] = 1
    return dense.to_sparse_coo()


ROWS: dict[str, tuple[Callable[[Tensor], Tensor], OpCounts]] = {
    # In rows of n: n - 1 compares, n subtractions, n exponentials, n - 1 additions, n divisions.
    "softmax": (
        lambda a: torch.sparse.softmax(a, 1),
        OpCounts.of("fp32", compare=3, add=7 + 3, transcendental=7, divide=7),
    ),
    # The logarithm of a row's sum is added to its maximum, and the result subtracted n times.
    "log_softmax": (
        lambda a: torch.sparse.log_softmax(a, 1),
        OpCounts.of("fp32", compare=3, add=7 + 3 + 4 + 7, transcendental=7 + 4),
    ),
    "by a number": (lambda a: a * 2.0, OpCounts.of("fp32", mul=7)),
    "by a dense matrix": (lambda a: a * torch.ones(4, 8), OpCounts.of("fp32", mul=7)),
    "function": (torch.tanh, OpCounts.of("fp32", transcendental=7)),
    "sum of all": (torch.sparse.sum, OpCounts.of("fp32", add=6)),
    "sum of rows": (lambda a: torch.sparse.sum(a, 1), OpCounts.of("fp32", add=3)),
    "sum of two": (lambda a: a + a, OpCounts.of("fp32", add=7)),
    "product of two": (lambda a: a * a, OpCounts.of("fp32", mul=7)),
    "dense": (Tensor.to_dense, OpCounts()),
    "values": (lambda a: a.values() * a.values(), OpCounts.of("fp32", mul=7)),
}


@pytest.mark.parametrize(("function", "expected"), ROWS.values(), ids=ROWS)
def test_what_is_computed_of_the_stored_values(
    function: Callable[[Tensor], Tensor], expected: OpCounts
) -> None:
    assert counted(Function(function), stored_in_rows()).total == expected


CHAINS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda a: torch.sparse.softmax(a, 1),
    "by a number": lambda a: a * 2.0,
    "function": torch.relu,
    "mask": lambda a: torch.ones(4, 8, device=a.device).sparse_mask(a),
    "sum of two": lambda a: a + a,
    "made anew": lambda a: torch.sparse_coo_tensor(a.indices(), a.values() * 2, a.shape),
    "other layout": Tensor.to_sparse_csr,
    "part of a pair": lambda a: torch.cat([a, torch.zeros(4, 8, device=a.device).to_sparse_coo()]),
}


@pytest.mark.parametrize("function", CHAINS.values(), ids=CHAINS)
def test_a_product_with_a_sparse_result_has_its_stored_values(function: Callable[[Tensor], Tensor]) -> None:
    """Of seven values and three columns: no run without data may take the result for an empty one."""
    made = Function(lambda a, x: torch.mm(function(a), x))
    assert counted(made, stored_in_rows(), torch.zeros(8, 3)).mac_sites == 7 * 3


def test_gradients_of_a_sparse_softmax() -> None:
    """y·(g - Σ g·y) of seven values in four rows, between the three products of seven values."""
    made = Function(lambda a, x: torch.sparse.mm(torch.sparse.softmax(a, 1), x))
    counts = count(trace_model(made, stored_in_rows(), torch.zeros(8, 3), backward=True))
    (backward,) = [
        work_of(call)
        for call in trace_model(made, stored_in_rows(), torch.zeros(8, 3), backward=True).calls
        if call.name == "aten._sparse_softmax_backward_data"
    ]
    assert counts.complete
    assert backward is not None and backward.other == OpCounts.of("fp32", mul=14, add=7 + 3)


def test_values_of_the_same_place_are_added_up() -> None:
    """Five values, of which two and two have a place in common."""
    places = torch.tensor([[0, 0, 1, 1, 3], [2, 2, 5, 5, 0]])
    twice = torch.sparse_coo_tensor(places, torch.ones(5), (4, 8))
    made = Function(lambda a: a.coalesce().to_dense())
    assert counted(made, twice).total == OpCounts.of("fp32", add=2)
