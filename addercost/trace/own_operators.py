"""Operators of our own, which torch's dispatcher shows to the tracer as single calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_KEPT: list[torch.library.Library] = []
"""A library that is not referred to takes its operators with it."""


def register_operator(
    name: str, computed: Callable[..., Any], shapes: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """The operator `addercost.NAME`: `computed` on tensors with data, and on those without where `shapes` is
    not given.
    """
    library = torch.library.Library("addercost", "FRAGMENT")
    _KEPT.append(library)
    library.define(name + torch.library.infer_schema(computed, mutates_args=()))
    if shapes is not None:
        library.impl(name, shapes, "Meta")
    library.impl(name, computed, "CompositeExplicitAutograd")
    operator: Callable[..., Any] = getattr(torch.ops.addercost, name).default
    return operator


def asks_gradient(tensors: Iterable[Tensor | None]) -> bool:
    """Whether a call on these tensors has a gradient, which operators of our own do not have."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
