"""Adding to places that an index selects: one operation for every source element."""

from __future__ import annotations

from collections.abc import Mapping

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall, TensorSpec

_JOIN: Mapping[str, Mapping[str, int]] = {
    "sum": {"add": 1},
    "add": {"add": 1},
    "mean": {"add": 1},
    "prod": {"mul": 1},
    "multiply": {"mul": 1},
    "amax": {"compare": 1},
    "amin": {"compare": 1},
    "max": {"compare": 1},
    "min": {"compare": 1},
}


def _source(call: OpCall) -> TensorSpec:
    return call.tensor("source" if "source" in call.args else "src")


@rule("aten.index_add", "aten.index_add_", "aten.scatter_add", "aten.scatter_add_")
def add_at(call: OpCall) -> OperatorWork:
    """One addition for each source element, and a multiplication before it where α is not 1."""
    source = _source(call)
    n = call.tensor("index").numel if "scatter" in call.name else source.numel
    scaled = n if call.args.get("alpha", 1) != 1 else 0
    return OperatorWork(other=OpCounts.of(source.number_format, add=n, mul=scaled))


@rule("aten.scatter_reduce", "aten.scatter_reduce_", "aten.index_reduce", "aten.index_reduce_")
def reduce_at(call: OpCall) -> OperatorWork:
    """One operation, which `reduce` names, for each source element. A mean adds, and then divides every
    output.
    """
    source, kind = _source(call), str(call.args["reduce"])
    n = call.tensor("index").numel if "scatter" in call.name else source.numel
    divisions = call.output.numel if kind == "mean" else 0
    return OperatorWork(
        other=OpCounts.of(source.number_format, divide=divisions)
        + OpCounts.of(source.number_format, **_JOIN[kind]) * n
    )


@rule("aten.scatter", "aten.scatter_")
def scatter(call: OpCall) -> OperatorWork:
    """A copy. With `reduce`, one addition or multiplication for each element of the index."""
    join = _JOIN.get(str(call.args.get("reduce")), {})
    return OperatorWork(other=OpCounts.of(call.output.number_format, **join) * call.tensor("index").numel)


@rule(
    "aten.index_put",
    "aten.index_put_",
    "aten._index_put_impl_",
    "aten._unsafe_index_put",
    "aten.put",
    "aten.put_",
    "aten._unsafe_masked_index_put_accumulate",
)
def put(call: OpCall) -> OperatorWork:
    """A copy. With `accumulate`, one addition for each value."""
    values = call.optional_tensor("values") or call.optional_tensor("source")
    accumulates = call.args.get("accumulate", False) or call.name.endswith("accumulate")
    return OperatorWork(
        other=OpCounts.of(values.number_format, add=values.numel) if values and accumulates else OpCounts()
    )


@rule("flex_lib.zeros_and_scatter")
def scatter_of_scores(call: OpCall) -> OperatorWork:
    """One addition for each score's gradient. It goes to the entry of a table that a user's function of the
    attention scores had read for that score."""
    values = call.tensor("vals")
    return OperatorWork(other=OpCounts.of(values.number_format, add=values.numel))


@rule("aten._embedding_bag", "aten._embedding_bag_forward_only", "aten.embedding_bag")
def embedding_bag(call: OpCall) -> OperatorWork:
    """weight: [V, D], indices: [n], out: [B, D]: n rows are joined into B by sum (mode 0), mean (1) or
    maximum (2).
    """
    out, indices = call.output, call.tensor("indices")
    depth = out.shape[-1]
    n, mode = indices.numel * depth, call.args.get("mode", 0)
    joins = max(n - out.numel, 0)
    scaled = n if call.optional_tensor("per_sample_weights") else 0
    if mode == 2:
        return OperatorWork(other=OpCounts.of(out.number_format, compare=joins))
    return OperatorWork(
        other=OpCounts.of(out.number_format, add=joins, mul=scaled, divide=out.numel if mode == 1 else 0)
    )


@rule("aten.bincount")
def bincount(call: OpCall) -> OperatorWork:
    """One addition for each value: 1, or its weight if there are weights, is added to the value's bin."""
    x = call.tensor("self")
    weights = call.optional_tensor("weights")
    return OperatorWork(other=OpCounts.of((weights or x).number_format, add=x.numel))


@rule("aten.histc", "aten.histogram", "aten._histogramdd_from_bin_cts")
def histogram(call: OpCall) -> OperatorWork:
    """Bins of equal width: for each value (x - low)·scale rounded down, two compares, and an addition to its
    bin.
    """
    x = call.tensor("self")
    points = x.shape[0] if "dd" in call.name and x.shape else x.numel
    return OperatorWork(
        other=OpCounts.of(x.number_format, add=2 * x.numel + points, mul=x.numel, compare=2 * x.numel)
    )


@rule("aten._histogramdd_from_bin_tensors")
def histogram_of_edges(call: OpCall) -> OperatorWork:
    """x: [n, d]: a binary search among each dimension's edges, and one addition to the bin for each row."""
    x = call.tensor("self")
    edges = call.args["bins"]
    assert isinstance(edges, tuple)
    steps = sum(spec.numel.bit_length() for spec in edges if isinstance(spec, TensorSpec))
    n = x.shape[0]
    return OperatorWork(other=OpCounts.of(x.number_format, compare=n * steps, add=n))


@rule("aten._histogramdd_bin_edges")
def histogram_edges(call: OpCall) -> OperatorWork:
    """The smallest and the largest value of every column."""
    x = call.tensor("self")
    columns = x.shape[-1] if x.shape else 1
    return OperatorWork(other=OpCounts.of(x.number_format, compare=2 * max(x.numel - columns, 0)))


@rule("aten.count_nonzero")
def count_nonzero(call: OpCall) -> OperatorWork:
    """x: n elements, out: r counts: n compares with 0 and n - r additions."""
    x = call.tensor("self")
    results = call.output.numel if x.numel else 0
    return OperatorWork(
        other=OpCounts.of(x.number_format, compare=x.numel) + OpCounts.of("int64", add=x.numel - results)
    )


@rule("aten.nonzero", "aten.nonzero_static", "aten.masked_scatter_backward")
def find(call: OpCall) -> OperatorWork:
    """One comparison for each element."""
    x = call.tensor("self")
    return OperatorWork(other=OpCounts.of(x.number_format, compare=x.numel))


@rule("aten.segment_reduce")
def segment_reduce(call: OpCall) -> OperatorWork:
    """data: n elements, out: m elements: n - m operations, which `reduce` names, join the elements of each
    segment. A mean also divides every output.
    """
    x, out = call.tensor("data"), call.output
    kind = str(call.args["reduce"])
    joins = OpCounts.of(x.number_format, **_JOIN[kind]) * max(x.numel - out.numel, 0)
    return OperatorWork(other=joins + OpCounts.of(x.number_format, divide=out.numel if kind == "mean" else 0))
