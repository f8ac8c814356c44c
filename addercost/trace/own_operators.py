"""addercost's own operators. torch's dispatcher shows each of them to the tracer as a single call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_KEPT: list[torch.library.Library] = []
"""Libraries that were made. An operator disappears when nothing refers to its library any more."""


def register_operator(
    name: str, computed: Callable[..., Any], shapes: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """Registers the operator `addercost.NAME`. `computed` runs on tensors with data, and without `shapes`
    also on tensors without data.
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
    """Whether a call on these tensors needs a gradient. Our own operators have none."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
