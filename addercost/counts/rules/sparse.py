"""Operators for sparse tensors. Only the stored values are counted.

A row is one index of all axes except the one that is summed. The trace does not say which rows store a value,
so this assumes the most rows that can: min(rows, values).
"""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import RULES, rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall, TensorSpec


def _rows(call: OpCall, spec: TensorSpec) -> int:
    dim = call.args["dim"]
    assert isinstance(dim, int)
    length = spec.shape[dim] if spec.shape else 1
    return min(spec.numel // max(length, 1), spec.n_stored)


@rule("aten._sparse_softmax")
def softmax(call: OpCall) -> OperatorWork:
    """n values in rows: as `softmax`, where the first value of a row takes no compare and no addition."""
    x = call.tensor("self")
    n, rows = x.n_stored, _rows(call, x)
    counts = OpCounts.of(x.number_format, compare=n - rows, add=2 * n - rows, transcendental=n, divide=n)
    return OperatorWork(other=counts)


@rule("aten._sparse_log_softmax")
def log_softmax(call: OpCall) -> OperatorWork:
    """n values in rows: as `log_softmax`, with a logarithm and one more addition for each row."""
    x = call.tensor("self")
    n, rows = x.n_stored, _rows(call, x)
    counts = OpCounts.of(x.number_format, compare=n - rows, add=3 * n, transcendental=n + rows)
    return OperatorWork(other=counts)


@rule("aten._sparse_softmax_backward_data")
def softmax_backward(call: OpCall) -> OperatorWork:
    """n values in rows: y·(g - Σ g·y)."""
    y = call.tensor("output")
    n, rows = y.n_stored, _rows(call, y)
    return OperatorWork(other=OpCounts.of(y.number_format, mul=2 * n, add=2 * n - rows))


@rule("aten._sparse_log_softmax_backward_data")
def log_softmax_backward(call: OpCall) -> OperatorWork:
    """n values in rows: g - exp(y)·Σ g."""
    y = call.tensor("output")
    n, rows = y.n_stored, _rows(call, y)
    return OperatorWork(other=OpCounts.of(y.number_format, mul=n, add=2 * n - rows, transcendental=n))


@rule("aten._sparse_sum", "aten._sparse_csr_sum", "aten._coalesce")
def total(call: OpCall) -> OperatorWork:
    """n values into m sums: n - m additions. Coalescing adds up the values of each place."""
    x = call.tensor("self")
    n = x.n_stored
    return OperatorWork(other=OpCounts.of(x.number_format, add=n - min(n, call.output.n_stored)))


KEEP_ZERO = frozenset(
    f"aten.{name}{in_place}"
    for in_place in ("", "_")
    for name in (
        "add", "sub", "mul", "div", "neg", "abs", "square", "sqrt", "sign", "sgn", "floor", "ceil", "trunc",
        "frac", "round", "relu", "leaky_relu", "sin", "tan", "sinh", "tanh", "asin", "asinh", "atan", "atanh",
        "expm1", "log1p", "erf", "deg2rad", "rad2deg", "positive", "pow",
    )
)  # fmt: skip
"""Element-wise functions that map zero to zero. On a sparse tensor they compute only the values that it
stores.
"""

OF_ALL_OPERANDS = frozenset(name for name, function in RULES.items() if function.__module__ == __name__)
"""The operators whose rules are in this file. They count correctly for any number of sparse operands."""
