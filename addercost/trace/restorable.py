"""The kinds of values that a forward can change in place, with how each is saved, and restored where it
differs.

Everything is read and written by the methods of the built-in base class, or directly in `__dict__` and slots.
No class written in Python can then refuse it or react to it.
"""

from __future__ import annotations

import gc
import random
import types
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor

_MOST_COPIED = 1_000_000
"""The most entries of a container, or bytes of an array, that are copied."""

_LIBRARIES = ("torch", "builtins", "collections", "typing", "abc", "enum", "functools", "itertools")
"""Packages whose classes no forward changes."""

_OF_OTHER_THREADS = ("threading", "queue", "logging", "multiprocessing", "concurrent", "asyncio", "weakref")
"""Packages whose objects other threads may change at any time. Restoring these would do harm."""

UNCHANGING = (
    type(None), bool, int, float, complex, str, bytes, range, slice, type(Ellipsis), type(NotImplemented),
    torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Size, frozenset,
    types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.GetSetDescriptorType, types.MemberDescriptorType, property,
    classmethod, staticmethod, types.CodeType, types.MappingProxyType,
)  # fmt: skip


class CannotRestoreError(Exception):
    """A changed value cannot be set back."""


class Restorable(NamedTuple):
    """How one kind of value is saved and restored.

    save: returns what `restore` needs later. restore(value, saved): changes the value only where it differs,
    and raises where it cannot. contents(value, saved): what the value refers to.
    """

    save: Callable[[Any], Any]
    restore: Callable[[Any, Any], None]
    contents: Callable[[Any, Any], Iterable[Any]] = lambda value, saved: ()


def restorables(kind: type) -> tuple[Restorable, ...]:
    """How instances of that class are saved; empty for a class whose instances cannot change."""
    if issubclass(kind, UNCHANGING) or _package(kind) in _OF_OTHER_THREADS:
        return ()
    found = [restorable for base, restorable in _BY_BASE if issubclass(kind, base)][:1]
    if not found and issubclass(kind, Iterator) and _package(kind) in ("builtins", "itertools"):
        found = [_ITERATOR]
    if not found and _package(kind) == "numpy":
        found = _of_numpy(kind)
    if issubclass(kind, type | Tensor):
        return tuple(found)
    if kind.__dictoffset__:
        found.append(_ATTRIBUTES)
    if slots_of(kind):
        found.append(SLOTS)
    if found and not is_library(kind):
        found.append(_ITS_CLASS)
    return tuple(found)


def is_library(kind: type) -> bool:
    return _package(kind) in _LIBRARIES


def _package(kind: type) -> str:
    # A class written in C may have a descriptor of that name.
    return str(kind.__module__).partition(".")[0]


def _same(now: Iterable[Any], saved: Iterable[Any]) -> bool:
    return all(map(is_, now, saved))


def _items(value: dict[Any, Any]) -> Iterable[tuple[Any, Any]]:
    # An ordered dict keeps its order separately from the dict that it is based on.
    return OrderedDict.items(value) if isinstance(value, OrderedDict) else dict.items(value)


def _save_dict(value: dict[Any, Any]) -> dict[Any, Any] | int:
    return dict(_items(value)) if dict.__len__(value) <= _MOST_COPIED else dict.__len__(value)


def restore_dict(value: dict[Any, Any], saved: Mapping[Any, Any] | int) -> None:
    if isinstance(saved, int):
        _require_length(dict.__len__(value), saved)
        return
    ordered = isinstance(value, OrderedDict)
    base: Any = OrderedDict if ordered else dict
    keys, contents = base.keys(value), base.values(value)
    if dict.__len__(value) == len(saved) and _same(contents, saved.values()) and _same(keys, saved):
        return
    if not ordered:
        dict.clear(value)
        dict.update(value, saved)
        return
    OrderedDict.clear(value)
    for key, content in saved.items():
        OrderedDict.__setitem__(value, key, content)


def _save_list(value: list[Any]) -> list[Any] | int:
    return list.copy(value) if list.__len__(value) <= _MOST_COPIED else list.__len__(value)


