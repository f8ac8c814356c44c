"""Operator calls with their counts worked out by hand. Sizes are distinct primes wherever a shape allows it, so
that no two axes can be taken for each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from addercost.arithmetic import OpCounts
from addercost.counts import rules as _rules  # noqa: F401  (registers every rule)
from addercost.counts.registry import RULES
from addercost.counts.work import OperatorWork, Sites
from addercost.trace.record import OpCall, TensorSpec, map_tensors


def t(*shape: int, dtype: str = "float32") -> TensorSpec:
    """A tensor that the forward made."""
    return TensorSpec(shape, dtype)


def w(*shape: int, dtype: str = "float32") -> TensorSpec:
    """A parameter."""
    return TensorSpec(shape, dtype, "parameter", "weight")


def call(op: str, out: TensorSpec, /, **args: Any) -> OpCall:
    return OpCall(f"{op}.default", "", args, (out,), 0)


def work(op: str, out: TensorSpec, /, **args: Any) -> OperatorWork:
    """What the operator's rule finds."""
    found = RULES[op](call(op, out, **args))
    assert found is not None
    return found


def ops(number_format: str = "fp32", /, **counts: int) -> OperatorWork:
    """Operations without sites."""
    return OperatorWork(other=OpCounts.of(number_format, **counts))


def layer(count: int, outputs: int, other: OpCounts | None = None, /, **more: Any) -> OperatorWork:
    """Sites of a layer with a weight in fp32, and other operations."""
    return OperatorWork((Sites(count, outputs, **{"weighted": True, **more}),), other or OpCounts())


def total(found: OperatorWork) -> int:
    return found.other.total + sum(site.count + site.outputs + site.biased for site in found.sites)


def emptied(made: OpCall) -> OpCall:
    """The same call on tensors without elements: every axis has the size 0."""

    def without_elements(name: str, spec: TensorSpec) -> TensorSpec:
        return replace(spec, shape=(0,) * len(spec.shape))

    return map_tensors(made, without_elements)


def scaled(n: int) -> OpCounts:
    return OpCounts.of("fp32", mul=n)
