"""Reductions, pooling, sorting, norms and scattering, counted by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from addercost.arithmetic import OpCounts
from addercost.counts.work import OperatorWork, Sites
from tests.counts.by_hand.calls import call, emptied, ops, t, total, w, work

Row = tuple[str, Any, dict[str, Any], OperatorWork]
INF = math.inf


def row(id: str, op: str, out: Any, expected: OperatorWork, /, **args: Any) -> Any:
    return pytest.param(op, out, args, expected, id=f"{op.partition('.')[2]}-{id}")


MANY = [
    # Adding into places: 5 rows of 3 elements into 7 rows.
    row("plain", "aten.index_add", t(7, 3), ops(add=15), self=t(7, 3), index=t(5), source=t(5, 3), alpha=1),
    row("scaled", "aten.index_add", t(7, 3), ops(add=15, mul=15), self=t(7, 3), index=t(5), source=t(5, 3), alpha=2),
    row("by-index", "aten.scatter_add", t(7, 5), ops(add=6), self=t(7, 5), index=t(2, 3), src=t(4, 5)),
    row("mean", "aten.scatter_reduce", t(7, 5), ops(add=6, divide=35), index=t(2, 3), src=t(4, 5), reduce="mean"),
    row("sum", "aten.scatter_reduce", t(7, 5), ops(add=6), index=t(2, 3), src=t(4, 5), reduce="sum"),
    row("prod", "aten.scatter_reduce", t(7, 5), ops(mul=6), index=t(2, 3), src=t(4, 5), reduce="prod"),
    row("amax", "aten.scatter_reduce", t(7, 5), ops(compare=6), index=t(2, 3), src=t(4, 5), reduce="amax"),
    row("amin", "aten.index_reduce", t(7, 3), ops(compare=15), index=t(5), source=t(5, 3), reduce="amin"),
    row("prod", "aten.index_reduce", t(7, 3), ops(mul=15), index=t(5), source=t(5, 3), reduce="prod"),
    row("mean", "aten.index_reduce", t(7, 3), ops(add=15, divide=21), index=t(5), source=t(5, 3), reduce="mean"),
    row("copy", "aten.scatter", t(7, 5), ops(), index=t(2, 3), src=t(4, 5)),
    row("add", "aten.scatter", t(7, 5), ops(add=6), index=t(2, 3), src=t(4, 5), reduce="add"),
    row("multiply", "aten.scatter", t(7, 5), ops(mul=6), index=t(2, 3), src=t(4, 5), reduce="multiply"),
    row("copy", "aten.index_put", t(7, 3), ops(), self=t(7, 3), values=t(5, 3), accumulate=False),
    row("add", "aten.index_put", t(7, 3), ops(add=15), self=t(7, 3), values=t(5, 3), accumulate=True),
    row("copy", "aten.put", t(7, 3), ops(), self=t(7, 3), index=t(5), source=t(5)),
    row("add", "aten.put", t(7, 3), ops(add=5), self=t(7, 3), index=t(5), source=t(5), accumulate=True),
    row("adds", "aten._unsafe_masked_index_put_accumulate", t(7, 3), ops(add=6), self=t(7, 3), values=t(2, 3)),
    row("adds", "flex_lib.zeros_and_scatter", t(11), ops(add=15), vals=t(5, 3)),
    # Seven rows of three numbers into two sums: 21 - 6 additions.
    row("sum", "aten._embedding_bag", t(2, 3), ops(add=15), weight=w(11, 3), indices=t(7), mode=0),
    row("mean", "aten._embedding_bag", t(2, 3), ops(add=15, divide=6), weight=w(11, 3), indices=t(7), mode=1),
    row("max", "aten._embedding_bag", t(2, 3), ops(compare=15), weight=w(11, 3), indices=t(7), mode=2),
    row("weighted", "aten._embedding_bag", t(2, 3), ops(add=15, mul=21), weight=w(11, 3), indices=t(7), per_sample_weights=t(7)),
    row("empty-bag", "aten._embedding_bag", t(2, 3), ops(), weight=w(11, 3), indices=t(1)),
    row("ones", "aten.bincount", t(9, dtype="int64"), ops("int64", add=7), self=t(7, dtype="int64")),
    row("weights", "aten.bincount", t(9), ops(add=7), self=t(7, dtype="int64"), weights=t(7)),
    # A value takes its low end off, is scaled, rounded down and compared twice; then its bin is raised.
    row("bins", "aten.histc", t(9), ops(add=45, mul=15, compare=30), self=t(3, 5)),
    row("points", "aten._histogramdd_from_bin_cts", t(9, 9, 9), ops(add=49, mul=21, compare=42), self=t(7, 3)),
    # A search among 5 edges takes three comparisons and among 9 four, for each of seven points.
    row("edges", "aten._histogramdd_from_bin_tensors", t(4, 8), ops(compare=49, add=7), self=t(7, 2), bins=(t(5), t(9))),
    row("ends", "aten._histogramdd_bin_edges", t(4), ops(compare=36), self=t(7, 3)),
    row("a-number", "aten._histogramdd_bin_edges", t(4), ops(), self=t()),
    row("rows", "aten.count_nonzero", t(3, dtype="int64"), OperatorWork(other=OpCounts.of("fp32", compare=15) + OpCounts.of("int64", add=12)), self=t(3, 5)),
    row("elements", "aten.nonzero", t(8, 2), ops(compare=15), self=t(3, 5)),
    row("sum", "aten.segment_reduce", t(2, 3), ops(add=15), data=t(7, 3), reduce="sum"),
    row("mean", "aten.segment_reduce", t(2, 3), ops(add=15, divide=6), data=t(7, 3), reduce="mean"),
    row("max", "aten.segment_reduce", t(2, 3), ops(compare=15), data=t(7, 3), reduce="max"),
    row("empty-segment", "aten.segment_reduce", t(2, 3), ops(), data=t(1, 3), reduce="sum"),
    # Reductions of 15 numbers to 3.
    row("rows", "aten.sum", t(3), ops(add=12), self=t(3, 5)),
    row("rows", "aten.mean", t(3), ops(add=12, divide=3), self=t(3, 5)),
    row("rows", "aten.prod", t(3), ops(mul=12), self=t(3, 5)),
    row("rows", "aten.amax", t(3), ops(compare=12), self=t(3, 5)),
    row("rows", "aten.aminmax", t(3), ops(compare=24), self=t(3, 5)),
    row("element-wise", "aten.max", t(3, 5), ops(compare=15), self=t(3, 5), other=t(5)),
    row("wide", "aten.trace", t(), ops(add=2), self=t(3, 5)),
    row("high", "aten.trace", t(), ops(add=2), self=t(5, 3)),
    row("one", "aten.trace", t(), ops(), self=t(1, 5)),
    row("rows", "aten.hash_tensor", t(3, dtype="uint64"), ops("uint64", logic=12), self=t(3, 5)),
    row("rows", "aten.all", t(3, dtype="bool"), ops("bool", logic=12), self=t(3, 5, dtype="bool")),
    # A mean (4 additions and a division a row), 5 differences and squares, their sum and a division.
    row("rows", "aten.var", t(3), ops(add=3 * (4 + 5 + 4), mul=15, divide=6), self=t(3, 5)),
    row("rows", "aten.std", t(3), ops(add=3 * (4 + 5 + 4), mul=15, divide=6, sqrt=3), self=t(3, 5)),
    row("rows", "aten.cumsum", t(3, 5), ops(add=12), self=t(3, 5), dim=1),
    row("columns", "aten.cumsum", t(3, 5), ops(add=10), self=t(3, 5), dim=0),
    row("a-number", "aten.cumsum", t(), ops(), self=t(), dim=0),
    row("columns", "aten.cumprod", t(3, 5), ops(mul=10), self=t(3, 5), dim=0),
    # Of a row: the maximum, five differences, exponentials and their sum, the logarithm, the maximum again.
    row("rows", "aten.logsumexp", t(3), ops(compare=12, add=3 * (5 + 4 + 1), transcendental=3 * 6), self=t(3, 5)),
    row("rows", "aten.logcumsumexp", t(3, 5), ops(compare=12, abs=12, add=36, transcendental=24), self=t(3, 5), dim=1),
    row("all", "aten.equal", t(), OperatorWork(other=OpCounts.of("fp32", compare=15) + OpCounts.of("bool", logic=14)), self=t(3, 5), other=t(3, 5)),
    row("none", "aten.equal", t(), ops(), self=t(0, 5), other=t(0, 5)),
    row("all", "aten.allclose", t(), OperatorWork(other=OpCounts.of("fp32", add=30, abs=30, mul=15, compare=15) + OpCounts.of("bool", logic=14)), self=t(3, 5), other=t(3, 5)),
    row("none", "aten.allclose", t(), ops(), self=t(0, 5), other=t(0, 5)),
    # Merge sort of 5 numbers: 8 comparisons; of 3: 3; of 15: 45.
    row("rows", "aten.sort", t(3, 5), ops(compare=24), self=t(3, 5), dim=1),
    row("columns", "aten.sort", t(3, 5), ops(compare=15), self=t(3, 5), dim=0),
    row("a-number", "aten.sort", t(), ops(), self=t(), dim=0),
    # The second of five: the largest in 4 comparisons, then the best of its at most 3 losers in 2.
    row("rows", "aten.topk", t(3, 2), ops(compare=18), self=t(3, 5), k=2, dim=1),
    row("second", "aten.kthvalue", t(3), ops(compare=18), self=t(3, 5), k=2, dim=1),
    row("fourth", "aten.kthvalue", t(3), ops(compare=18), self=t(3, 5), k=4, dim=1),
    row("rows", "aten.median", t(3), ops(compare=3 * (4 + 2 + 1)), self=t(3, 5), dim=1),
    row("all", "aten.median", t(), ops(compare=(4 + 2 + 1)), self=t(5)),
    row("rows", "aten.mode", t(3), ops(compare=3 * (8 + 4)), self=t(3, 5), dim=1),
    row("all", "aten._unique2", t(9), ops(compare=45 + 14), self=t(3, 5)),
    row("all", "aten.unique_consecutive", t(9), ops(compare=14), self=t(3, 5)),
    row("among-7", "aten.searchsorted", t(2, 3), ops(compare=18), sorted_sequence=t(2, 7), self=t(2, 3)),
    row("among-8", "aten.bucketize", t(5), ops(compare=20), self=t(5), boundaries=t(8)),
    row("a-number", "aten.searchsorted", t(5), ops(compare=5), sorted_sequence=t(), self=t(5)),
    row("rows", "aten.cummax", t(3, 5), ops(compare=12), self=t(3, 5), dim=1),
    # Six are sorted in 11 comparisons; a search among them takes 3, and one more finds whether it is there.
    row("both", "aten.isin", t(3, 5, dtype="bool"), ops(compare=11 + 15 * 4), elements=t(3, 5), test_elements=t(6)),
    row("one-element", "aten.isin", t(dtype="bool"), ops(compare=11 + 4), element=3, test_elements=t(6)),
    row("one-test", "aten.isin", t(3, 5, dtype="bool"), ops(compare=30), elements=t(3, 5), test_element=3),
    # 210 windows.
    row("2x3", "aten.max_pool2d_with_indices", t(2, 3, 5, 7), ops(compare=210 * 5), self=t(2, 3, 10, 21), kernel_size=(2, 3)),
    row("2", "aten.max_pool2d", t(2, 3, 5, 7), ops(compare=210 * 3), self=t(2, 3, 10, 14), kernel_size=(2,)),
    row("2", "aten.max_pool3d", t(1, 2, 3, 5, 7), ops(compare=210 * 7), self=t(1, 2, 6, 10, 14), kernel_size=2),
    row("3", "aten.max_pool1d", t(2, 3, 35), ops(compare=210 * 2), self=t(2, 3, 105), kernel_size=(3,)),
    row("1", "aten.max_pool2d", t(2, 3, 5, 7), ops(), self=t(2, 3, 5, 7), kernel_size=1),
    row("2x3", "aten.avg_pool2d", t(2, 3, 5, 7), ops(add=210 * 5, divide=210), self=t(2, 3, 10, 21), kernel_size=(2, 3)),
    # Three windows of seven pixels are 0..2, 2..4 and 4..6, two of five pixels are 0..2 and 2..4.
    row("7-to-3", "aten.adaptive_avg_pool1d", t(2, 11, 3), ops(add=22 * (9 - 3), divide=66), self=t(2, 11, 7), output_size=(3,)),
    row("5x7-to-2x3", "aten._adaptive_avg_pool2d", t(11, 2, 3), ops(add=11 * (6 * 9 - 6), divide=66), self=t(11, 5, 7), output_size=(2, 3)),
    row("5x7-to-2x3", "aten.adaptive_max_pool2d", t(11, 2, 3), ops(compare=11 * (6 * 9 - 6)), self=t(11, 5, 7), output_size=(2, 3)),
    # A softmax of 5: 4 comparisons, 5 differences, 5 exponentials, 4 additions, 5 divisions.
    row("rows", "aten._softmax", t(3, 5), ops(compare=12, add=27, transcendental=15, divide=15), self=t(3, 5), dim=1),
    row("columns", "aten._softmax", t(3, 5), ops(compare=10, add=25, transcendental=15, divide=15), self=t(3, 5), dim=0),
    row("a-number", "aten._softmax", t(), ops(add=1, transcendental=1, divide=1), self=t(), dim=0),
    row("no-columns", "aten._softmax", t(3, 0), ops(), self=t(3, 0), dim=1),
    row("no-columns", "aten._log_softmax", t(3, 0), ops(), self=t(3, 0), dim=1),
    row("images", "aten._cdist_forward", t(2, 3, 7), ops(add=42 * 5 + 42 * 4, abs=42 * 5), x1=t(2, 3, 5), x2=t(2, 7, 5), p=1),
    row("images", "aten._euclidean_dist", t(2, 3, 7), ops(add=42 * 5 + 42 * 4, mul=42 * 5, sqrt=42), x1=t(2, 3, 5), x2=t(2, 7, 5)),
    row("no-rows", "addercost.round_inputs", t(0, 5), ops(), input=t(0, 5)),
    row("rows", "aten._log_softmax", t(3, 5), ops(compare=12, add=3 * (5 + 4 + 1 + 5), transcendental=18), self=t(3, 5), dim=1),
    row("columns", "aten._log_softmax", t(3, 5), ops(compare=10, add=5 * (3 + 2 + 1 + 3), transcendental=20), self=t(3, 5), dim=0),
]  # fmt: skip


@pytest.mark.parametrize(("op", "out", "args", "expected"), MANY)
def test_counts_by_hand(op: str, out: Any, args: dict[str, Any], expected: OperatorWork) -> None:
    assert work(op, out, **args) == expected


@pytest.mark.parametrize(("op", "out", "args", "expected"), MANY)
def test_nothing_is_done_to_tensors_without_elements(
    op: str, out: Any, args: dict[str, Any], expected: OperatorWork
) -> None:
    made = emptied(call(op, out, **args))
    if made.output.shape and all(spec.shape for spec in made.tensors()):
        assert total(work(op, made.output, **made.args)) == 0


NORMS = {
    # 15 numbers in 3 rows: what each row takes, and what all elements take.
    2: {"mul": 15, "add": 12, "sqrt": 3},
    None: {"mul": 15, "add": 12, "sqrt": 3},
    1: {"abs": 15, "add": 12},
    INF: {"abs": 15, "compare": 12},
    -INF: {"abs": 15, "compare": 12},
    0: {"compare": 15, "add": 12},
    3: {"abs": 15, "transcendental": 18, "add": 12},
}


@pytest.mark.parametrize("order", NORMS)
def test_norms(order: Any) -> None:
    norm = OpCounts.of("fp32", **NORMS[order])
    assert work("aten.linalg_vector_norm", t(3), self=t(3, 5), ord=order).other == norm
    assert work("aten.norm", t(3), self=t(3, 5), p=order).other == norm
    differences = norm + OpCounts.of("fp32", add=15)
    if order is not None:
        assert work("aten._cdist_forward", t(1, 3), x1=t(1, 5), x2=t(3, 5), p=order).other == differences
        assert work("aten._pdist_forward", t(3), self=t(3, 5), p=order).other == differences
        slices = OpCounts.of("fp32", compare=3, add=3, divide=3, mul=15)
        assert work("aten.renorm", t(3, 5), self=t(3, 5), p=order, dim=0).other == norm + slices
        looked_up = {"self": w(11, 5), "norm_type": order}
        assert work("aten.embedding_renorm_", w(11, 5), indices=t(3), **looked_up).other == norm + slices
        few = {"self": w(3, 5), "norm_type": order}
        assert work("aten.embedding_renorm_", w(3, 5), indices=t(7), **few).other == norm + slices


def test_norms_of_2_are_the_usual_ones() -> None:
    expected = OpCounts.of("fp32", mul=15, add=12 + 15, sqrt=3)
    assert work("aten._euclidean_dist", t(1, 3), x1=t(1, 5), x2=t(3, 5)).other == expected
    assert work("aten._pdist_forward", t(3), self=t(3, 5)).other == expected
    assert work("aten.native_norm", t(), self=t(3, 5)).other == OpCounts.of("fp32", mul=15, add=14, sqrt=1)
    assert work("aten.dist", t(), self=t(3, 5), other=t(3, 5)).other == OpCounts.of(
        "fp32", mul=15, add=14 + 15, sqrt=1
    )


def test_norms_of_nothing() -> None:
    """Five results of rows without an element, and none of no rows."""
    assert not work("aten.linalg_vector_norm", t(5), self=t(5, 0)).other
    assert not work("aten._cdist_forward", t(5, 0), x1=t(5, 3), x2=t(0, 3), p=1).other
    assert work("aten._cdist_forward", t(5, 7), x1=t(5, 0), x2=t(7, 0), p=2).other == OpCounts.of(
        "fp32", sqrt=35
    )


def test_a_number_beside_a_tensor_does_not_set_the_format() -> None:
    """As torch's rules of types have it for a tensor without axes."""
    found = work("aten.mul", t(5, dtype="float16"), self=t(dtype="float32"), other=t(5, dtype="float16"))
    assert found == ops("fp16", mul=5)
    assert work("aten.mul", t(), self=t(), other=t()) == ops(mul=1)