def _restore_list(value: list[Any], saved: list[Any] | int) -> None:
    if isinstance(saved, int):
        _require_length(list.__len__(value), saved)
    elif list.__len__(value) != len(saved) or not _same(list.__iter__(value), saved):
        list.__setitem__(value, slice(None), saved)


def _require_length(now: int, saved: int) -> None:
    if now != saved:
        raise CannotRestoreError(f"it had {saved:,} entries, too many to keep a copy of them")


def _restore_set(value: set[Any], saved: frozenset[Any]) -> None:
    if set.__len__(value) != len(saved) or not set.issubset(value, saved):
        set.clear(value)
        set.update(value, saved)


def _restore_deque(value: deque[Any], saved: list[Any]) -> None:
    if deque.__len__(value) != len(saved) or not _same(deque.__iter__(value), saved):
        deque.clear(value)
        deque.extend(value, saved)


def _restore_bytearray(value: bytearray, saved: bytes) -> None:
    if value != saved:
        bytearray.__setitem__(value, slice(None), saved)


def _save_tensor(value: Tensor) -> tuple[bool, Tensor | None] | None:
    """Its values are saved only when they are written (`written_tensors`)."""
    return (value.requires_grad, value.grad) if value.is_leaf else None


def _restore_tensor(value: Tensor, saved: tuple[bool, Tensor | None] | None) -> None:
    if saved is None:
        return
    requires_grad, grad = saved
    if value.requires_grad is not requires_grad:
        value.requires_grad_(requires_grad)
    if value.grad is not grad:
        value.grad = grad


def _restore_generator(value: torch.Generator, saved: Tensor) -> None:
    if not torch.equal(value.get_state(), saved):
        value.set_state(saved)


def _restore_random(value: random.Random, saved: Any) -> None:
    if value.getstate() != saved:
        value.setstate(saved)


def _progress(value: types.GeneratorType[Any, Any, Any]) -> Any:
    """The state of a Python generator: its next instruction, its variables, and the iterators of its
    loops.
    """
    frame = value.gi_frame
    if frame is None:
        return None
    variables = gc.get_referents(value)
    loops = [_reduced(item) for item in variables if isinstance(item, Iterator)]
    return frame.f_lasti, tuple(variables), tuple(loops)


def _check_progress(value: types.GeneratorType[Any, Any, Any], saved: Any) -> None:
    if not _equal_states(_progress(value), saved):
        raise CannotRestoreError("a generator that ran on")


def _reduced(value: Any) -> Any:
    """An iterator's state, as pickling would save it."""
    if isinstance(value, types.GeneratorType):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return value.__reduce__()
        except Exception:
            return repr(value)


def _restore_iterator(value: Any, saved: Any) -> None:
    now = _reduced(value)
    if _equal_states(now, saved):
        return
    if isinstance(now, tuple) and isinstance(saved, tuple) and len(now) == len(saved) == 3:
        value.__setstate__(saved[2])
        if _equal_states(_reduced(value), saved):
            return
    raise CannotRestoreError("an iterator that went on")


