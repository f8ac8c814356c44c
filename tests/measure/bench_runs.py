"""`addercost bench` as its tests run it: one small shape, one small network."""

from __future__ import annotations

from functools import cache

from addercost.api import trace_model
from addercost.cli import run
from addercost.trace.record import Trace

SHAPE = "1,8,6,6,8,3,1,1"


def bench(*arguments: str) -> int:
    return run(["bench", *arguments])


@cache
def lenet5_bn() -> Trace:
    return trace_model("zoo:lenet5-bn")
