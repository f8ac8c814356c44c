"""Scaled dot-product attention as one operator, and its gradients."""

from __future__ import annotations

import math

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.random_numbers import uniform_counts
from addercost.counts.rules.softmax import softmax_counts
from addercost.counts.work import OperatorWork, Sites, accumulator_of
from addercost.trace.record import KEPT_SCORES, SCORES, OpCall, TensorSpec


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

    There are L·S sums of E products, which are scaled. The mask is added, whether it is numbers, truth values
    or causal. L rows of softmax over S follow, with dropout in training, and then L·D sums of S products.
    With grouped queries, several heads of q share one head of k and v. A mask changes no other count: a
    kernel may skip what is masked, but the formula contains it.
    """
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    heads = math.prod(call.output.shape[:-2])
    return _attention(call, heads, q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1])


@rule("aten._flash_attention_forward", "aten._efficient_attention_forward")
def heads_last_attention(call: OpCall) -> OperatorWork:
    """q: [B, L, heads, E], k: [B, S, heads, E], v: [B, S, heads, D]: as `attention`, in another layout."""
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    batch, rows, heads, width = q.shape
    return _attention(call, batch * heads, rows, k.shape[1], width, v.shape[-1])


def _attention(call: OpCall, heads: int, rows: int, columns: int, width: int, depth: int) -> OperatorWork:
    number_format = call.tensor("query").number_format
    scores = heads * rows * columns
    return OperatorWork(
        sites=(
            _product(number_format, scores * width, scores),
            _product(number_format, scores * depth, heads * rows * depth),
        ),
        other=OpCounts.of(number_format, mul=scores, add=scores if _is_masked(call) else 0)
        + softmax_counts(heads * rows, columns, number_format)
        + _dropout_counts(call, scores, 2),
    )


def _product(number_format: str, sites: int, outputs: int) -> Sites:
    return Sites(
        sites, outputs, number_format=number_format, accumulator_format=accumulator_of(number_format)
    )


def _is_masked(call: OpCall) -> bool:
    tensors = any(call.optional_tensor(name) for name in ("attn_mask", "attn_bias", "mask", "bias"))
    return tensors or bool(call.args.get("is_causal"))


def _dropout_counts(call: OpCall, scores: int, products: int) -> OpCounts:
    """A random number and the comparison u < 1 - p for each score, and `products` products with it."""
    if not call.args.get("dropout_p"):
        return OpCounts()
    number_format = call.tensor("query").number_format
    kept = OpCounts.of(number_format, compare=scores, mul=products * scores)
    return uniform_counts(scores, number_format) + kept


@rule("addercost.partial_attention")
def partial_attention(call: OpCall) -> OperatorWork:
    """q: [B, H, L, E], v: [B, G, S, D], only n scores: n sums of E products, scaled; softmax over the
    computed scores of each of B·H·L rows; B·H·L·D sums with n·D products in all.
    """
    q, v, n = call.tensor("query"), call.tensor("value"), call.args["scores"]
    assert isinstance(n, int)
    return _scores_by_number(call, n, q.numel // q.shape[-1], q.shape[-1], v.shape[-1])


def _scores_by_number(call: OpCall, n: int, rows: int, width: int, depth: int) -> OperatorWork:
    number_format = call.tensor("query").number_format
    rows = min(rows, n)  # A row without any score is not computed.
    return OperatorWork(
        sites=(_product(number_format, n * width, n), _product(number_format, n * depth, rows * depth)),
        other=OpCounts.of(
            number_format, mul=n, compare=n - rows, add=2 * n - rows, transcendental=n, divide=n
        ),
    )


@rule("addercost.partial_attention_backward")
def partial_attention_backward(call: OpCall) -> OperatorWork:
    """As `attention_backward`, with only n scores."""
    q, v, n = call.tensor("query"), call.tensor("value"), call.args["scores"]
    assert isinstance(n, int)
    return _backward_by_number(call, n, q.numel // q.shape[-1], q.shape[-1], v.shape[-1])


def _backward_by_number(call: OpCall, n: int, rows: int, width: int, depth: int) -> OperatorWork:
    q, k, v, out = (call.tensor(name) for name in ("query", "key", "value", "out"))
    number_format = q.number_format
    return OperatorWork(
        sites=(
            _product(number_format, n * width, n),
            _product(number_format, n * depth, v.numel),
            _product(number_format, n * depth, n),
            _product(number_format, n * width, q.numel),
            _product(number_format, n * width, k.numel),
        ),
        other=OpCounts.of(
            number_format, mul=3 * n + out.numel, add=2 * n + out.numel - min(rows, n), transcendental=n
        ),
    )


def block_sites(call: OpCall) -> tuple[int, int] | None:
    """(sites of all scores, sites of the computed scores) of a `partial_attention`; None for other calls."""
    n = call.args.get(SCORES)
    if call.name != "addercost.partial_attention" or not isinstance(n, int):
        return None
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    each = q.shape[-1] + v.shape[-1]
    return each * math.prod(q.shape[:-1]) * k.shape[-2], each * n


@rule("torch_attn._varlen_attn", "torch_attn._varlen_attn_out")
def attention_of_lengths(call: OpCall) -> OperatorWork | None:
    """q: [T, H, E], v: [U, G, D], sequences of lengths l and s one after another: H·Σ l·s scores, as in
    `partial_attention`. Not counted where the values of the lengths are unknown.
    """
    q, v, n = call.tensor("query"), call.tensor("value"), call.args.get(SCORES)
    if not isinstance(n, int):
        return None
    return _scores_by_number(call, n, q.numel // q.shape[-1], q.shape[-1], v.shape[-1])


@rule("torch_attn._varlen_attn_backward")
def attention_of_lengths_backward(call: OpCall) -> OperatorWork | None:
    """The gradients of `attention_of_lengths`: five products as in `attention_backward`, over its H·Σ l·s
    scores.
    """
    q, v, n = call.tensor("query"), call.tensor("value"), call.args.get(SCORES)
    if not isinstance(n, int):
        return None
    return _backward_by_number(call, n, q.numel // q.shape[-1], q.shape[-1], v.shape[-1])


def kept_sites(call: OpCall) -> tuple[int, int] | None:
    """(all sites of the call, sites that its mask keeps), for a causal mask, a window, or another mask with
    known values.

    A causal query i sees the keys up to i. None for a call that is not attention or has no such mask.
    """
    if ("attention" not in call.name and "_attn" not in call.name) or "backward" in call.name:
        return None
    q, k, v = (call.optional_tensor(name) for name in ("query", "key", "value"))
    if q is None or k is None or v is None or len(q.shape) < 2:
        return None
    kept_scores, scores = call.args.get(KEPT_SCORES), call.args.get(SCORES)
    if isinstance(kept_scores, int):
        whole = scores if isinstance(scores, int) else math.prod(q.shape[:-1]) * k.shape[-2]
        each = q.shape[-1] + v.shape[-1]
        return (each * whole, each * kept_scores) if kept_scores < whole else None
    if not call.args.get("is_causal") or "_attn" in call.name:
        return None
    axis = 1 if call.name in ("aten._flash_attention_forward", "aten._efficient_attention_forward") else -2
    rows, columns = q.shape[axis], k.shape[axis]
    if not rows * columns:
        return None
    full = min(rows, columns)
    kept = full * (full + 1) // 2 + (rows - full) * columns
    heads = q.numel // (rows * q.shape[-1]) if q.shape[-1] else 0
    sites = heads * (q.shape[-1] + v.shape[-1])
    return sites * rows * columns, sites * kept


@rule(
    "addercost.attention_backward",
    "aten._scaled_dot_product_flash_attention_for_cpu_backward",
    "aten._scaled_dot_product_flash_attention_backward",
    "aten._scaled_dot_product_efficient_attention_backward",
    "aten._scaled_dot_product_cudnn_attention_backward",
)
def attention_backward(call: OpCall) -> OperatorWork:
    """q: [B…, L, E], k: [B…, S, E], v: [B…, S, D]: the scores are computed again; then ∂v = pᵀ·g, ∂p = g·vᵀ,
    ∂q = ∂s·k, ∂k = ∂sᵀ·q, with p = exp(s - logsumexp) and ∂s = p·(∂p - Σ g·out)·scale. Dropout draws its
    random numbers again, and scales p and ∂p. ∂mask is ∂s summed over the axes along which the mask was
    broadcast."""
    q, k, v = call.tensor("query"), call.tensor("key"), call.tensor("value")
    out = _output_of(call)
    rows, width, columns, depth = q.shape[-2], q.shape[-1], k.shape[-2], v.shape[-1]
    heads, number_format = math.prod(out.shape[:-2]), q.number_format
    scores = heads * rows * columns
    sites = (
        _product(number_format, scores * width, scores),
        _product(number_format, scores * depth, v.numel),
        _product(number_format, scores * depth, scores),
        _product(number_format, scores * width, q.numel),
        _product(number_format, scores * width, k.numel),
    )
    sums = out.numel
    mask = call.optional_tensor("attn_mask") or call.optional_tensor("attn_bias")
    spread = scores - mask.numel if mask is not None and call.args.get("mask_gradient") else 0
    return OperatorWork(
        sites,
        OpCounts.of(
            number_format,
            mul=3 * scores + sums,
            add=2 * scores + sums - heads * rows + (scores if _is_masked(call) else 0) + spread,
            transcendental=scores,
        )
        + _dropout_counts(call, scores, 4),
    )


def _output_of(call: OpCall) -> TensorSpec:
    """The forward's output, or its gradient, which has the same shape."""
    return call.optional_tensor("out") or call.tensor("grad_out")