def test_a_trilinear_product_sums_over_some_axes() -> None:
    """Factors of [2, 3], [3, 5] and [2, 5] as [2, 3, 1], [1, 3, 5] and [2, 1, 5]: 30 terms, each a product of
    two that goes with the third into one of 6 sums.
    """
    expansions = {"expand1": (2,), "expand2": (0,), "expand3": (1,)}
    found = work("aten._trilinear", t(2, 3), i1=t(2, 3), i2=t(3, 5), i3=t(2, 5), sumdim=(2,), **expansions)
    assert found == OperatorWork((Sites(count=30, outputs=6, inputs=6),), OpCounts.of("fp32", mul=30))


def test_a_trilinear_product_without_a_sum_has_no_site() -> None:
    expansions = {"expand1": (2,), "expand2": (0,), "expand3": (1,)}
    found = work("aten._trilinear", t(2, 3), i1=t(2, 3), i2=t(3, 5), i3=t(2, 5), sumdim=(), **expansions)
    assert found == ops(mul=60)


def norm_call(op: str, training: Any = None, affine: bool = True, running: bool = True) -> OpCounts:
    args: dict[str, Any] = {"input": t(2, 3, 5)}
    if affine:
        args |= {"weight": w(3), "bias": w(3)}
    if running:
        args |= {"running_mean": t(3)}
    if training is not None:
        args |= {"training": training}
    return work(op, t(2, 3, 5), **args).other


