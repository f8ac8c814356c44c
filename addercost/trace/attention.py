"""Keeps attention one operator while a model is traced, and its gradients another one.

torch decomposes scaled dot-product attention before a dispatch mode sees it. The mode then sees the products,
the softmax and copies in other number formats of one slow way to compute it. Here attention reaches the mode
whole.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from addercost.trace.own_operators import register_operator
from addercost.trace.shape_registry import fast, new

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_KEYS = ("AutogradMeta", "AutogradCPU")


class _Tracing(threading.local):
    active = False
    """Whether this thread is tracing a model and wants attention as one operator."""


_TRACING = _Tracing()


@contextmanager
def whole_attention() -> Iterator[None]:
    """While active, this thread's attention is dispatched as `aten.scaled_dot_product_attention`, and its
    gradients as `addercost.attention_backward`. Other threads are not affected.

    Only one thread at a time may enter: it registers a kernel with torch's dispatcher, and removes it
    afterwards.
    """
    if _TRACING.active:
        yield
        return
    library = torch.library.Library("aten", "IMPL")
    _TRACING.active = True
    try:
        for key in _KEYS:
            library.impl("scaled_dot_product_attention", _attention, key)
        yield
    finally:
        _TRACING.active = False
        library._destroy()


def is_whole() -> bool:
    """Whether this thread traces attention as one operator."""
    return _TRACING.active


def _attention(*args: Any, **kwargs: Any) -> Any:
    if not _TRACING.active:
        return _ATTENTION._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
    given = _Arguments(*args, **kwargs)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given.tensors):
        return _WithGradients.apply(given, *given.tensors)  # type: ignore[no-untyped-call]
    with torch._C._AutoDispatchBelowAutograd():
        return _ATTENTION(*args, **kwargs)


class _Arguments:
    """The arguments of one call, as in the operator's schema."""

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        self.tensors = (query, key, value, attn_mask)
        self.options = (dropout_p, is_causal)
        self.named = {"scale": scale, "enable_gqa": enable_gqa}


class _WithGradients(torch.autograd.Function):
    """Attention as one node of the autograd graph."""

    @staticmethod
    def forward(ctx: Any, given: _Arguments, *tensors: Tensor | None) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            out = _ATTENTION(*tensors, *given.options, **given.named)
        # Not the tensors among the arguments: the graph would keep them alive for too long.
        ctx.options, ctx.named = given.options, given.named
        ctx.save_for_backward(*tensors, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        *tensors, out = ctx.saved_tensors
        named = {**ctx.named, "mask_gradient": bool(ctx.needs_input_grad[4])}
        found = _backward_operator()(gradients[0], *tensors, out, *ctx.options, **named)
        wanted = ctx.needs_input_grad[1:]
        return None, *(gradient if needed else None for gradient, needed in zip(found, wanted, strict=True))


@cache
def _backward_operator() -> Any:
    """The operator `addercost.attention_backward`, registered when a training step first needs it.

    It has the arguments of the function `attention_backward`. If the mask needs no gradient, that gradient is
    empty.
    """
    return register_operator("attention_backward", attention_backward, _backward_shapes)


def _backward_shapes(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    *rest: Any,
    **named: Any,
) -> tuple[Tensor, ...]:
    made = [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (query, key, value)]
    mask = attn_mask.shape if attn_mask is not None and named["mask_gradient"] else (0,)
    return *made, torch.empty(mask, dtype=query.dtype, device=query.device)


def attention_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    out: Tensor,
    dropout_p: float,
    is_causal: bool,
    *,
    scale: float | None,
    enable_gqa: bool,
    mask_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients, by their formulas. Which scores dropout dropped is no longer known, so none is dropped
    here.
    """
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    groups = query.shape[-3] // key.shape[-3] if enable_gqa else 1
    k, v = (t.repeat_interleave(groups, -3) if enable_gqa else t for t in (key, value))
    scores = query @ k.mT * factor
    if is_causal:
        kept = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~kept, -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    p = torch.softmax(scores, -1)
    ds = p * (grad_out @ v.mT - (grad_out * out).sum(-1, keepdim=True))
    found = [ds @ k * factor, ds.mT @ query * factor, p.mT @ grad_out]
    if enable_gqa:
        found[1:] = [_summed(gradient, groups) for gradient in found[1:]]
    mask = ds.sum_to_size(attn_mask.shape) if attn_mask is not None and mask_gradient else ds.new_empty(0)
    gradients = [g.sum_to_size(t.shape) for g, t in zip(found, (query, key, value), strict=True)]
    return gradients[0], gradients[1], gradients[2], mask


def _summed(gradient: Tensor, groups: int) -> Tensor:
    """The sum over the query heads that share one key head."""
    summed: Tensor = gradient.unflatten(-3, (-1, groups)).sum(-3)
    return summed


@fast(_ATTENTION)
def _shape(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """The output's shape, in the layout of the query. Fused kernels write it so."""
    q, k, v = query.shape, key.shape, value.shape
    if (
        not (query.is_meta and key.is_meta and value.is_meta)
        or not query.dtype == key.dtype == value.dtype
        or not query.is_floating_point()
        or not len(q) == len(k) == len(v) == 4
        or q[3] != k[3]
        or k[:3] != v[:3]
        or q[0] != k[0]
        or (q[1] != k[1] and not (enable_gqa and k[1] and q[1] % k[1] == 0))
        or min(q) < 1
        or min(k) < 1
        or v[3] < 1
        or (attn_mask is not None and not _fits(attn_mask, query, key, is_causal))
    ):
        return NotImplemented
    return torch.empty_like(query) if q[3] == v[3] else new(query, (*q[:3], v[3]))


def _fits(mask: Tensor, query: Tensor, key: Tensor, is_causal: bool) -> bool:
    whole = (*query.shape[:3], key.shape[2])
    return (
        mask.is_meta
        and not is_causal
        and mask.dtype in (torch.bool, query.dtype)
        and 2 <= mask.dim() <= 4
        and all(m in (1, n) for m, n in zip(reversed(mask.shape), reversed(whole), strict=False))
    )
