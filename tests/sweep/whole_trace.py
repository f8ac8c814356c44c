"""A full trace as a trace of blocks is compared with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from addercost.trace.record import Trace
from addercost.trace.tracer import trace as trace_everything


def trace(*args: Any, **kwargs: Any) -> Trace:
    """A full trace, without how often each module ran, which a trace of blocks does not know."""
    return replace(trace_everything(*args, **kwargs), repeats=None)
