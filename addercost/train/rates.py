"""The learning rate of adder layers: AdderNet's adaptive rate and its alternatives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from addercost.layers.adder import AdderConv2d, AdderLinear
from addercost.layers.module import KernelConv2d, KernelLinear
from addercost.train.settings import AdderGradient, AdderRate, Optimizer, TrainSettings

SMALLEST_NORM = 1e-12
"""A smaller norm of a gradient is replaced by this, so that a gradient of zeros stays zero."""


def layer_weights(model: nn.Module) -> dict[str, Tensor]:
    """The trained weights of every convolution and linear layer, of any arithmetic, by the layer's path."""
    return {
        name or "(model)": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear | KernelConv2d | KernelLinear)
        and module.weight.requires_grad
    }


def adder_weights(model: nn.Module) -> list[Tensor]:
    """The trained weights of all adder layers."""
    return [
        module.weight
        for module in model.modules()
        if isinstance(module, AdderConv2d | AdderLinear) and module.weight.requires_grad
    ]


def set_adder_gradient(model: nn.Module, gradient: AdderGradient) -> None:
    """Selects full-precision gradients, or signs, in every adder layer."""
    for module in model.modules():
        if isinstance(module, AdderConv2d | AdderLinear):
            module.gradient = str(gradient)


def scale_adaptively(weights: Sequence[Tensor], eta: float) -> None:
    """Multiplies the gradient of each weight by η√k / ‖gradient‖₂ in place, where k is its number of
    elements.

    Afterwards every gradient has the norm η√k, unless all of it is zero. Call this between `backward` and the
    optimizer's step: momentum and weight decay then use the scaled gradient, as in the authors' code. Source:
    Chen et al., CVPR 2020, section 3.3.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if not gradients:
        return
    scales = [
        norm.clamp_min(SMALLEST_NORM).reciprocal_().mul_(eta * math.sqrt(gradient.numel()))
        for norm, gradient in zip(torch._foreach_norm(gradients), gradients, strict=True)
    ]
    torch._foreach_mul_(gradients, scales)


def gradient_norms(weights: Mapping[str, Tensor]) -> Tensor:
    """The ℓ2 norms of the gradients, [layers], in the order of `weights`. The norm is 0 for a weight without
    a gradient.
    """
    gradients = [
        weight.grad if weight.grad is not None else torch.zeros_like(weight) for weight in weights.values()
    ]
    return torch.stack(torch._foreach_norm(gradients)) if gradients else torch.zeros(0)


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.SGD:
    """SGD over all parameters that learn. With the increased rate, adder weights are a group of their own.

    Each group has a `factor`, by which `set_learning_rate` multiplies the rate.
    """
    adders = adder_weights(model) if settings.rate is AdderRate.INCREASED else []
    apart = {id(weight) for weight in adders}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]
    groups = [{"params": others, "factor": 1.0}] if others else []
    if adders:
        groups.append({"params": adders, "factor": settings.increase})
    return torch.optim.SGD(
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.optimizer is Optimizer.NAG,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
