"""Operations on complex numbers, as operations on real ones.

Counting rules count as if all numbers were real. This file translates their result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from addercost.arithmetic import OpClass, OpCounts
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall

_BOTH: Mapping[OpClass, Mapping[str, int]] = {
    # (a + bi)(c + di)
    OpClass.MUL: {"mul": 4, "add": 2},
    OpClass.ADD: {"add": 2},
    # (a + bi)(c - di) / (c² + d²)
    OpClass.DIVIDE: {"mul": 6, "add": 3, "divide": 2},
    # √(a² + b²)
    OpClass.ABS: {"mul": 2, "add": 1, "sqrt": 1},
}
_WITH_REAL: Mapping[OpClass, Mapping[str, int]] = {
    OpClass.MUL: {"mul": 2},
    OpClass.ADD: {"add": 1},
    OpClass.DIVIDE: {"divide": 2},
}
"""The operations between one complex and one real operand."""

_IN_REALS_ALREADY = ("aten._fft",)
"""Operators whose rules count real operations already, so there is nothing to translate."""


def in_real_numbers(call: OpCall, work: OperatorWork) -> OperatorWork:
    """The work of a call on complex numbers, as operations on their real and imaginary parts.

    Comparisons, roots and special functions count once for each part. A site of two complex factors is four
    real sites, and a site of one complex and one real factor is two. Each sum is two sums.
    """
    if call.name.startswith(_IN_REALS_ALREADY):
        return work
    factors = list(call.tensors())[:2]
    mixed = _mixed(call)
    per_class = {**_BOTH, **_WITH_REAL} if mixed else _BOTH
    other: list[OpCounts] = []
    for op_class, number_format, n in work.other:
        parts = per_class.get(op_class, {op_class.value: 2})
        other.append(OpCounts.of(number_format, **parts) * n)
    times = 2 ** sum(spec.is_complex for spec in factors)
    sites = tuple(
        replace(site, count=site.count * times, outputs=site.outputs * 2, biased=site.biased * 2)
        for site in work.sites
    )
    return OperatorWork(sites, OpCounts.sum(other))


def _mixed(call: OpCall) -> bool:
    """Whether an element-wise operator combines a complex number with a real one."""
    tensors = list(call.tensors())
    if len(tensors) > 1:
        return not all(spec.is_complex for spec in tensors)
    other = call.args.get("other")
    return isinstance(other, int | float) and not isinstance(other, bool)
