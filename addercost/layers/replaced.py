"""Replaces modules of a model by others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def with_replaced(model: nn.Module, new: Mapping[int, nn.Module]) -> nn.Module:
    """`model`, in which modules are replaced in place by those that `new` has for their ids. If `model`
    itself is replaced, its replacement.
    """
    if id(model) in new:
        return new[id(model)]
    for parent in model.modules():
        # Not named_children(), which yields a module only once even if it has two names.
        for name, child in parent._modules.items():
            if child is not None and id(child) in new:
                setattr(parent, name, new[id(child)])
    return model
