"""Layers that carry a state from token to token."""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.elementwise import ELEMENTWISE
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import OpCall


@rule("addercost.selective_scan")
def selective_scan(call: OpCall) -> OperatorWork:
    """x: [B, D, L], rates: [D, N]: s = B·D·L·N elements of all states, n = B·D·L outputs.

    Steps (dt): n additions of a bias and n softplus. States: exp(dt·rates), dt·b·x and decay·h + dt·b·x,
    which are s exponentials, 4·s products and s additions. Outputs: n sums of N products with c; skip·x takes
    n products and n additions; the gate takes n silu and n products. Steps are in the format of dt, states in
    that of the rates.
    """
    x, steps, state = call.tensor("x"), call.tensor("dt").number_format, call.outputs[1]
    gate = call.optional_tensor("gate")
    n, s = x.numel, x.numel * state.shape[-1]
    wide = call.output.number_format
    other = OpCounts.of(state.number_format, transcendental=s, mul=4 * s, add=s)
    if call.optional_tensor("bias") is not None:
        other += OpCounts.of(steps, add=n)
    if call.args["softplus"]:
        other += OpCounts.of(steps, **ELEMENTWISE["softplus"][1]) * n
    if call.optional_tensor("skip") is not None:
        other += OpCounts.of(wide, mul=n, add=n)
    if gate is not None:
        other += OpCounts.of(gate.number_format, **ELEMENTWISE["silu"][1]) * n + OpCounts.of(wide, mul=n)
    product = Sites(s, n, number_format=x.number_format, accumulator_format=accumulator_of(x.number_format))
    return OperatorWork((product,), other)


@rule("addercost.wkv_scan")
def wkv_scan(call: OpCall) -> OperatorWork:
    """key: [B, L, D]: for each of n = B·L·D outputs two exponentials and a division; then the state takes two
    more exponentials.

    An output takes the larger of two exponents (n sums and compares), two exponentials (3·n sums before
    them), two sums of products (3·n products, 2·n sums) and a division. The next state takes the same without
    the division, and as many sums: k is compared as it is, and largest + decay is computed twice.
    """
    n = call.tensor("key").numel
    return OperatorWork((), OpCounts.of("fp32", add=12, compare=2, transcendental=4, mul=6, divide=1) * n)


@rule("addercost.linear_recurrence")
def linear_recurrence(call: OpCall) -> OperatorWork:
    """x: [B, L, D]: a product and a sum for each element, in the format of the state."""
    n = call.tensor("x").numel
    return OperatorWork((), OpCounts.of(call.outputs[1].number_format, mul=n, add=n))
