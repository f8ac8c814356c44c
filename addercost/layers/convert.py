"""Converts the convolutions and linear layers of a model to another arithmetic, and back."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from addercost.arithmetic import Arithmetic, arithmetic_named
from addercost.counts.arithmetics import layered
from addercost.errors import ModelError
from addercost.layers.factory import CONVOLUTIONS, LINEARS, conv2d, linear
from addercost.layers.fuse import fuse as fuse_network
from addercost.layers.module import IntOrPair, KernelConv2d, KernelLinear
from addercost.layers.replaced import with_replaced


def convert(
    model: nn.Module, arithmetic: Arithmetic | str, keep_first_last: bool = True, fuse: bool = False
) -> nn.Module:
    """A copy of `model` whose `nn.Conv2d`, `nn.Linear` and addercost layers compute in `arithmetic`.

    Weights, biases, hooks, dtype, device, training mode and `requires_grad` are kept, so converting MAC to
    ADDER and back gives the original model. A module that is used in several places stays one module.
    keep_first_last: the first and the last of these layers (in the order of `model.modules()`) stay as they
    are, as in the papers. Only linear layers can be ternary (`BitLinear`); convolutions then stay as they
    are. Subclasses of `nn.Conv2d` and `nn.Linear` stay too, because their forward may do something else.
    fuse: adder layers also compute the batch norms and ReLUs that follow them, for inference (`layers.fuse`).
    Raises ModelError, with the layer's name, for a convolution whose padding cannot be converted (a
    `padding_mode` other than zeros, or an unsymmetrical padding="same") and for a weight that is computed
    from others (parametrisations, spectral and weight norm, pruning). Raises ArgumentError for an unknown
    arithmetic.
    """
    wanted = arithmetic_named(arithmetic)
    if wanted not in LINEARS:
        layered(wanted)
    sites = [(path, module) for path, module in model.named_modules() if _is_site(module)]
    if keep_first_last:
        sites = sites[1:-1]
    if wanted is Arithmetic.TERNARY:
        sites = [(path, module) for path, module in sites if isinstance(module, nn.Linear | KernelLinear)]
    for path, module in sites:
        _require_plain(
            path, module
        )  # This comes before the copy, because a computed weight cannot be copied.
    converted = copy.deepcopy(model)
    found = [(path, converted.get_submodule(path)) for path, _ in sites]
    new = {id(module): _converted(path, module, wanted) for path, module in found}
    converted = with_replaced(converted, new)
    return fuse_network(converted) if fuse else converted


def _is_site(module: nn.Module) -> bool:
    kind = type(module)
    if is_parametrized(module):
        kind = kind.__bases__[0]  # torch makes a separate class for each such module.
    return kind in (nn.Conv2d, nn.Linear, *CONVOLUTIONS.values(), *LINEARS.values())


def _require_plain(path: str, module: nn.Module) -> None:
    """Raises ModelError unless weight and bias are parameters. Otherwise what computes them would be lost."""
    if is_parametrized(module):
        how = "torch.nn.utils.parametrize.remove_parametrizations(layer, name)"
    elif "weight" not in module._parameters or ("bias" not in module._parameters):
        how = "torch.nn.utils.remove_spectral_norm, remove_weight_norm or prune.remove"
    else:
        return
    raise ModelError(
        f"cannot convert layer {path or '(the model)'}: its weight or bias is computed from other parameters",
        f"make it a parameter first, with {how}",
    )


def _converted(path: str, module: nn.Module, arithmetic: Arithmetic) -> nn.Module:
    current = type(module)
    with torch.device("meta"):
        if isinstance(module, nn.Conv2d | KernelConv2d):
            new = conv2d(
                arithmetic,
                module.in_channels,
                module.out_channels,
                _pair(module.kernel_size),
                stride=_pair(module.stride),
                padding=_padding(path, module),
                dilation=_pair(module.dilation),
                groups=module.groups,
                bias=module.bias is not None,
            )
        else:
            assert isinstance(module, nn.Linear | KernelLinear)
            new = linear(arithmetic, module.in_features, module.out_features, bias=module.bias is not None)
    if type(new) is current:
        return module
    # The same parameters, not copies, so shared ones stay shared, and names, dtype and device are kept.
    new._parameters.update(module._parameters)
    new._buffers.update(module._buffers)
    new.__dict__.update({name: value for name, value in module.__dict__.items() if "_hooks" in name})
    new._is_full_backward_hook = module._is_full_backward_hook
    new.train(module.training)
    return new


def _pair(value: tuple[int, ...]) -> IntOrPair:
    return value[0], value[1]


def _padding(path: str, module: nn.Conv2d | KernelConv2d) -> IntOrPair:
    if isinstance(module, KernelConv2d):
        return module.padding
    if module.padding_mode != "zeros" and module.padding not in ("valid", (0, 0)):
        raise ModelError(
            f"cannot convert layer {path or '(the model)'}: its padding_mode is {module.padding_mode!r}",
            "put an explicit padding layer before it",
        )
    if module.padding == "valid":
        return 0, 0
    if module.padding == "same":
        reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(r % 2 for r in reach):
            raise ModelError(
                f"cannot convert layer {path or '(the model)'}: its padding='same' of the even filter "
                f"{tuple(module.kernel_size)} is unsymmetrical",
                "put an explicit nn.ZeroPad2d before it",
            )
        return reach[0] // 2, reach[1] // 2
    assert not isinstance(module.padding, str)
    return _pair(module.padding)
