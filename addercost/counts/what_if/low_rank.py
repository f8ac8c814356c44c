"""Low-rank factorisation of convolution and linear layers."""

from __future__ import annotations

import math

from addercost.counts.what_if.layer_calls import (
    PRODUCTS,
    convolution,
    is_convolution,
    product,
    resized,
    weight,
    with_replaced_parameters,
)
from addercost.counts.what_if.registry import alternative
from addercost.trace.record import OpCall, Trace


@alternative(
    "lowrank", "layers factorised into two of lower rank where that is fewer sites", "share of full rank"
)
def low_rank(trace: Trace, layers: frozenset[int], ratio: float) -> Trace:
    """W: [K, C·R·S] ≈ A: [K, r] · B: [r, C·R·S], r = max(1, round(ratio · min(K, C·R·S))).

    A convolution becomes r filters of the same size and K of 1×1: N·P·Q·(r·C·R·S + r·K) sites in place of
    N·P·Q·K·C·R·S. A linear layer becomes n·(C·r + r·K) sites. Grouped layers stay as they are, and so do
    layers that would not have fewer sites. Source: Denton et al., NeurIPS 2014; filter, then 1×1, as Zhang et
    al., TPAMI 2016.
    """
    calls: list[OpCall] = []
    old: set[str] = set()
    for i, call in enumerate(trace.calls):
        made = _factors(call, ratio) if i in layers else None
        if made is None:
            calls.append(call)
        else:
            calls += made
            old |= {spec.name for spec in call.parameters() if len(spec.shape) > 1}
    return with_replaced_parameters(trace, calls, old)


def _factors(call: OpCall, ratio: float) -> tuple[OpCall, OpCall] | None:
    if is_convolution(call):
        if call.args["groups"] != 1:
            return None
        x, w, out = call.tensor("input"), call.tensor("weight"), call.output
        k, *filters = w.shape
        taps = math.prod(filters)
        r = max(1, round(ratio * min(k, taps)))
        if r * (taps + k) >= k * taps:
            return None
        middle = resized(out, 1, r)
        kernel, point = (
            weight(w, "kernel", (r, *filters)),
            weight(w, "point", (k, r, *[1] * (len(filters) - 1))),
        )
        return (
            convolution(call, x, kernel, middle, bias=False, strided=True),
            convolution(call, middle, point, out, bias=True, strided=False),
        )
    if call.name in PRODUCTS:
        x, w = (call.tensor(name) for name in PRODUCTS[call.name])
        c, k = w.shape
        r = max(1, round(ratio * min(c, k)))
        if w.role not in ("parameter", "derived") or r * (c + k) >= c * k:
            return None
        middle = resized(call.output, 1, r)
        return (
            product(call, x, weight(w, "down", (c, r)), middle, bias=False),
            product(call, middle, weight(w, "up", (r, k)), call.output, bias=True),
        )
    return None
