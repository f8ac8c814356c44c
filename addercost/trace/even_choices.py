"""Which positions a call chooses by scores, such as a router's experts, where the scores have no values.

A mixture of experts may compute its experts in a loop over those that some token chose. Without values nobody
knows the choice. But a model is trained so that its experts get equally many tokens, and what a forward costs
hardly depends on which ones. So a run without data may assume the even choice. The same is assumed of every
other choice by scores in that run, and a note of the trace names the operators that chose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_POSITION_OF_INDICES = {"topk": 1, "sort": 1, "max": 1, "argmax": 0, "argsort": 0}
"""Operators (`aten`) that return positions of the largest scores, and which output these are."""


def chosen(
    name: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]
) -> tuple[Tensor, int] | None:
    """(scores, dim) of a call that chooses the positions of the largest scores along that dimension; None
    for another call.
    """
    at = _POSITION_OF_INDICES.get(name)
    if at is None or len(outputs) != at + 1:
        return None
    named = {**dict(zip((a.name for a in func._schema.arguments), args, strict=False)), **kwargs}
    scores, dim = named["self"], named.get("dim", -1)
    if dim is None or not isinstance(scores, Tensor) or not scores.dim():
        return None
    return scores, dim % scores.dim()


def even_choice(scores: Sequence[int], positions: Sequence[int], dim: int) -> Tensor:
    """The positions that a call chooses along `dim`. scores, positions: the shapes of its scores and of what
    it returns.

    Row i chooses the positions ⌊j·n/k⌋ + i (mod n) for j = 0 … k − 1, which are all different. So n rows
    choose each of the n positions k times, and the choice of one row is spread over all positions.
    """
    n = scores[dim]
    others = [size if d != dim else 1 for d, size in enumerate(scores)]
    rows = torch.arange(math.prod(others)).view(others)
    k = math.prod(positions) // max(rows.numel(), 1)
    places = (torch.arange(k) * n // max(k, 1)).view([k if d == dim else 1 for d in range(len(scores))])
    return ((rows + places) % max(n, 1)).view(tuple(positions))
