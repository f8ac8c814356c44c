"""When are two modules equal? Same class, same configuration, same shapes of parameters, equal children.

Configuration is everything a module's `__dict__` holds. A value that cannot be read whole (a tensor, a
closure, a file, an object with state out of sight) makes its module unreadable, and an unreadable module
equals nothing.
"""

from __future__ import annotations

import enum
import types
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from addercost.trace.modules import ModuleTree

_ATOMS = (
    type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range,
    torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format,
)  # fmt: skip
_FUNCTIONS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
_PLAIN_OBJECT_BYTES = object.__basicsize__ + 16
"""What an instance of a class written in Python takes without its `__dict__`: more is state in C, or slots.
"""
_DEEPEST = 12

# What nn.Module keeps for itself and its forward does not read.
_BOOKKEEPING = frozenset(
    {
        "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_is_full_backward_hook",
        "_state_dict_hooks", "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
        "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs",
        "training", "forward",
    }
)  # fmt: skip
_HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"})


class UnreadableError(Exception):
    """A value that cannot be read whole."""


def frozen(value: Any, objects: bool = True, depth: int = 0) -> Hashable:
    """A hashable equal to another one only if both values are equal, also in type. Raises UnreadableError.

    objects: instances of classes written in Python are read too, as their class and `__dict__`.
    """
    kind = type(value)
    if kind in _ATOMS:
        return kind, value
    if depth > _DEEPEST:
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
    """All state of its instances is in their `__dict__`."""
    return (
        kind.__basicsize__ <= _PLAIN_OBJECT_BYTES
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
        if name in _HOOKS:
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
    """Everything of a data-free tensor that an operator can depend on. Raises UnreadableError."""
    if type(tensor) not in (Tensor, nn.Parameter) or not tensor.is_meta or tensor.dtype.is_complex:
        raise UnreadableError
    # Operators on such a tensor are not taken apart as they are on others.
    if tensor.is_inference():
        raise UnreadableError
    return (
        tensor.dtype,
        tuple(tensor.shape),
        tensor.stride(),
        tensor.storage_offset(),
        tensor.requires_grad,
    )


class Fingerprints:
    """A small number for each module of a tree: equal ones for modules that are equal in every respect.

    numbers: gives out the numbers, for one model or for many. stand_ins: a module at several places stands
    for one of its own at each, and does not change; else a module or tensor at several places equals nothing.
    Made while every tensor is data-free and no forward is wrapped.
    """

    def __init__(self, tree: ModuleTree, numbers: Numbers, stand_ins: bool) -> None:
        self._tree = tree
        self._numbers = numbers
        self._stand_ins = stand_ins
        self._tied = frozenset() if stand_ins else _tied_tensors(tree)
        self.of: dict[int, int | None] = {}
        """By the module's id."""
        self._number(tree.root)

    def elements(self, module: nn.Module, around: frozenset[int] = frozenset()) -> int:
        """Elements of the parameters of a stand-in, at each of their places. around: what holds it."""
        number = self.of.get(id(module))
        known = self._numbers.elements.get(number) if number is not None else None
        if known is None:
            # A module that holds itself is not in itself another time.
            around |= {id(module)}
            known = sum([tensor.numel() for tensor in module._parameters.values() if tensor is not None])
            for child in module._modules.values():
                if child is not None and id(child) not in around:
                    known += self.elements(child, around)
            if number is not None:
                self._numbers.elements[number] = known
        return known

    def forget(self) -> None:
        """From now on no module is known to equal another."""
        self.of.clear()

    def _number(self, module: nn.Module) -> int | None:
        key = id(module)
        if key in self.of:
            return self.of[key]
        if key in self._tree.closed:
            number = self.of[key] = self._numbers.of_stand_ins[module]
            return number
        # A module that holds itself ends here.
        self.of[key] = None
        children = [
            (name, None if child is None else self._number(child) or 0)
            for name, child in module._modules.items()
        ]
        if not self._stand_ins:
            number = self._read(module, tuple(children))
        else:
            known = self._numbers.of_stand_ins
            number = known.get(module, 0)
            if number == 0:
                number = known[module] = self._read(module, tuple(children))
        self.of[key] = number
        return number

    def _read(self, module: nn.Module, children: tuple[tuple[str, int | None], ...]) -> int | None:
        own = [*module._parameters.values(), *module._buffers.values()]
        if (
            any(number == 0 for _, number in children)
            or any(id(tensor) in self._tied for tensor in own)
            or (not self._stand_ins and len(self._tree.paths[id(module)]) > 1)
            or "forward" in module.__dict__
        ):
            return None
        try:
            return self._numbers.of((own_state(module), children))
        except (UnreadableError, TypeError):
            return None


class Numbers:
    """Small numbers in the place of deep fingerprints. None is given out twice, also after forgetting."""

    def __init__(self) -> None:
        self.of_stand_ins: WeakKeyDictionary[nn.Module, int | None] = WeakKeyDictionary()
        self.elements: dict[int, int] = {}
        """Of the parameters of stand-ins."""
        self._known: dict[Hashable, int] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, state: Hashable) -> int:
        number = self._known.get(state)
        if number is None:
            self._last += 1
            number = self._known[state] = self._last
        return number

    def is_known_stand_in(self, module: nn.Module) -> bool:
        return self.of_stand_ins.get(module) is not None

    def clear(self) -> None:
        self._known.clear()
        self.elements.clear()
        self.of_stand_ins.clear()


def _tied_tensors(tree: ModuleTree) -> frozenset[int]:
    """Tensors held at more than one place: under which name they are recorded depends on the whole model."""
    seen: set[int] = set()
    tied: set[int] = set()
    for _, _, _, tensor, _ in tree.tensors():
        (tied if id(tensor) in seen else seen).add(id(tensor))
    return frozenset(tied)
