"""Fused scaled dot-product attention, for traces that kept it whole."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.softmax import softmax_counts
from addercost.counts.work import OperatorWork, Sites
from addercost.trace.record import OpCall


@rule(
    "aten.scaled_dot_product_attention",
    "aten._scaled_dot_product_flash_attention",
    "aten._scaled_dot_product_flash_attention_for_cpu",
    "aten._scaled_dot_product_efficient_attention",
    "aten._scaled_dot_product_cudnn_attention",
    "aten._scaled_dot_product_fused_attention_overrideable",
    "aten._scaled_dot_product_attention_math",
)
def attention(call: OpCall) -> OperatorWork:
    """q: [B…, L, E], k: [B…, S, E], v: [B…, S, D]: softmax(q·kᵀ·scale + mask)·v.

    L·S sums of E products, scaled; the mask added; L rows of softmax over S; L·D sums of S products. A causal
    mask changes no count: a kernel may skip what is masked, but the formula contains it.
    """
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    *batch, rows, width = q.shape
    return _attention(call, math.prod(batch), rows, k.shape[-2], width, v.shape[-1])


@rule("aten._flash_attention_forward", "aten._efficient_attention_forward")
def heads_last_attention(call: OpCall) -> OperatorWork:
    """q: [B, L, heads, E], k: [B, S, heads, E], v: [B, S, heads, D]: as `attention`, in another layout."""
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    batch, rows, heads, width = q.shape
    return _attention(call, batch * heads, rows, k.shape[1], width, v.shape[-1])


def _attention(call: OpCall, heads: int, rows: int, columns: int, width: int, depth: int) -> OperatorWork:
    number_format = call.tensor("query").number_format
    scores = heads * rows * columns
    masked = any(call.optional_tensor(name) for name in ("attn_mask", "attn_bias", "mask", "bias"))
    return OperatorWork(
        sites=(
            Sites(scores * width, scores, number_format=number_format, accumulator_format=number_format),
            Sites(
                scores * depth,
                heads * rows * depth,
                number_format=number_format,
                accumulator_format=number_format,
            ),
        ),
        other=OpCounts.of(number_format, mul=scores, add=scores if masked else 0)
        + softmax_counts(heads * rows, columns, number_format),
    )
