"""Recipes of tensors that follow from positions: the calls that make them, with their arguments but without
tensors.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

MOST_ELEMENTS = 1 << 24
MOST_CALLS = 200
"""The most calls of a recipe, one after another."""
MOST_KEPT = 1 << 20
"""The most elements of computed values that each recipe keeps. Truth values are always kept, and of larger
values those that were computed last: a loop over experts takes one row after another from the same ones.
"""

_MADE = "arange linspace ones zeros full scalar_tensor eye tril_indices triu_indices"
_SHAPED = "ones_like zeros_like full_like new_ones new_zeros new_full fill_ zero_ copy_"
_JOINED = (
    "add sub rsub mul div floor_divide remainder maximum minimum pow eq ne lt le gt ge logical_and "
    "logical_or logical_xor bitwise_and bitwise_or bitwise_xor __and__ __or__ __xor__ where masked_fill "
    "cat stack scatter scatter_add index_add"
)
_EACH = (
    "neg abs sign floor ceil clamp clamp_min clamp_max logical_not bitwise_not tril triu cumsum isinf "
    "sum prod any all max min amax amin unfold bucketize searchsorted reciprocal _to_copy clone detach "
    "lift_fresh alias sort argsort topk argmax argmin histc bincount"
)
_MOVED = (
    "view _unsafe_view reshape expand unsqueeze squeeze slice select permute transpose t repeat flip diff "
    "index index_select gather split chunk unbind movedim roll constant_pad_nd"
)
_IN_PLACE = (
    "index_put_ add_ sub_ mul_ logical_and_ logical_or_ bitwise_and_ bitwise_or_ masked_fill_ tril_ triu_ "
    "clamp_ scatter_ scatter_add_"
)

OF_POSITIONS = frozenset(" ".join((_MADE, _SHAPED, _JOINED, _EACH, _MOVED, _IN_PLACE)).split())
"""Operators of torch (`aten`) whose results can be computed again from the values of their arguments."""

ONLY_SHAPED = frozenset(_SHAPED.split())
"""Operators that do not need the values of their first argument."""


class UnknownError(Exception):
    """A recipe needs a value that is unknown."""


class StoragePlace(NamedTuple):
    """Where a tensor's elements are: the address of its storage, their positions in it, and the bytes of an
    element.
    """

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    itemsize: int
    storage: int | None

    @classmethod
    def of(cls, tensor: Tensor, storage: int | None) -> StoragePlace:
        """storage: what `storage_without_data` says of the tensor."""
        return cls(tensor.shape, tensor.stride(), int(tensor.storage_offset()), tensor.itemsize, storage)

    def is_whole(self, elements: int) -> bool:
        """Whether the tensor is the whole of a storage with this many elements, in order."""
        below = elements
        for size, stride in zip(self.size, self.stride, strict=True):
            below = below // max(size, 1)
            if size != 1 and stride != below:
                return False
        return self.offset == 0 and below == 1


_NOWHERE = StoragePlace((), (), 0, 1, None)
_NO_NAMED: Mapping[str, Any] = {}
"""No arguments by name."""


class RemadeTensor:
    """A call whose output has the tensor's values.

    at: which of several outputs; None for the only one. calls: the length of the longest chain of calls that
    leads to the values. of_inputs: the values depend on what a caller gave.
    """

    __slots__ = ("__weakref__", "args", "at", "calls", "func", "kwargs", "of_inputs", "place", "values")
    _with_most: ClassVar[weakref.ref[RemadeTensor] | None] = None
    """The recipe that keeps the larger values."""

    def __init__(
        self,
        func: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = _NO_NAMED,
        at: int | None = None,
    ) -> None:
        self.func, self.args, self.kwargs, self.at = func, args, kwargs, at
        self.values: Tensor | None = None
        self.place = _NOWHERE
        self.calls, self.of_inputs = 1, False
        for part in _parts(args, kwargs.values()):
            self.of_inputs |= part.of_inputs
            if type(part) is RemadeTensor and part.calls >= self.calls:
                self.calls = part.calls + 1

    def computed(self) -> Tensor:
        if self.values is not None:
            return self.values
        args = [_computed(value) for value in self.args]
        if args and isinstance(self.func, OpOverload) and self.func._schema.is_mutable:
            args[0] = args[0].clone()
        out = self.func(*args, **{name: _computed(value) for name, value in self.kwargs.items()})
        made: Tensor = out if self.at is None else out[self.at]
        if made.dtype is not torch.bool and made.numel() > MOST_KEPT:
            before = RemadeTensor._with_most() if RemadeTensor._with_most is not None else None
            if before is not None:
                before.values = None
            RemadeTensor._with_most = weakref.ref(self)
        self.values = made
        return made


def written_at(whole: Tensor, part: Tensor, at: StoragePlace, seen_at: StoragePlace) -> Tensor:
    """The values of a tensor at `seen_at`, after `part` was written at `at` into the storage whose values
    were `whole`.
    """
    storage = whole.flatten().clone()
    storage.as_strided(*at[:3]).copy_(part)
    return storage.as_strided(*seen_at[:3])


class Kept:
    """A tensor with values. They are valid until something writes the tensor."""

    __slots__ = ("of_inputs", "tensor", "version")

    def __init__(self, tensor: Tensor, of_inputs: bool) -> None:
        self.tensor, self.version, self.of_inputs = tensor, tensor._version, of_inputs


def _parts(*sequences: Iterable[Any]) -> list[RemadeTensor | Kept]:
    """The recipes and tensors in these sequences, and in the lists inside them."""
    found: list[RemadeTensor | Kept] = []
    for values in sequences:
        for value in values:
            kind = type(value)
            if kind is RemadeTensor or kind is Kept:
                found.append(value)
            elif kind is list or kind is tuple:
                found += _parts(value)
    return found


class ShapeAlone:
    """Stands for a tensor of which only the shape matters."""

    __slots__ = ("dtype", "shape")

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype


def _computed(value: Any) -> Any:
    if isinstance(value, RemadeTensor):
        return value.computed()
    if isinstance(value, Kept):
        if value.tensor._version != value.version:
            raise UnknownError
        return value.tensor
    if isinstance(value, ShapeAlone):
        return torch.empty(value.shape, dtype=value.dtype)
    if isinstance(value, list | tuple):
        return [_computed(item) for item in value]
    return torch.device("cpu") if isinstance(value, torch.device) else value


def storage_without_data(value: Any) -> int | None:
    """The address of a tensor's storage, if it has a single storage and this has no data; else None."""
    if not isinstance(value, Tensor):
        return None
    try:
        storage = value.untyped_storage()
    except RuntimeError:  # This is a sparse tensor, or one that wraps others.
        return None
    return storage._cdata if storage.device.type == "meta" else None
