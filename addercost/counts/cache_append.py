"""Keys and values that a text decoder appends to its cache, taken as written behind those that are there.

transformers keeps a cache by joining the old tensor and the new rows into another one, which copies all of
the old rows at every token. A runtime that reserves the cache's memory writes the new rows alone, and so does
what is counted here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from addercost.trace.record import OpCall, TensorSpec, Trace

APPENDED = "appended"
"""Tag of the calls that write new rows into a cache."""

_FROM_OUTSIDE = ("constant", "input")
"""Roles of a tensor that the forward did not make, as the cache of the tokens before is."""


def appended_in_place(trace: Trace, cached: Collection[tuple[int, ...]]) -> Trace:
    """The trace with an `aten.cat` of the new rows alone wherever they are joined to a tensor of the cache.

    cached: the shapes of the cache's tensors before this forward.
    """
    return replace(trace, calls=tuple(_appended(call, frozenset(cached)) for call in trace.calls))


def _appended(call: OpCall, cached: frozenset[tuple[int, ...]]) -> OpCall:
    parts = call.args.get("tensors")
    if call.name != "aten.cat" or not isinstance(parts, tuple):
        return call
    old = [spec for spec in parts if isinstance(spec, TensorSpec) and _is_cached(spec, cached)]
    new = tuple(spec for spec in parts if isinstance(spec, TensorSpec) and spec not in old)
    if len(old) != 1 or len(new) != 1:
        return call
    written = replace(call.output, shape=new[0].shape)
    return replace(call, args={**call.args, "tensors": new}, outputs=(written,), tags=(*call.tags, APPENDED))


def _is_cached(spec: TensorSpec, cached: frozenset[tuple[int, ...]]) -> bool:
    """An empty tensor stands for the cache before its first token."""
    return spec.role in _FROM_OUTSIDE and (spec.shape in cached or not spec.numel)
