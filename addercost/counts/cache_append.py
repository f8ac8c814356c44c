"""The key-value cache of a text decoder, with new rows written behind the old ones.

transformers joins the cached tensor and the new rows into another tensor, which copies all old rows at every
token. A runtime that reserves the cache's memory in advance writes only the new rows. That is what is
counted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from addercost.trace.record import OpCall, TensorSpec, Trace

APPENDED = "appended"
"""Tag of the calls that write new rows into a cache."""

_FROM_OUTSIDE = ("constant", "input")
"""Roles of tensors that the forward did not make, such as the cache of earlier tokens."""


def appended_in_place(trace: Trace, cached: Collection[tuple[int, ...]]) -> Trace:
    """The same trace, in which each `aten.cat` of a cached tensor and new rows has only the new rows.

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
    """Whether the tensor belongs to the cache. Before the first token a cached tensor is empty."""
    return spec.role in _FROM_OUTSIDE and (spec.shape in cached or not spec.numel)
