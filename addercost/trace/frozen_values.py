"""Any value as a hashable that equals only those of equal values, to compare modules and their arguments."""

from __future__ import annotations

import enum
import types
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

ATOMS = (
    type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range,
    torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format,
)  # fmt: skip
"""Types whose instances never change and have no parts."""

_FUNCTIONS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_MAX_DEPTH = 12
_PLAIN_OBJECT_BYTES = object.__basicsize__ + 16
"""The size of an instance of a class written in Python, without its `__dict__`. A larger one has state in C
or in slots.
"""


class UnreadableError(Exception):
    """A value cannot be read completely."""


def _refused(value: Any, depth: int) -> Hashable:
    raise UnreadableError


def frozen(
    value: Any,
    objects: bool = True,
    depth: int = 0,
    other: Callable[[Any, int], Hashable] = _refused,
) -> Hashable:
    """A hashable that equals another one only if both values are equal, also in type.

    objects: instances of classes written in Python are read too, as their class and `__dict__`. other: what
    stands for a value that cannot be read, given the value and its depth, such as a tensor, a closure, a
    file, or an object whose state is in C. Without it such a value raises UnreadableError.
    """
    kind = type(value)
    if kind in ATOMS:
        return kind, value
    if depth > _MAX_DEPTH:
        return other(value, depth)
    below = depth + 1
    if kind in (list, tuple):
        return kind, tuple([frozen(item, objects, below, other) for item in value])
    if kind in (dict, OrderedDict):
        return kind, tuple(
            [(frozen(k, objects, below, other), frozen(v, objects, below, other)) for k, v in value.items()]
        )
    if kind in (set, frozenset):
        return kind, frozenset(frozen(item, objects, below, other) for item in value)
    if kind is slice:
        return kind, tuple(
            frozen(end, objects, below, other) for end in (value.start, value.stop, value.step)
        )
    if isinstance(value, type) or kind in _FUNCTIONS:
        return kind, value
    if kind is types.FunctionType and value.__closure__ is None and not value.__dict__:
        return kind, value
    if isinstance(value, enum.Enum):
        return kind, value.name
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind, tuple([frozen(item, objects, below, other) for item in value])
    if objects and is_plain_object(kind) and not isinstance(value, nn.Module | Tensor):
        return kind, frozen(vars(value), objects, below, other)
    return other(value, depth)


def is_plain_object(kind: type) -> bool:
    """Whether all state of the class's instances is in their `__dict__`."""
    return (
        kind.__basicsize__ <= _PLAIN_OBJECT_BYTES
        and kind.__dictoffset__ != 0
        and kind.__itemsize__ == 0
        and kind.__module__ != "builtins"
    )