RUNNING = OpCounts.of("fp32", add=3, sqrt=3, divide=3) + OpCounts.of("fp32", mul=3 + 3 + 30, add=3 + 30)
"""Of three channels and 30 elements: 1/√(var + ε), γ·that, mean times that off β, and x·a + b."""
MOMENTS = OpCounts.of("fp32", add=3 * (9 + 10 + 9), mul=30, divide=6)
"""Of three channels with ten elements each: a mean, the differences, their squares' mean."""


def test_batch_norms() -> None:
    assert norm_call("aten.native_batch_norm", training=False) == RUNNING
    assert norm_call("aten._native_batch_norm_legit_no_training") == RUNNING
    assert norm_call("aten._batch_norm_no_update") == RUNNING
    assert norm_call("aten.native_batch_norm", training=True) == RUNNING + MOMENTS + OpCounts.of(
        "fp32", mul=4 * 3, add=2 * 3
    )
    assert norm_call("aten._batch_norm_with_update", running=False) == RUNNING + MOMENTS
    bare = norm_call("aten.native_batch_norm", training=False, affine=False)
    assert bare + OpCounts.of("fp32", mul=3) == RUNNING


def test_a_batch_norm_of_two_axes_has_the_channels_of_the_second() -> None:
    found = work("aten.native_batch_norm", t(5, 3), self=t(5, 3), training=False)
    assert found == ops(add=3 + 3 + 15, sqrt=3, divide=3, mul=3 + 15)


