"""`addercost bench` as its tests run it: one small shape, one small network, and rows as it times them."""

from __future__ import annotations

from functools import cache

from addercost.api import trace_model
from addercost.cli import run
from addercost.results.measurements import MeasuredRow
from addercost.trace.record import Trace

SHAPE = "1,8,6,6,8,3,1,1"


def bench(*arguments: str) -> int:
    return run(["bench", *arguments])


@cache
def lenet5_bn() -> Trace:
    return trace_model("zoo:lenet5-bn")


def slow_row(path: str, factor: float | None) -> MeasuredRow:
    return MeasuredRow(path, "mac", (0.01,), speed_factor=factor, converged=True)
