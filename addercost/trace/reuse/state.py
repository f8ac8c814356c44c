"""The state of a module or of a tensor as a hashable that equals only equal states.

A module with an attribute that cannot be read completely raises UnreadableError.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from addercost.trace.attended_scores import known_values
from addercost.trace.frozen_values import UnreadableError, frozen
from addercost.trace.modules import HOOKS
from addercost.trace.sparse import stored_values

# Attributes that nn.Module uses itself and that a forward does not read.
_BOOKKEEPING = frozenset(
    {
        "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_is_full_backward_hook",
        "_state_dict_hooks", "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
        "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs",
        "training", "forward",
    }
)  # fmt: skip


def own_state(module: nn.Module) -> Hashable:
    """Class, configuration and tensors of the module itself, without its children. Raises UnreadableError."""
    kind = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        raise UnreadableError
    entries = []
    for name, value in module.__dict__.items():
        if name in _BOOKKEEPING:
            continue
        if name in HOOKS:
            if value:
                raise UnreadableError
            continue
        entries.append((name, frozen(value)))
    tensors = tuple(
        [
            (name, None if tensor is None else tensor_state(tensor))
            for holder in (module._parameters, module._buffers)
            for name, tensor in holder.items()
        ]
    )
    return kind, tuple(entries), tuple(module._parameters), tensors


def tensor_state(tensor: Tensor) -> Hashable:
    """Everything about a data-free tensor that an operator can depend on. Raises UnreadableError."""
    if type(tensor) not in (Tensor, nn.Parameter) or not tensor.is_meta or tensor.dtype.is_complex:
        raise UnreadableError
    if tensor.layout is not torch.strided or stored_values(tensor) is not None:
        raise UnreadableError
    # A count may depend on the values of lengths. A single number, such as a count of batches, is not a
    # length.
    if tensor.dim() and not tensor.is_floating_point() and known_values(tensor) is not None:
        raise UnreadableError
    # torch decomposes fewer operators for inference tensors than for others.
    if tensor.is_inference():
        raise UnreadableError
    return (
        tensor.dtype,
        tuple(tensor.shape),
        tensor.stride(),
        tensor.storage_offset(),
        tensor.requires_grad,
    )
