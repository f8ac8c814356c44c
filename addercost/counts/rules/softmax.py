"""Softmax and its logarithm."""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def softmax_counts(rows: int, n: int, number_format: str) -> OpCounts:
    """`rows` of n: the maximum (n-1 compares), its subtraction (n), exp (n), their sum (n-1), and n
    divisions.
    """
    if n == 0:
        return OpCounts()
    return OpCounts.of(
        number_format,
        compare=rows * (n - 1),
        add=rows * (2 * n - 1),
        transcendental=rows * n,
        divide=rows * n,
    )


@rule("aten._softmax", "aten._safe_softmax", "aten.softmax")
def softmax(call: OpCall) -> OperatorWork:
    """Rows of n: the maximum (n - 1 compares), its subtraction (n), exp (n), their sum (n - 1), and n
    divisions.
    """
    x = call.tensor("self")
    n = _row_length(call)
    return OperatorWork(other=softmax_counts(x.numel // max(n, 1), n, x.number_format))


def log_softmax_counts(rows: int, n: int, number_format: str) -> OpCounts:
    """As softmax up to the sum; then its logarithm is added to the maximum, and the result is subtracted from
    every element.
    """
    if n == 0:
        return OpCounts()
    return OpCounts.of(
        number_format,
        compare=rows * (n - 1),
        add=rows * (n + (n - 1) + 1 + n),
        transcendental=rows * (n + 1),
    )


@rule("aten._log_softmax", "aten.log_softmax")
def log_softmax(call: OpCall) -> OperatorWork:
    """Rows of n: the maximum m (n - 1 compares), s = Σ exp(x - m) (n additions, n exp, n - 1 additions), then
    x - (m + log s) (1 log, 1 + n additions).
    """
    x = call.tensor("self")
    n = _row_length(call)
    return OperatorWork(other=log_softmax_counts(x.numel // max(n, 1), n, x.number_format))


def _row_length(call: OpCall) -> int:
    shape, dim = call.shape("self"), call.args["dim"]
    assert isinstance(dim, int)
    return shape[dim] if shape else 1
