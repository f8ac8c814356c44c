"""Depthwise-separable convolutions in place of full ones."""

from __future__ import annotations

import math

from addercost.counts.what_if.layer_calls import (
    convolution,
    is_convolution,
    resized,
    weight,
    with_replaced_parameters,
)
from addercost.counts.what_if.registry import alternative
from addercost.trace.record import OpCall, Trace


@alternative("separable", "convolutions of more than one tap as depthwise and pointwise ones")
def separable(trace: Trace, layers: frozenset[int], value: float) -> Trace:
    """K filters of C·R·S become C filters of R·S and K filters of C: N·P·Q·(C·R·S + C·K) sites in place of
    N·P·Q·K·C·R·S.

    1×1, grouped and linear layers stay as they are. Source: Howard et al., 2017 (MobileNets), section 3.1.
    """
    calls: list[OpCall] = []
    old: set[str] = set()
    for i, call in enumerate(trace.calls):
        if i not in layers or not is_convolution(call) or call.args["groups"] != 1:
            calls.append(call)
            continue
        x, w, out = call.tensor("input"), call.tensor("weight"), call.output
        k, c, *kernel = w.shape
        if math.prod(kernel) == 1:
            calls.append(call)
            continue
        middle = resized(out, 1, c)
        depth, point = weight(w, "depth", (c, 1, *kernel)), weight(w, "point", (k, c, *[1] * len(kernel)))
        calls += (
            convolution(call, x, depth, middle, bias=False, strided=True, groups=c),
            convolution(call, middle, point, out, bias=True, strided=False),
        )
        old.add(w.name)
    return with_replaced_parameters(trace, calls, old)
