"""Batch, layer, group, instance and RMS normalisation."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.norm_operators import BATCH_NORMS, GROUP_NORMS, INSTANCE_NORMS, LAYER_NORMS
from addercost.counts.registry import rule
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall, TensorSpec


def moments_counts(rows: int, n: int, number_format: str) -> OpCounts:
    """Mean and variance of rows of n: a sum and a division; n subtractions; n squares, a sum and a
    division.
    """
    if n == 0:
        return OpCounts()
    return OpCounts.of(number_format, add=rows * (3 * n - 2), mul=rows * n, divide=2 * rows)


def _inverse_deviation(rows: int, number_format: str) -> OpCounts:
    """1 / √(variance + ε)."""
    return OpCounts.of(number_format, add=rows, sqrt=rows, divide=rows)


@rule(*BATCH_NORMS)
def batch_norm(call: OpCall) -> OperatorWork:
    """x: [N, C, …]. With running statistics x·a + b, where each channel has a = γ / √(var + ε) and b = β -
    mean·a. Training first computes each channel's moments over its elements.

    It then updates the running ones: two multiplications and an addition for each.
    """
    x = call.tensor("self" if "self" in call.args else "input")
    number_format = x.number_format
    channels = x.shape[1] if len(x.shape) > 1 else 1
    affine_mul = channels if call.optional_tensor("weight") else 0
    counts = _inverse_deviation(channels, number_format) + OpCounts.of(
        # a = γ·r; b = β - mean·a, a negation where there is no β
        number_format,
        mul=affine_mul + channels + x.numel,
        add=channels + x.numel,
    )
    if _trains(call):
        counts += moments_counts(channels, x.numel // max(channels, 1), number_format)
        if call.optional_tensor("running_mean"):
            counts += OpCounts.of(number_format, mul=4 * channels, add=2 * channels)
    return OperatorWork(other=counts)


def _trains(call: OpCall) -> bool:
    if call.name.endswith(("_no_training", "_no_update")):
        return False
    return bool(call.args.get("training", True))


def rows_normalized(
    x: TensorSpec, rows: int, scale: TensorSpec | None, shift: TensorSpec | None
) -> OperatorWork:
    """(x - mean)·r over `rows` rows of equal length, then γ and β for each element."""
    n = x.numel // max(rows, 1)
    number_format = x.number_format
    return OperatorWork(
        other=moments_counts(rows, n, number_format)
        + _inverse_deviation(rows, number_format)
        + OpCounts.of(
            number_format,
            mul=x.numel * (2 if scale else 1),
            add=x.numel if shift else 0,
        )
    )


@rule(*LAYER_NORMS)
def layer_norm(call: OpCall) -> OperatorWork:
    """x: [rows…, *normalized_shape]: (x - mean)·r·γ + β for each row. The difference from the mean is
    computed once, with the variance.
    """
    x, normalized = call.tensor("input"), call.args["normalized_shape"]
    assert isinstance(normalized, tuple)
    n = math.prod(size for size in normalized if isinstance(size, int))
    return rows_normalized(
        x, x.numel // max(n, 1), call.optional_tensor("weight"), call.optional_tensor("bias")
    )


@rule(*GROUP_NORMS)
def group_norm(call: OpCall) -> OperatorWork:
    """x: [N, C, …] in G groups: N·G rows as in layer norm."""
    x = call.tensor("input")
    groups = call.args.get("group", call.args.get("num_groups"))
    assert isinstance(groups, int)
    rows = x.shape[0] * groups if x.numel else 0
    return rows_normalized(x, rows, call.optional_tensor("weight"), call.optional_tensor("bias"))


@rule(*INSTANCE_NORMS)
def instance_norm(call: OpCall) -> OperatorWork:
    """x: [N, C, …]: N·C rows as in layer norm."""
    x = call.tensor("input")
    rows = x.shape[0] * x.shape[1]
    return rows_normalized(x, rows, call.optional_tensor("weight"), call.optional_tensor("bias"))


@rule("aten._fused_rms_norm", "aten.rms_norm")
def rms_norm(call: OpCall) -> OperatorWork:
    """x·r·γ with r = 1 / √(mean(x²) + ε): n squares, their sum, a division; n products, and n more with γ."""
    x, normalized = call.tensor("input"), call.args["normalized_shape"]
    assert isinstance(normalized, tuple)
    n = math.prod(size for size in normalized if isinstance(size, int))
    rows = x.numel // max(n, 1)
    if n == 0:
        return OperatorWork()
    scaled = 2 if call.optional_tensor("weight") else 1
    return OperatorWork(
        other=OpCounts.of(x.number_format, mul=x.numel * (1 + scaled), add=rows * (n - 1), divide=rows)
        + _inverse_deviation(rows, x.number_format)
    )
