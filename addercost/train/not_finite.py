"""Finds the layer in which a training step's numbers first became infinite or NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def first_not_finite(model: nn.Module, images: Tensor) -> str:
    """A text about the first layer whose weights or output are not finite. Runs the forward again."""
    if not bool(torch.isfinite(images).all()):
        return "an input image is not finite"
    found: list[str] = []

    def look(name: str, module: nn.Module, output: Any) -> None:
        if found or not isinstance(output, Tensor) or bool(torch.isfinite(output).all()):
            return
        for own, tensor in module.named_parameters(recurse=False):
            if not bool(torch.isfinite(tensor).all()):
                found.append(f"{own} of layer {name} is not finite")
                return
        found.append(f"the output of layer {name} is the first that is not finite")

    handles = [
        module.register_forward_hook(lambda m, _, output, name=name: look(name, m, output))
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "every layer's output is finite, their loss is not"


def first_bad_gradient(weights: Mapping[str, Tensor], norms: Tensor) -> str:
    """A text about the first layer, in the order of the backward pass, whose gradient is not finite."""
    names = [
        name
        for name, norm in zip(weights, norms.tolist(), strict=True)
        if norm != norm or norm == float("inf")
    ]
    return f"the gradient of layer {names[-1]} is the first, going back, that is not finite"
