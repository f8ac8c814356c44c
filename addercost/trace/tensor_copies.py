"""What a forward returned or left behind, described without its tensors, and made again with others."""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from addercost.trace.attended_scores import give_values
from addercost.trace.frozen_values import ATOMS, is_plain_object

NO_CONTENTS = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, nn.Module)
"""What is the same for every layer if it is one object."""

_META = torch.device("meta")

Contents: TypeAlias = "tuple[Any, ...]"
"""("given" or "new", number of the tensor), ("same", value), or (kind, contents of its parts)."""


class NotRepeatableError(Exception):
    """A value that cannot be compared with that of another layer, or not be made again."""


class TensorForm(NamedTuple):
    """A tensor without data that is to be made again. storage: the number of the one it is in. values: those
    that it is known to have, () for none.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int
    storage: int
    values: tuple[Any, ...]


class NewTensors:
    """Collects the tensors of values that are none of `given`. few_values: the values of a tensor, () where
    they are not known, None where they are too many. storages: of the collected tensors, each once.
    """

    def __init__(
        self, given: Sequence[Tensor], few_values: Callable[[Tensor], tuple[Any, ...] | None]
    ) -> None:
        self._given, self._few_values = given, few_values
        self._given_storages = {tensor.untyped_storage()._cdata for tensor in given}
        self.tensors: list[Tensor] = []
        self.storages: list[Any] = []

    def contents(self, value: Any, depth: int = 0) -> Contents:
        """Raises NotRepeatableError for what cannot be made again."""
        kind = type(value)
        if kind in ATOMS or isinstance(value, NO_CONTENTS):
            return "same", value
        if isinstance(value, Tensor):
            return self._tensor(value)
        if depth > 6:
            raise NotRepeatableError
        if kind in (list, tuple):
            return kind, tuple([self.contents(item, depth + 1) for item in value])
        if kind in (dict, OrderedDict):
            return kind, tuple([(key, self.contents(item, depth + 1)) for key, item in value.items()])
        if is_plain_object(kind):
            return kind, self.contents(vars(value), depth + 1)
        raise NotRepeatableError

    def forms(self) -> tuple[TensorForm, ...]:
        """Of the collected tensors. Raises NotRepeatableError where one has many values."""
        return tuple(map(self._form, self.tensors))

    def _form(self, tensor: Tensor) -> TensorForm:
        values = self._few_values(tensor)
        if values is None:
            raise NotRepeatableError
        storage = self._number(tensor.untyped_storage())
        offset = int(tensor.storage_offset())
        return TensorForm(tuple(tensor.shape), tensor.stride(), tensor.dtype, offset, storage, values)

    def _tensor(self, tensor: Tensor) -> Contents:
        for name, tensors in (("given", self._given), ("new", self.tensors)):
            for number, known in enumerate(tensors):
                if known is tensor:
                    return name, number
        if type(tensor) is not Tensor or not tensor.is_meta or tensor.requires_grad:
            raise NotRepeatableError
        if tensor.layout is not torch.strided:
            raise NotRepeatableError
        storage = tensor.untyped_storage()
        if storage._cdata in self._given_storages:
            raise NotRepeatableError
        if self._number(storage) == len(self.storages):
            self.storages.append(storage)
        self.tensors.append(tensor)
        return "new", len(self.tensors) - 1

    def _number(self, storage: Any) -> int:
        for number, known in enumerate(self.storages):
            if known._cdata == storage._cdata:
                return number
        return len(self.storages)


def made_again(forms: Sequence[TensorForm], storage_bytes: Sequence[int]) -> tuple[list[Tensor], list[Any]]:
    """New tensors of these forms, and the new storages that they are in."""
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        storages = [torch.empty(n, dtype=torch.uint8, device=_META).untyped_storage() for n in storage_bytes]
        tensors = []
        for form in forms:
            made = torch.empty(0, dtype=form.dtype, device=_META)
            made.set_(storages[form.storage], form.offset, form.shape, form.stride)
            if form.values:
                give_values(made, torch.tensor(form.values, dtype=form.dtype).reshape(form.shape))
            tensors.append(made)
    return tensors, storages


def filled(contents: Contents, given: Sequence[Tensor], new: Sequence[Tensor]) -> Any:
    """A value like the one that was described, with these tensors."""
    kind, parts = contents
    if kind == "same":
        return parts
    if kind == "given":
        return given[parts]
    if kind == "new":
        return new[parts]
    if kind in (list, tuple):
        return kind([filled(part, given, new) for part in parts])
    if kind in (dict, OrderedDict):
        return kind([(key, filled(part, given, new)) for key, part in parts])
    made = kind.__new__(kind)
    vars(made).update(filled(parts, given, new))
    return made
