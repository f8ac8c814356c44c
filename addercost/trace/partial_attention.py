"""Attention that computes only some of the scores, as one operator, and its gradients as another one.

A kernel for block masks skips the blocks that a mask hides, so the shapes do not determine how many scores it
computes. The caller of the operator passes their number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from addercost.trace.own_operators import register_operator


def partial_attention(query: Tensor, key: Tensor, value: Tensor, scores: int) -> Tensor:
    """Attention with only `scores` scores, counted over all heads. q: [B, H, L, E], k: [B, G, S, E], v: [B,
    G, S, D].

    Returns an output [B, H, L, D] whose values are not computed. For autograd it is one node.
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
    """The operator `addercost.partial_attention` and that of its gradients, registered when a model first
    needs them.
    """
    return (
        register_operator("partial_attention", _forward),
        register_operator("partial_attention_backward", _backward),
    )
