"""The state of a module, of a tensor, or of any value, as a hashable that equals only equal states.

A value that cannot be read completely raises UnreadableError, such as a tensor among a module's attributes, a
closure, a file, or an object whose state is in C.
"""

from __future__ import annotations

import enum
import types
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn

from addercost.trace.attended_scores import known_values
from addercost.trace.modules import HOOKS
from addercost.trace.sparse import stored_values
from addercost.trace.tensor_copies import PLAIN_OBJECT_BYTES

_ATOMS = (
    type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range,
    torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format,
)  # fmt: skip
_FUNCTIONS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_MAX_DEPTH = 12

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


class UnreadableError(Exception):
    """A value cannot be read completely."""


def frozen(value: Any, objects: bool = True, depth: int = 0) -> Hashable:
    """A hashable that equals another one only if both values are equal, also in type. Raises UnreadableError.

    objects: instances of classes written in Python are read too, as their class and `__dict__`.
    """
    kind = type(value)
    if kind in _ATOMS:
        return kind, value
    if depth > _MAX_DEPTH:
        raise UnreadableError
    if kind in (list, tuple):
        return kind, tuple([frozen(item, objects, depth + 1) for item in value])
    if kind in (dict, OrderedDict):
        return kind, tuple(
            [(frozen(k, objects, depth + 1), frozen(v, objects, depth + 1)) for k, v in value.items()]
        )
    if kind in (set, frozenset):
        return kind, frozenset(frozen(item, objects, depth + 1) for item in value)
    if kind is slice:
        return kind, tuple(frozen(item, objects, depth + 1) for item in (value.start, value.stop, value.step))
    if isinstance(value, type) or kind in _FUNCTIONS:
        return kind, value
    if kind is types.FunctionType and value.__closure__ is None and not value.__dict__:
        return kind, value
    if isinstance(value, enum.Enum):
        return kind, value.name
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind, tuple([frozen(item, objects, depth + 1) for item in value])
    if objects and _is_plain_object(kind) and not isinstance(value, nn.Module | Tensor):
        return kind, frozen(vars(value), objects, depth + 1)
    raise UnreadableError


def _is_plain_object(kind: type) -> bool:
    """Whether all state of the class's instances is in their `__dict__`."""
    return (
        kind.__basicsize__ <= PLAIN_OBJECT_BYTES
        and kind.__dictoffset__ != 0
        and kind.__itemsize__ == 0
        and kind.__module__ != "builtins"
    )


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
