"""ShiftAddNet: a shift layer and an adder layer in sequence."""

from __future__ import annotations

from addercost.arithmetic import Arithmetic
from addercost.counts.what_if.arithmetics import tagged
from addercost.counts.what_if.layer_calls import (
    PRODUCTS,
    convolution,
    is_convolution,
    product,
    weight,
    with_replaced_parameters,
)
from addercost.counts.what_if.registry import alternative
from addercost.trace.record import OpCall, Trace


@alternative("shift-add", "each layer as a shift layer, then an adder layer of the same kernel (ShiftAddNet)")
def shift_add(trace: Trace, layers: frozenset[int], value: float) -> Trace:
    """The layer's own N·P·Q·K·C·R·S sites become shifts. An adder layer after it, from K channels to as many,
    has N·P·Q·K·(K/G)·R·S sites more.

    Other layers (those already in another arithmetic, and transposed ones) stay as they are. Source: You et
    al., NeurIPS 2020, section 3.
    """
    calls: list[OpCall] = []
    for i, call in enumerate(trace.calls):
        calls += _sequence(call) if i in layers else (call,)
    return with_replaced_parameters(trace, calls, set())


def _sequence(call: OpCall) -> tuple[OpCall, ...]:
    if is_convolution(call):
        w, out, groups = call.tensor("weight"), call.output, call.args["groups"]
        assert isinstance(groups, int)
        k, _, *kernel = w.shape
        second = weight(w, "adder", (k, k // groups, *kernel))
        return (
            tagged(call, Arithmetic.SHIFT),
            tagged(convolution(call, out, second, out, False, False, groups), Arithmetic.ADDER),
        )
    if call.name in PRODUCTS:
        _, w = (call.tensor(name) for name in PRODUCTS[call.name])
        k = w.shape[1]
        second = weight(w, "adder", (k, k))
        return (
            tagged(call, Arithmetic.SHIFT),
            tagged(product(call, call.output, second, call.output, bias=False), Arithmetic.ADDER),
        )
    return (call,)
