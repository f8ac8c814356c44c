"""Operations around products with stored weights: converting weights back, rounding inputs, scaling sums.

`--what-if weights=…` puts these operators into a trace; none is torch's. Unpacking bits and changing the
number format count as no operations, as elsewhere.
"""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.weight_formats import BY_DTYPE, WeightFormat
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


@rule("addercost.dequantize_weight")
def dequantize_weight(call: OpCall) -> OperatorWork:
    """w = d·q + m, or d·(q - middle), for every weight. In a nested format each block first multiplies its d,
    and its m, by the scale of a larger block.
    """
    form, weights, blocks = _weights(call)
    shared = blocks * (2 if form.has_minimum else 1) if form.nested else 0
    added = weights if form.has_minimum or form.shifted else 0
    return OperatorWork(other=OpCounts.of(call.output.number_format, mul=weights + shared, add=added))


@rule("addercost.scale_sums", "addercost.scale_elements")
def scale_each(call: OpCall) -> OperatorWork:
    """One factor for each sum, or for each element x = d·q, where d is the scale of its vector."""
    return OperatorWork(other=OpCounts.of(call.output.number_format, mul=call.output.numel))


@rule("addercost.round_inputs")
def round_inputs(call: OpCall) -> OperatorWork:
    """x: [n, k] to int8 by the largest |x| of each row: for each input |x|, a comparison, a product with a
    factor and a rounding (an addition); one division for each row's factor."""
    x = call.tensor("input")
    rows = x.numel // x.shape[-1] if x.numel else 0
    each = OpCounts.of(x.number_format, abs=1, compare=1, mul=1, add=1) * x.numel
    return OperatorWork(other=each + OpCounts.of(x.number_format, divide=rows))


@rule("addercost.scale_block_sums")
def scale_block_sums(call: OpCall) -> OperatorWork:
    """out: [n, m] of B blocks of integers each: Σ_b d_w·d_x·s_b in fp32, and with a smallest value also Σ_b
    m_w·x_b, where x_b is the sum of a row's inputs in the block. Each shifted weight takes a subtraction."""
    form, weights, _ = _weights(call)
    outputs, filters = call.output.numel, call.output.shape[-1]
    inputs = _inputs(call)
    n_blocks = form.blocks(inputs)
    terms = outputs * n_blocks
    counts = OpCounts.of("fp32", mul=2 * terms, add=terms - outputs)
    if form.has_minimum:
        rows = outputs // filters if filters else 0
        counts += OpCounts.of("fp32", mul=terms, add=terms)
        counts += OpCounts.of("int32", add=rows * (inputs - n_blocks))
    if form.shifted:
        counts += OpCounts.of("int8", add=weights)
    return OperatorWork(other=counts)


def _weights(call: OpCall) -> tuple[WeightFormat, int, int]:
    """(format, number of weights, number of their blocks) of a call."""
    weight, inputs = call.tensor("weight"), _inputs(call)
    form = BY_DTYPE[weight.dtype]
    return form, weight.numel, form.blocks(inputs) * (weight.numel // inputs if inputs else 0)


def _inputs(call: OpCall) -> int:
    """The number of inputs of an output: the length of the weight's axis `axis`."""
    axis = call.args["axis"]
    assert isinstance(axis, int)
    return call.shape("weight")[axis]
