"""Modules of a model exchanged for others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def with_replaced(model: nn.Module, new: Mapping[int, nn.Module]) -> nn.Module:
    """`model` with modules exchanged in place for those under their id, or the one for `model` itself."""
    if id(model) in new:
        return new[id(model)]
    for parent in model.modules():
        # Not named_children(), which reports a module only once when it stands under two names.
        for name, child in parent._modules.items():
            if child is not None and id(child) in new:
                setattr(parent, name, new[id(child)])
    return model
