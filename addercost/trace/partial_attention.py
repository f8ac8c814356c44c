"""Attention that computes some of the scores, as one operator, and its gradients as one more.

A kernel for masks in blocks leaves out the blocks that a mask hides, so the shapes do not say how many scores
it computes. Whoever calls the operator says it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from addercost.trace.own_operators import register_operator


def partial_attention(query: Tensor, key: Tensor, value: Tensor, scores: int) -> Tensor:
    """q: [B, H, L, E], k: [B, G, S, E], v: [B, G, S, D]; scores: how many are computed, of all heads.
    Returns an output of [B, H, L, D] without its values. Autograd records one node for it.
    """
    tensors = (query, key, value)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        made: Tensor = _WithGradients.apply(scores, *tensors)  # type: ignore[no-untyped-call]
        return made
    out: Tensor = _operators()[0](*tensors, scores)
    return out


class _WithGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: int, *tensors: Tensor) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            out = _operators()[0](*tensors, scores)
        ctx.scores = scores
        ctx.save_for_backward(*tensors, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return None, *_operators()[1](gradients[0], *ctx.saved_tensors, ctx.scores)


def _forward(query: Tensor, key: Tensor, value: Tensor, scores: int) -> Tensor:
    return query.new_zeros((*query.shape[:-1], value.shape[-1]))


def _backward(
    grad_out: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, scores: int
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)


@cache
def _operators() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`addercost.partial_attention` and its gradients, registered when a first model needs them."""
    return (
        register_operator("partial_attention", _forward),
        register_operator("partial_attention_backward", _backward),
    )
