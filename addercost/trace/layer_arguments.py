"""What a layer of a stack is given: tensors, settings, and its own entries in the caches that all share.

A cache is an object that some argument refers to. It has one or more entries for each layer, in a list or
under the layer's indices in a dictionary. A layer that reads or changes the entries of others is never taken
to be like another one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from addercost.trace.frozen_values import ATOMS
from addercost.trace.recorder import Recorder
from addercost.trace.tensor_copies import NO_CONTENTS, NotRepeatableError

_DEEPEST = 6


class Entry(NamedTuple):
    """Where a cache keeps what one layer left in it: under `key` of the list or dictionary `holder`.
    was_there: whether there was something before the layer ran.
    """

    holder: Any
    key: int
    was_there: bool

    @property
    def is_there(self) -> bool:
        return _has(self.holder, self.key)

    @property
    def is_gone(self) -> bool:
        return self.was_there and not self.is_there

    @property
    def value(self) -> Any:
        return self.holder[self.key] if self.is_there else None

    @property
    def missing(self) -> int:
        """How many entries a list lacks up to this one; 0 for one that is there, and in a dictionary."""
        return max(self.key + 1 - len(self.holder), 0) if isinstance(self.holder, list) else 0

    def put(self, value: Any) -> None:
        if isinstance(self.holder, list) and self.key == len(self.holder):
            self.holder.append(value)
        else:
            self.holder[self.key] = value


@dataclass(frozen=True, slots=True)
class Arguments:
    """state: equal for layers that are given the same, but for the tensors' values. tensors: all of them, of
    the layer's own entries too, each once. entries: those of the layer in the caches.
    """

    state: Hashable
    tensors: tuple[Tensor, ...]
    entries: tuple[Entry, ...]


def arguments(args: Any, kwargs: Mapping[str, Any], indices: Sequence[int], recorder: Recorder) -> Arguments:
    """What a layer with these indices is given. Raises NotRepeatableError."""
    reader = _Reader(recorder)
    state = reader.state((tuple(args), dict(kwargs)))
    entries = [Entry(holder, index, _has(holder, index)) for holder in reader.holders for index in indices]
    own = tuple(
        [(entry.was_there, entry.missing, reader.state(entry.value, in_entry=True)) for entry in entries]
    )
    return Arguments((state, own), tuple(reader.tensors), tuple(entries))


def others_state(args: Any, kwargs: Mapping[str, Any], entries: tuple[Entry, ...]) -> Hashable:
    """Everything that the caches refer to but for these entries, by identity: what no layer may change."""
    own = {(id(entry.holder), entry.key) for entry in entries}
    seen: set[int] = set()

    def walked(value: Any, depth: int = 0) -> Iterator[Hashable]:
        kind = type(value)
        if kind in ATOMS:
            yield value
            return
        yield id(value)
        if id(value) in seen or depth > 2 * _DEEPEST or isinstance(value, (*NO_CONTENTS, Tensor)):
            return
        seen.add(id(value))
        if isinstance(value, list | tuple):
            for i, item in enumerate(value):
                if (id(value), i) not in own:
                    yield from walked(item, depth + 1)
        elif isinstance(value, dict):
            for key, item in value.items():
                if type(key) is not int or (id(value), key) not in own:
                    yield key
                    yield from walked(item, depth + 1)
        elif hasattr(value, "__dict__") and not _is_configuration(value):
            yield from walked(vars(value), depth + 1)

    return tuple([item for value in (*args, *kwargs.values()) for item in walked(value)])


class _Reader:
    """Reads states. tensors: those that it has seen. holders: lists and dictionaries with an entry for each
    layer.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.tensors: list[Tensor] = []
        self.holders: list[Any] = []
        self._seen: set[int] = set()

    def state(self, value: Any, depth: int = 0, in_object: bool = False, in_entry: bool = False) -> Hashable:
        kind = type(value)
        if kind in ATOMS:
            return kind, value
        if isinstance(value, Tensor):
            return self._tensor(value)
        if depth > _DEEPEST:
            raise NotRepeatableError
        if in_object and not in_entry and _has_entries(value):
            if not any(holder is value for holder in self.holders):
                self.holders.append(value)
            return id(value)
        if kind in (list, tuple):
            return kind, tuple([self.state(item, depth + 1, in_object, in_entry) for item in value])
        if isinstance(value, dict):
            return kind, tuple(
                [(key, self.state(item, depth + 1, in_object, in_entry)) for key, item in value.items()]
            )
        if isinstance(value, NO_CONTENTS) or _is_configuration(value) or not hasattr(value, "__dict__"):
            return id(value)
        if id(value) in self._seen:
            return id(value)
        self._seen.add(id(value))
        contents = self.state(vars(value), depth + 1, True, in_entry)
        return (kind, contents) if in_entry else (id(value), contents)

    def _tensor(self, tensor: Tensor) -> Hashable:
        for number, known in enumerate(self.tensors):
            if known is tensor:
                return "tensor", number
        if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided:
            raise NotRepeatableError
        self.tensors.append(tensor)
        spec = self._recorder.spec_of(tensor)
        # Values may decide counts: where there are many, it has to be the same tensor.
        values = self._recorder.positions.few_values(tensor)
        return (
            "tensor",
            tensor.is_meta,
            tensor.dtype,
            tuple(tensor.shape),
            tensor.stride(),
            tensor.storage_offset(),
            tensor.requires_grad,
            spec and (spec.role, spec.name, spec.stored),
            id(tensor) if values is None else values,
        )


def _has(holder: Any, key: int) -> bool:
    return key < len(holder) if isinstance(holder, list) else key in holder


def _has_entries(value: Any) -> bool:
    """Whether a list, or a dictionary by whole numbers, may have an entry for each layer."""
    if isinstance(value, list):
        return not any(type(item) in ATOMS for item in value)
    return isinstance(value, dict) and all(type(key) is int for key in value)


def _is_configuration(value: Any) -> bool:
    return hasattr(value, "model_type")
