"""Distances between vectors, and norms."""

from __future__ import annotations

import math
from collections.abc import Mapping

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall, TensorSpec


def norm_counts(rows: int, n: int, order: object) -> Mapping[str, int]:
    """Operations of `rows` norms of n numbers each, by order.

    2: squares, their sum, a root. 1: magnitudes, their sum. ±inf: magnitudes, compares. 0: compares, their
    sum. Any other order: magnitudes, n powers, a sum, and one more power.
    """
    joins, all_ = rows * max(n - 1, 0), rows * n
    if order in (None, 2):
        return {"mul": all_, "add": joins, "sqrt": rows}
    if order == 1:
        return {"abs": all_, "add": joins}
    if order in (math.inf, -math.inf):
        return {"abs": all_, "compare": joins}
    if order == 0:
        return {"compare": all_, "add": joins}
    return {"abs": all_, "transcendental": all_ + rows, "add": joins}


def _differences(number_format: str, rows: int, n: int, order: object) -> OperatorWork:
    counts = norm_counts(rows, n, order)
    return OperatorWork(other=OpCounts.of(number_format, add=rows * n) + OpCounts.of(number_format, **counts))


@rule("aten._cdist_forward")
def pairwise(call: OpCall) -> OperatorWork:
    """a: [B…, n, k], b: [B…, m, k]: the norms of n·m differences."""
    a, out = call.tensor("x1"), call.output
    return _differences(a.number_format, out.numel, a.shape[-1], call.args["p"])


@rule("aten._euclidean_dist")
def euclidean(call: OpCall) -> OperatorWork:
    """As `pairwise` with p = 2, although torch may compute it differently."""
    a, out = call.tensor("x1"), call.output
    return _differences(a.number_format, out.numel, a.shape[-1], 2)


@rule("aten._pdist_forward")
def within(call: OpCall) -> OperatorWork:
    """x: [n, k]: n(n-1)/2 differences."""
    x = call.tensor("self")
    return _differences(x.number_format, call.output.numel, x.shape[-1], call.args.get("p", 2))


@rule("aten.dist")
def distance(call: OpCall) -> OperatorWork:
    """The norm of order p of a - b: n differences, then as `norm`."""
    x = call.tensor("self")
    return _differences(x.number_format, 1, x.numel, call.args.get("p", 2))


@rule("aten.linalg_vector_norm", "aten.norm", "aten.native_norm")
def vector_norm(call: OpCall) -> OperatorWork:
    """x: […] to out: […]: for each norm of n elements, by order, 2: n squares, their sum, a root; 1: n
    magnitudes, their sum; ±inf: n magnitudes, n - 1 compares; 0: n compares, their sum; any other: n
    magnitudes, n + 1 powers and a sum.
    """
    x = call.tensor("self")
    results = call.output.numel if x.numel else 0
    order = call.args.get("ord", call.args.get("p", 2))
    counts = norm_counts(results, x.numel // max(results, 1), order)
    return OperatorWork(other=OpCounts.of(x.number_format, **counts))


@rule("aten.renorm", "aten.renorm_")
def renorm(call: OpCall) -> OperatorWork:
    """For each slice along `dim`: its norm is compared with the largest allowed one, and every element is
    multiplied by a factor.
    """
    x, dim = call.tensor("self"), call.args["dim"]
    assert isinstance(dim, int)
    slices = x.shape[dim]
    counts = norm_counts(slices, x.numel // max(slices, 1), call.args["p"])
    return OperatorWork(
        other=OpCounts.of(x.number_format, **counts)
        + OpCounts.of(x.number_format, compare=slices, add=slices, divide=slices, mul=x.numel)
    )


@rule("aten.embedding_renorm_")
def embedding_renorm(call: OpCall) -> OperatorWork:
    """weight: [V, D], indices: [n]: as `renorm` for each row that is looked up, at most n rows."""
    w, rows = call.tensor("self"), call.tensor("indices").numel
    rows = min(rows, w.shape[0])
    counts = norm_counts(rows, w.shape[1], call.args["norm_type"])
    return OperatorWork(
        other=OpCounts.of(w.number_format, **counts)
        + OpCounts.of(w.number_format, compare=rows, add=rows, divide=rows, mul=rows * w.shape[1])
    )


@rule("aten._trilinear")
def trilinear(call: OpCall) -> OperatorWork:
    """Σ of products of three factors over the summed axes, such as y[n, o] = Σ over i, j of x[n, i]·w[o, i,
    j]·z[n, j] of a bilinear layer: each term is a product x·z and one site, in which it is multiplied by w
    and added to the sum.

    A factor is expanded along the axes in its `expand` list; there is one term for each element of the joint
    shape. Without a sum there is no site. No other arithmetic replaces these sites, because they have three
    factors.
    """
    shape = _joint_shape(call)
    summed = call.args["sumdim"]
    assert isinstance(summed, tuple)
    terms = math.prod(shape)
    results = math.prod(size for axis, size in enumerate(shape) if axis not in summed)
    x = call.tensor("i1")
    if not summed:
        return OperatorWork(other=OpCounts.of(x.number_format, mul=2 * terms))
    return _sums_of_three(x, terms, results)


@rule("aten.bilinear")
def bilinear(call: OpCall) -> OperatorWork:
    """x: […, I], z: […, J], w: [N, I, J], out: […, N]: as `trilinear`, for traces that have it whole."""
    x, w, out = call.tensor("input1"), call.tensor("weight"), call.output
    biased = out.numel if call.optional_tensor("bias") else 0
    return _sums_of_three(x, out.numel * math.prod(w.shape[1:]), out.numel, biased)


def _sums_of_three(x: TensorSpec, terms: int, results: int, biased: int = 0) -> OperatorWork:
    sites = Sites(
        terms,
        results if terms else 0,
        biased=biased,
        inputs=x.numel,
        number_format=x.number_format,
        accumulator_format=accumulator_of(x.number_format),
    )
    return OperatorWork((sites,), OpCounts.of(x.number_format, mul=terms))


def _joint_shape(call: OpCall) -> list[int]:
    joint: list[int] = []
    for name, expand in (("i1", "expand1"), ("i2", "expand2"), ("i3", "expand3")):
        new_axes = call.args[expand]
        assert isinstance(new_axes, tuple)
        sizes = iter(call.shape(name))
        rank = len(call.shape(name)) + len(new_axes)
        shape = [1 if axis in new_axes else next(sizes) for axis in range(rank)]
        joint = shape if not joint else [max(a, b) for a, b in zip(joint, shape, strict=True)]
    return joint
