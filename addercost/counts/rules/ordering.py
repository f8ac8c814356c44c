"""Sorting and selection, by the comparisons that the textbook algorithm makes in its worst case.

How many comparisons a given input takes depends on its values; the worst case depends only on its size.
Sources: Knuth, The Art of Computer Programming 3, sections 5.2.4 (merge sort) and 5.3.3 (selection).
"""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def merge_sort_compares(n: int) -> int:
    """n·⌈lg n⌉ - 2^⌈lg n⌉ + 1, the most that top-down merge sort needs."""
    if n < 2:
        return 0
    levels = (n - 1).bit_length()
    return n * levels - (1 << levels) + 1


def selection_compares(n: int, t: int) -> int:
    """n - t + Σ ⌈lg j⌉ for n+1-t < j ≤ n: a tournament finds the t largest of n, in order."""
    t = max(min(t, n), 0)
    return n - t + sum((j - 1).bit_length() for j in range(n + 2 - t, n + 1)) if t else 0


def _rows(call: OpCall) -> tuple[int, int]:
    """(number of rows, their length) along `dim`; without `dim`, all elements are one row."""
    x = call.tensor("self")
    dim = call.args.get("dim")
    if not isinstance(dim, int):
        return 1, x.numel
    n = x.shape[dim] if x.shape else 1
    return (x.numel // n if n else 0), n


def _compares(call: OpCall, n: int) -> OperatorWork:
    return OperatorWork(other=OpCounts.of(call.tensor("self").number_format, compare=n))


@rule("aten.sort", "aten.argsort", "aten.msort")
def sort(call: OpCall) -> OperatorWork:
    """Rows of n by merge sort: n·⌈lg n⌉ - 2^⌈lg n⌉ + 1 compares each."""
    rows, n = _rows(call)
    return _compares(call, rows * merge_sort_compares(n))


@rule("aten.topk")
def topk(call: OpCall) -> OperatorWork:
    """Rows of n by a tournament: n - k + Σ ⌈lg j⌉ for n+1-k < j ≤ n compares each."""
    rows, n = _rows(call)
    k = call.args["k"]
    assert isinstance(k, int)
    return _compares(call, rows * selection_compares(n, k))


@rule("aten.kthvalue")
def kth_value(call: OpCall) -> OperatorWork:
    """The k smallest or the n + 1 - k largest of each row, whichever are fewer, as `topk`."""
    rows, n = _rows(call)
    k = call.args["k"]
    assert isinstance(k, int)
    return _compares(call, rows * selection_compares(n, min(k, n + 1 - k)))


@rule("aten.median", "aten.nanmedian")
def median(call: OpCall) -> OperatorWork:
    """Rows of n: the ⌊(n+1)/2⌋ largest in order, as `topk`."""
    rows, n = _rows(call)
    return _compares(call, rows * selection_compares(n, (n + 1) // 2))


@rule("aten.mode", "aten._unique2", "aten.unique_dim", "aten._unique")
def runs(call: OpCall) -> OperatorWork:
    """The n elements are sorted as `sort` does, and every two neighbours are compared."""
    rows, n = _rows(call)
    return _compares(call, rows * (merge_sort_compares(n) + max(n - 1, 0)))


@rule("aten.unique_consecutive", "aten.unique_dim_consecutive")
def neighbours(call: OpCall) -> OperatorWork:
    """n - 1 compares of neighbours."""
    return _compares(call, max(call.tensor("self").numel - 1, 0))


@rule("aten.searchsorted", "aten.bucketize")
def binary_search(call: OpCall) -> OperatorWork:
    """⌈lg(n + 1)⌉ compares for each value's place among n."""
    edges = call.tensor("sorted_sequence" if "sorted_sequence" in call.args else "boundaries")
    n = edges.shape[-1] if edges.shape else 1
    return OperatorWork(other=OpCounts.of(edges.number_format, compare=call.output.numel * n.bit_length()))


@rule("aten.cummax", "aten.cummin", "aten._cummax_helper", "aten._cummin_helper")
def running_extremum(call: OpCall) -> OperatorWork:
    """Rows of n along `dim`: n - 1 compares each."""
    rows, n = _rows(call)
    return _compares(call, rows * max(n - 1, 0))


@rule("aten.isin")
def membership(call: OpCall) -> OperatorWork:
    """The test elements are sorted, and then each element is searched for among them."""
    for_each, among = call.optional_tensor("elements"), call.optional_tensor("test_elements")
    tests = among.numel if among else 1
    n = for_each.numel if for_each else 1
    number_format = (for_each or among or call.output).number_format
    return OperatorWork(
        other=OpCounts.of(number_format, compare=merge_sort_compares(tests) + n * (tests.bit_length() + 1))
    )
