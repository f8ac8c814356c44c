"""Turns the convolutions and linear layers of a model into another arithmetic, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from addercost.arithmetic import Arithmetic, arithmetic_named
from addercost.errors import ModelError
from addercost.layers.factory import CONVOLUTIONS, LINEARS, conv2d, linear
from addercost.layers.module import IntOrPair, KernelConv2d, KernelLinear


def convert(model: nn.Module, arithmetic: Arithmetic | str, keep_first_last: bool = True) -> nn.Module:
    """A copy of `model` whose `nn.Conv2d`, `nn.Linear` and addercost layers compute in `arithmetic`.

    Weights, biases, dtype, device, training mode and `requires_grad` are kept, so MAC to ADDER and back is
    the model one began with; a module used in several places stays one module. `keep_first_last` leaves the
    first and last of them (in the order of `model.modules()`) as they are, as the papers do.
    Subclasses of `nn.Conv2d` and `nn.Linear` stay as they are, since their forward may do something else.
    Raises ModelError for a convolution with string or non-zero-filled padding that has no such form,
    ArgumentError for an unknown arithmetic.
    """
    wanted = arithmetic_named(arithmetic)
    converted = copy.deepcopy(model)
    sites = {id(module): module for module in converted.modules() if _is_site(module)}
    if keep_first_last:
        kept = list(sites)
        for key in {*kept[:1], *kept[-1:]}:
            del sites[key]
    return with_replaced(converted, {key: _converted(module, wanted) for key, module in sites.items()})


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


def _is_site(module: nn.Module) -> bool:
    return type(module) in (nn.Conv2d, nn.Linear, *CONVOLUTIONS.values(), *LINEARS.values())


def _converted(module: nn.Module, arithmetic: Arithmetic) -> nn.Module:
    current = type(module)
    with torch.device("meta"):
        if isinstance(module, nn.Conv2d | KernelConv2d):
            new = conv2d(
                arithmetic,
                module.in_channels,
                module.out_channels,
                _pair(module.kernel_size),
                stride=_pair(module.stride),
                padding=_padding(module),
                dilation=_pair(module.dilation),
                groups=module.groups,
                bias=module.bias is not None,
            )
        else:
            assert isinstance(module, nn.Linear | KernelLinear)
            new = linear(arithmetic, module.in_features, module.out_features, bias=module.bias is not None)
    if type(new) is current:
        return module
    # The parameters themselves, not copies: shared ones stay shared, and names, dtype and device are kept.
    new._parameters.update(module._parameters)
    new.train(module.training)
    return new


def _pair(value: tuple[int, ...]) -> IntOrPair:
    return value[0], value[1]


def _padding(module: nn.Conv2d | KernelConv2d) -> IntOrPair:
    if isinstance(module, KernelConv2d):
        return module.padding
    if module.padding_mode != "zeros" and module.padding not in ("valid", (0, 0)):
        raise ModelError(
            f"cannot convert a convolution with padding_mode={module.padding_mode!r}",
            "put an explicit padding layer before it",
        )
    if module.padding == "valid":
        return 0, 0
    if module.padding == "same":
        reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(r % 2 for r in reach):
            raise ModelError(
                f"cannot convert padding='same' of the even filter {tuple(module.kernel_size)}, "
                "it is unsymmetrical",
                "put an explicit nn.ZeroPad2d before it",
            )
        return reach[0] // 2, reach[1] // 2
    assert not isinstance(module.padding, str)
    return _pair(module.padding)
