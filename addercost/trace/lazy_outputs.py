"""Generators, maps and other iterators that a forward returned. They are run to their end, so that their work
is in the trace.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, ValuesView
from operator import is_not
from typing import Any

import torch
from torch import Tensor, nn

from addercost.trace.record import OpCall

_MOST_ITEMS = 10_000
"""The most items that are taken from one iterator, which may be endless."""

_MOST_CALLS = 1_000_000
"""The most operator calls that are recorded while outputs are run."""

LAZY_OUTPUT = "addercost.lazy_output.default"
"""Stands for the work of what a forward returned without computing it."""

UNREAD_INPUT = "addercost.unread_input.default"
"""Stands for the work on an input that the model reads but was not given, such as an image."""

_DEEPEST = 12
_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_COMPUTED = (
    Tensor,
    str,
    bytes,
    bytearray,
    range,
    int,
    float,
    complex,
    type(None),
    torch.Size,
    nn.Module,
    type,
)


class LazyOutputs:
    """Runs the lazy parts of one forward's output. calls: returns how many operator calls are recorded so
    far.

    cut: an iterator was stopped before its end. left: the output has a function or a promise, which only the
    caller can run, or an object with a module, which may run the module when it is used.
    """

    def __init__(self, calls: Callable[[], int]) -> None:
        self.cut = False
        self.left = False
        self._calls = calls
        self._limit = calls() + _MOST_CALLS
        self._seen: set[int] = set()

    def computed(self, value: Any, depth: int = 0) -> Any:
        """The value with a list in place of each lazy part. Without lazy parts it is the value itself."""
        if isinstance(value, _COMPUTED) or depth > _DEEPEST or id(value) in self._seen:
            return value
        if inspect.iscoroutine(value):
            return self.computed(asyncio.run(value), depth + 1)
        if isinstance(value, AsyncIterator):
            return self._items(_synchronous(value), depth)
        if isinstance(value, Iterator):
            return self._items(value, depth)
        self._seen.add(id(value))
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset | ValuesView):
            return self._sequence(value, depth)
        if isinstance(value, torch.futures.Future):
            return self.computed(value.wait(), depth + 1)
        if isinstance(value, concurrent.futures.Future):
            return self.computed(value.result(), depth + 1)
        if isinstance(value, _FUNCTIONS) or inspect.isawaitable(value):
            self.left = True
            return value
        self._object(value, depth)
        return value

    def _items(self, iterator: Iterator[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for item in iterator:
            found.append(self.computed(item, depth + 1))
            if len(found) >= _MOST_ITEMS or self._calls() > self._limit:
                self.cut = True
                break
        return found

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        items = {key: value[key] for key in value}
        made = {key: self.computed(item, depth + 1) for key, item in items.items()}
        return made if any(made[key] is not item for key, item in items.items()) else value

    def _sequence(self, value: Any, depth: int) -> Any:
        given = list(value)
        made = [self.computed(item, depth + 1) for item in given]
        return made if any(map(is_not, made, given)) else value

    def _object(self, value: Any, depth: int) -> None:
        """Runs what is lazy in an object's attributes, and the items that a user's class computes."""
        plain = dataclasses.is_dataclass(value)
        attributes = _attributes(value)
        for item in attributes:
            # In any other object a function is a part of how the object works, and not a result.
            if plain or not isinstance(item, _FUNCTIONS):
                self.computed(item, depth + 1)
        kind = type(value)
        if kind.__module__.partition(".")[0] in ("numpy", "torch", "builtins"):
            return
        before = self._calls()
        if isinstance(value, Iterable) or (hasattr(kind, "__getitem__") and hasattr(kind, "__len__")):
            try:
                self._items(iter(value), depth)
            except (AttributeError, LookupError, NotImplementedError, TypeError):
                # Some objects cannot always be iterated, such as caches of state-space models.
                if self._calls() > before:
                    raise
        if self._calls() == before and any(isinstance(item, nn.Module) for item in attributes):
            self.left = True


def _attributes(value: Any) -> list[Any]:
    """What an object's `__dict__` and its slots refer to."""
    names = [name for kind in type(value).__mro__ for name in _slots(kind)]
    slotted = [getattr(value, name) for name in names if hasattr(value, name)]
    return [*getattr(value, "__dict__", {}).values(), *slotted]


def _slots(kind: type) -> tuple[str, ...]:
    """The names of a class's slots that no property has replaced."""
    names = vars(kind).get("__slots__", ())
    given = (names,) if isinstance(names, str) else tuple(names)
    return tuple(name for name in given if isinstance(vars(kind).get(name), types.MemberDescriptorType))


def unrun_work(
    calls: tuple[OpCall, ...], parameters: Collection[str], lazy: LazyOutputs
) -> tuple[OpCall, ...]:
    """The calls, and one more that no rule counts if work was left undone. Totals are then lower bounds."""
    if lazy.left and not lazy.cut:
        used = {spec.name for call in calls for spec in call.tensors() if spec.role == "parameter"}
        if used.issuperset(parameters):
            return calls
    if lazy.left or lazy.cut:
        return (*calls, OpCall(LAZY_OUTPUT, "", {}, (), len(calls)))
    return calls


def with_unread_inputs(calls: tuple[OpCall, ...]) -> tuple[OpCall, ...]:
    """The calls, and one more that no rule counts. Totals are then lower bounds."""
    return (*calls, OpCall(UNREAD_INPUT, "", {}, (), len(calls)))


def _synchronous(iterator: AsyncIterator[Any]) -> Iterator[Any]:
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                yield loop.run_until_complete(anext(iterator))
            except StopAsyncIteration:
                return
    finally:
        loop.close()