def _equal_states(one: Any, other: Any) -> bool:
    """Whether two states have the same objects in them. Numbers and texts are compared by value."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_equal_states, one, other))
    return one is other or (type(one) is type(other) and isinstance(one, int | str | range) and one == other)


def _iterated(value: Any, saved: Any) -> Iterable[Any]:
    """What an iterator takes its items from, including other iterators."""
    for part in saved if isinstance(saved, tuple) else ():
        yield from part if isinstance(part, tuple) else ()


def _attributes(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(value, "__dict__")
    return found


def _restore_attributes(value: Any, saved: Mapping[str, Any]) -> None:
    restore_dict(_attributes(value), saved)


def slots_of(kind: type) -> tuple[types.MemberDescriptorType, ...]:
    """The slots that Python code declared for instances of a class."""
    return tuple(
        [
            slot
            for base in kind.__mro__
            if "__slots__" in vars(base) and base.__module__ != "builtins"
            for slot in vars(base).values()
            if isinstance(slot, types.MemberDescriptorType)
        ]
    )


_ABSENT = object()


def _content(slot: types.MemberDescriptorType, value: Any) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:
        return _ABSENT


def _save_slots(value: Any) -> list[tuple[types.MemberDescriptorType, Any]]:
    return [(slot, _content(slot, value)) for slot in slots_of(type(value))]


def _restore_slots(value: Any, saved: list[tuple[types.MemberDescriptorType, Any]]) -> None:
    for slot, content in saved:
        if _content(slot, value) is content:
            continue
        if content is _ABSENT:
            slot.__delete__(value)
        else:
            slot.__set__(value, content)


def _save_class(kind: type) -> dict[str, Any]:
    return {} if is_library(kind) else dict(vars(kind))


def _restore_class(kind: type, saved: Mapping[str, Any]) -> None:
    now = vars(kind)
    if not saved or (len(now) == len(saved) and _same(now.values(), saved.values())):
        return
    for name in [name for name in now if name not in saved]:
        if not name.startswith("__"):
            type.__delattr__(kind, name)
    for name, content in saved.items():
        if not name.startswith("__") and (name not in now or now[name] is not content):
            type.__setattr__(kind, name, content)


def _of_class(kind: type, saved: Mapping[str, Any]) -> Iterable[Any]:
    yield from kind.__bases__ if saved else ()
    for name, content in saved.items():
        if not name.startswith("__"):
            yield content


def _of_numpy(kind: type) -> list[Restorable]:
    import numpy as np

    if issubclass(kind, np.ndarray):
        return [Restorable(_save_array, _restore_array)]
    if issubclass(kind, np.random.Generator):
        return [Restorable(_save_bit_generator, _restore_bit_generator)]
    if issubclass(kind, np.random.RandomState):
        return [Restorable(kind.get_state, kind.set_state)]
    return []


def _save_array(value: Any) -> Any:
    return value.copy() if value.nbytes <= _MOST_COPIED and not value.dtype.hasobject else None


def _restore_array(value: Any, saved: Any) -> None:
    if saved is not None and value.tobytes() != saved.tobytes():
        value[...] = saved


def _save_bit_generator(value: Any) -> Any:
    return value.bit_generator.state


def _restore_bit_generator(value: Any, saved: Any) -> None:
    value.bit_generator.state = saved


def _values(value: Any, saved: Any) -> Iterable[Any]:
    return saved.values() if isinstance(saved, Mapping) else ()


def _saved_items(value: Any, saved: Any) -> Iterable[Any]:
    return saved if isinstance(saved, list) else ()


def _nothing(value: Any, saved: Any) -> None:
    pass


DICT = Restorable(_save_dict, restore_dict, _values)
LIST = Restorable(_save_list, _restore_list, _saved_items)
CLASS = Restorable(_save_class, _restore_class, _of_class)
SLOTS = Restorable(_save_slots, _restore_slots, lambda value, saved: [content for _, content in saved])
_ATTRIBUTES = Restorable(lambda value: dict(_attributes(value)), _restore_attributes, _values)
_ITS_CLASS = Restorable(type, _nothing, lambda value, saved: (saved,))
_ITERATOR = Restorable(_reduced, _restore_iterator, _iterated)

_BY_BASE: tuple[tuple[type, Restorable], ...] = (
    (Tensor, Restorable(_save_tensor, _restore_tensor)),
    (dict, DICT),
    (list, LIST),
    (type, CLASS),
    (set, Restorable(lambda value: frozenset(set.__iter__(value)), _restore_set)),
    (deque, Restorable(lambda value: list(deque.__iter__(value)), _restore_deque, _saved_items)),
    (tuple, Restorable(lambda value: None, _nothing, lambda value, saved: tuple.__iter__(value))),
    (bytearray, Restorable(bytes, _restore_bytearray)),
    (types.MethodType, Restorable(lambda value: None, _nothing, lambda value, saved: (value.__self__,))),
    (torch.Generator, Restorable(torch.Generator.get_state, _restore_generator)),
    (random.Random, Restorable(random.Random.getstate, _restore_random)),
    (types.GeneratorType, Restorable(_progress, _check_progress)),
)
