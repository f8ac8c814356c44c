"""Sparse weights: only a share of each layer's weights is stored. The counts do not depend on which ones."""

from __future__ import annotations

from dataclasses import replace

from addercost.counts.what_if.registry import alternative
from addercost.trace.record import TensorSpec, Trace, map_tensors

_INDEX_BYTES = 4


@alternative("density", "a share of every layer's weights is stored, each with an index", "share")
def density(trace: Trace, layers: frozenset[int], share: float) -> Trace:
    """A weight of n elements stores round(share·n) of them, each with a 32-bit index. Only these take part in
    products. Shapes stay the same.
    """

    def stored(name: str, spec: TensorSpec) -> TensorSpec:
        if spec.role not in ("parameter", "derived") or len(spec.shape) < 2 or spec.stored is not None:
            return spec
        kept = round(share * spec.numel)
        return replace(spec, stored=(kept, _INDEX_BYTES * kept))

    calls = tuple(map_tensors(call, stored) if i in layers else call for i, call in enumerate(trace.calls))
    return replace(trace, calls=calls)
