"""Reductions: joining n numbers into one takes n - 1 operations."""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def _joins(call: OpCall) -> tuple[int, int, str]:
    """(inputs, results, number format) of a reduction. A reduction of no numbers has no results here."""
    x = call.tensor("self")
    results = call.output.numel if x.numel else 0
    return x.numel, results, x.number_format


def sum_counts(n: int, results: int, number_format: str) -> OpCounts:
    """Additions that sum n numbers into `results` numbers."""
    return OpCounts.of(number_format, add=n - results)


@rule("aten.sum", "aten.nansum")
def total(call: OpCall) -> OperatorWork:
    """n numbers to r sums: n - r additions."""
    return OperatorWork(other=sum_counts(*_joins(call)))


@rule("aten.trace")
def trace(call: OpCall) -> OperatorWork:
    """x: [n, m]: the sum of the min(n, m) elements of the diagonal."""
    x = call.tensor("self")
    return OperatorWork(other=OpCounts.of(x.number_format, add=max(min(x.shape) - 1, 0)))


@rule("aten.mean")
def mean(call: OpCall) -> OperatorWork:
    """n - 1 additions and a division for each result."""
    n, results, number_format = _joins(call)
    return OperatorWork(other=OpCounts.of(number_format, add=n - results, divide=results))


@rule("aten.prod")
def product(call: OpCall) -> OperatorWork:
    """n numbers to r products: n - r multiplications."""
    n, results, number_format = _joins(call)
    return OperatorWork(other=OpCounts.of(number_format, mul=n - results))


@rule("aten.amax", "aten.amin", "aten.max", "aten.min", "aten.argmax", "aten.argmin")
def extremum(call: OpCall) -> OperatorWork:
    """n - 1 compares for each result. With a second tensor `max` is element-wise: one compare for each
    element.
    """
    if call.optional_tensor("other"):
        return OperatorWork(other=OpCounts.of(call.tensor("self").number_format, compare=call.output.numel))
    n, results, number_format = _joins(call)
    return OperatorWork(other=OpCounts.of(number_format, compare=n - results))


@rule("aten.aminmax")
def both_extrema(call: OpCall) -> OperatorWork:
    """n numbers to r minima and r maxima: 2·(n - r) compares."""
    n, results, number_format = _joins(call)
    return OperatorWork(other=OpCounts.of(number_format, compare=2 * (n - results)))


@rule("aten.hash_tensor")
def hashed(call: OpCall) -> OperatorWork:
    """n - r exclusive ors over the bit patterns of all elements."""
    n, results, _ = _joins(call)
    return OperatorWork(other=OpCounts.of("uint64", logic=max(n - results, 0)))


@rule("aten.all", "aten.any")
def truth(call: OpCall) -> OperatorWork:
    """n truth values to r: n - r logical operations."""
    n, results, number_format = _joins(call)
    return OperatorWork(other=OpCounts.of(number_format, logic=n - results))


@rule("aten.var", "aten.std", "aten.var_mean", "aten.std_mean")
def variance(call: OpCall) -> OperatorWork:
    """A mean; n differences, n squares, their n - 1 additions and a division; for `std` a root."""
    n, results, number_format = _joins(call)
    roots = results if "std" in call.name else 0
    return OperatorWork(
        other=OpCounts.of(number_format, add=3 * n - 2 * results, mul=n, divide=2 * results, sqrt=roots)
    )


@rule("aten.cumsum", "aten.cumsum_")
def running_sum(call: OpCall) -> OperatorWork:
    """Rows of n along `dim`: n - 1 additions each."""
    return OperatorWork(other=OpCounts.of(call.tensor("self").number_format, add=_running_joins(call)))


@rule("aten.cumprod", "aten.cumprod_")
def running_product(call: OpCall) -> OperatorWork:
    """Rows of n along `dim`: n - 1 multiplications each."""
    return OperatorWork(other=OpCounts.of(call.tensor("self").number_format, mul=_running_joins(call)))


def _running_joins(call: OpCall) -> int:
    """Rows of n along `dim`: n - 1 operations each."""
    x, dim = call.tensor("self"), call.args["dim"]
    assert isinstance(dim, int)
    n = x.shape[dim] if x.shape else 1
    return x.numel - x.numel // n if n else 0


@rule("aten.logsumexp")
def logsumexp(call: OpCall) -> OperatorWork:
    """The maximum (n - 1 compares), its subtraction, exp, their sum (n - 1 additions), log, and the addition
    of the maximum.
    """
    n, results, number_format = _joins(call)
    return OperatorWork(
        other=OpCounts.of(
            number_format, compare=n - results, add=n + (n - results) + results, transcendental=n + results
        )
    )


@rule("aten.logcumsumexp", "aten._logcumsumexp")
def running_logsumexp(call: OpCall) -> OperatorWork:
    """Each step joins two numbers as max(a, b) + log1p(exp(-|a - b|))."""
    joins = _running_joins(call)
    return OperatorWork(
        other=OpCounts.of(
            call.tensor("self").number_format,
            compare=joins,
            abs=joins,
            add=3 * joins,
            transcendental=2 * joins,
        )
    )


@rule("aten.equal")
def equal(call: OpCall) -> OperatorWork:
    """n compares, and the conjunction of their results."""
    n = call.tensor("self").numel
    return OperatorWork(
        other=OpCounts.of(call.tensor("self").number_format, compare=n)
        + OpCounts.of("bool", logic=max(n - 1, 0))
    )


@rule("aten.allclose")
def allclose(call: OpCall) -> OperatorWork:
    """|a - b| ≤ atol + rtol·|b| for every element, and the conjunction of the results."""
    x = call.tensor("self")
    n = x.numel
    return OperatorWork(
        other=OpCounts.of(x.number_format, add=2 * n, abs=2 * n, mul=n, compare=n)
        + OpCounts.of("bool", logic=max(n - 1, 0))
    )
