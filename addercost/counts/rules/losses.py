"""Losses that traces have whole."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.softmax import log_softmax_counts
from addercost.counts.work import OperatorWork, Sites
from addercost.trace.record import OpCall, TensorSpec


@rule("aten._ctc_loss")
def ctc_loss(call: OpCall) -> OperatorWork:
    """log_probs: [T, N, C], targets: [N, S]: the forward recursion over T steps and 2·S + 1 states.

    A state adds three others in logarithms: two compares for their maximum, three subtractions, three
    exponentials, two additions, a logarithm, and two additions for the maximum and the new log-probability.
    Source: Graves et al., Connectionist Temporal Classification, ICML 2006, section 4.1.
    """
    x = call.tensor("log_probs")
    steps, batch = x.shape[0], x.shape[1] if len(x.shape) > 2 else 1
    lengths = call.args["target_lengths"]
    if isinstance(lengths, tuple):
        states = sum(2 * n + 1 for n in lengths if isinstance(n, int))
    else:
        targets = call.tensor("targets")
        longest = targets.shape[-1] if len(targets.shape) > 1 else -(-targets.numel // max(batch, 1))
        states = batch * (2 * longest + 1)
    cells = max(steps - 1, 0) * states
    return OperatorWork(other=OpCounts.of(x.number_format, compare=2, add=7, transcendental=4) * cells)


@rule(
    "torch_nn._linear_cross_entropy_batch_chunked",
    "torch_nn._linear_cross_entropy_batch_chunked_no_reduction",
)
def linear_cross_entropy(call: OpCall) -> OperatorWork:
    """x: [n, k], w: [C, k]: n·C logits of k products, their log-softmax, the negated entry of each target,
    and the mean.
    """
    x, w, *_ = call.tensors()
    bias = call.optional_tensor("linear_bias") or call.optional_tensor("bias")
    rows = x.numel // max(x.shape[-1], 1)
    logits = rows * w.shape[0]
    site = Sites(
        logits * x.shape[-1],
        logits,
        biased=logits if isinstance(bias, TensorSpec) else 0,
        inputs=x.numel,
        number_format=x.number_format,
        accumulator_format=x.number_format,
        weighted=w.role in ("parameter", "derived"),
    )
    number_format = x.number_format
    other = log_softmax_counts(rows, w.shape[0], number_format) + OpCounts.of(number_format, add=rows)
    if math.prod(call.output.shape) == 1:
        other += OpCounts.of(number_format, add=max(rows - 1, 0), divide=1)
    return OperatorWork((site,), other)