def test_a_batch_norm_of_one_axis_has_one_channel() -> None:
    found = work("aten.native_batch_norm", t(5), self=t(5), training=False)
    assert found == ops(add=1 + 1 + 5, sqrt=1, divide=1, mul=1 + 5)


ROWS = OpCounts.of("fp32", add=6 * (4 + 5 + 4), mul=30, divide=12) + OpCounts.of(
    "fp32", add=6, sqrt=6, divide=6
)
"""Moments and 1/√(var + ε) of six rows of five."""


@pytest.mark.parametrize(
    ("op", "shape", "args"),
    [
        pytest.param("aten.native_layer_norm", (2, 3, 5), {"normalized_shape": (5,)}, id="layer"),
        pytest.param("aten.native_group_norm", (2, 3, 5), {"group": 3}, id="group"),
        pytest.param("aten.group_norm", (2, 3, 5), {"num_groups": 3}, id="group-by-its-other-name"),
        pytest.param("aten.instance_norm", (2, 3, 5), {}, id="instance"),
    ],
)
def test_norms_of_rows(op: str, shape: tuple[int, ...], args: dict[str, Any]) -> None:
    x = t(*shape)
    bare = work(op, x, input=x, **args).other
    assert bare == ROWS + OpCounts.of("fp32", mul=30)
    scaled = work(op, x, input=x, weight=w(5), bias=None, **args).other
    assert scaled == bare + OpCounts.of("fp32", mul=30)
    affine = work(op, x, input=x, weight=w(5), bias=w(5), **args).other
    assert affine == bare + OpCounts.of("fp32", mul=30, add=30)


def test_norms_of_no_rows() -> None:
    empty = t(0, 3, 5)
    assert work("aten.native_group_norm", empty, input=empty, group=3, weight=w(3), bias=w(3)) == ops()
    assert work("aten.native_layer_norm", empty, input=empty, normalized_shape=(5,)) == ops()


def test_a_norm_by_the_root_of_mean_squares() -> None:
    """Six rows of five: squares, their sum, a division, 1/√(… + ε), and a product an element; γ one more."""
    bare = work("aten._fused_rms_norm", t(2, 3, 5), input=t(2, 3, 5), normalized_shape=(5,)).other
    assert bare == OpCounts.of("fp32", mul=60, add=6 * 4 + 6, divide=6 + 6, sqrt=6)
    scaled = work("aten.rms_norm", t(2, 3, 5), input=t(2, 3, 5), normalized_shape=(5,), weight=w(5)).other
    assert scaled == bare + OpCounts.of("fp32", mul=30)
    assert not work("aten.rms_norm", t(3, 0), input=t(3, 0), normalized_shape=(0,)).other
