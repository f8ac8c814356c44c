"""Values of the tensors that a forward makes of positions alone, such as the mask of a causal window.

A run without data has no values. But ranges, comparisons of them and what else such a mask is made of depend
on nothing that is missing. So the calls that make one are kept as a recipe, without its tensors, and are made
again with values where an operator's count needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from addercost.trace.attended_scores import give_values, known_values

_MOST_ELEMENTS = 1 << 24
_MOST_CALLS = 200
"""Of a recipe, one after the other."""

_MADE = "arange linspace ones zeros full scalar_tensor eye tril_indices triu_indices"
_SHAPED = "ones_like zeros_like full_like new_ones new_zeros new_full fill_ zero_ copy_"
_JOINED = (
    "add sub rsub mul div floor_divide remainder maximum minimum pow eq ne lt le gt ge logical_and "
    "logical_or logical_xor bitwise_and bitwise_or bitwise_xor __and__ __or__ __xor__ where masked_fill "
    "cat stack"
)
_EACH = (
    "neg abs sign floor ceil clamp clamp_min clamp_max logical_not bitwise_not tril triu cumsum isinf "
    "sum prod any all unfold bucketize searchsorted reciprocal _to_copy clone detach lift_fresh alias"
)
_MOVED = (
    "view _unsafe_view reshape expand unsqueeze squeeze slice select permute transpose t repeat flip diff "
    "index index_select gather split chunk unbind movedim roll"
)
_IN_PLACE = "add_ sub_ mul_ logical_and_ logical_or_ bitwise_and_ bitwise_or_ masked_fill_ tril_ triu_ clamp_"

OF_POSITIONS = frozenset(" ".join((_MADE, _SHAPED, _JOINED, _EACH, _MOVED, _IN_PLACE)).split())
"""Operators of torch (`aten`) whose values can be computed again from those of their arguments."""

_ONLY_SHAPED = frozenset(_SHAPED.split())
"""Those that need no values of their first argument."""


class _UnknownError(Exception):
    """A value that a recipe needs is not known."""


class _Recipe:
    """A call whose output has these values. at: which of several outputs, None for the only one."""

    __slots__ = ("args", "at", "calls", "func", "kwargs", "values")

    def __init__(self, func: Any, args: Any, kwargs: Any, at: int | None, calls: int) -> None:
        self.func, self.args, self.kwargs, self.at, self.calls = func, args, kwargs, at, calls
        self.values: Tensor | None = None

    def computed(self) -> Tensor:
        if self.values is not None:
            return self.values
        args = [_computed(value) for value in self.args]
        if args and self.func._schema.is_mutable:
            args[0] = args[0].clone()
        out = self.func(*args, **{name: _computed(value) for name, value in self.kwargs.items()})
        made: Tensor = out if self.at is None else out[self.at]
        if made.dtype is torch.bool:
            self.values = made
        return made


class _Kept:
    """A tensor with values, as long as nothing writes it."""

    __slots__ = ("tensor", "version")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, tensor._version


class _Shape:
    """In place of a tensor of which only the shape matters."""

    __slots__ = ("dtype", "shape")

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype


def _computed(value: Any) -> Any:
    if isinstance(value, _Recipe):
        return value.computed()
    if isinstance(value, _Kept):
        if value.tensor._version != value.version:
            raise _UnknownError
        return value.tensor
    if isinstance(value, _Shape):
        return torch.empty(value.shape, dtype=value.dtype)
    if isinstance(value, list | tuple):
        return [_computed(item) for item in value]
    return torch.device("cpu") if isinstance(value, torch.device) else value


class PositionValues:
    """The recipes of the tensors of a run, by their ids."""

    def __init__(self) -> None:
        self._recipes: dict[int, _Recipe] = {}
        self._of_storages: dict[int | None, set[int]] = {}
        """Ids of the tensors with a recipe, by the address of their storage."""

    def made(
        self,
        name: str,
        func: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: Sequence[Any],
        written: Sequence[Any],
    ) -> None:
        """A call of one of `OF_POSITIONS` made these outputs, and wrote these arguments."""
        storages = [_storage_without_data(out) for out in outputs]
        small = all(storages) and all(out.numel() <= _MOST_ELEMENTS for out in outputs)
        recipe = self._recipe(name, func, args, kwargs) if small else None
        self.written(written)
        if recipe is None:
            return
        single = len(outputs) == 1 and len(func._schema.returns) == 1 and not _makes_list(func)
        for at, (out, storage) in enumerate(zip(outputs, storages, strict=True)):
            one = recipe if single else _Recipe(func, recipe.args, recipe.kwargs, at, recipe.calls)
            self._recipes[id(out)] = one
            self._of_storages.setdefault(storage, set()).add(id(out))

    def _recipe(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> _Recipe | None:
        try:
            kept = [
                self._kept(value, name in _ONLY_SHAPED and position == 0)
                for position, value in enumerate(args)
            ]
            named = {key: self._kept(value) for key, value in kwargs.items()}
        except _UnknownError:
            return None
        calls = 1 + max(
            (part.calls for part in tree_leaves((kept, named)) if isinstance(part, _Recipe)), default=0
        )
        return _Recipe(func, kept, named, None, calls) if calls <= _MOST_CALLS else None

    def _kept(self, value: Any, shape_is_enough: bool = False) -> Any:
        """An argument as a recipe has it. Raises _UnknownError."""
        if isinstance(value, list | tuple):
            return [self._kept(item) for item in value]
        if not isinstance(value, Tensor):
            return value
        recipe = self._recipes.get(id(value))
        if recipe is not None:
            return recipe
        known = known_values(value)
        if known is not None and not known.is_inference():
            return _Kept(known)
        if shape_is_enough and value.numel() <= _MOST_ELEMENTS:
            return _Shape(value)
        raise _UnknownError

    def written(self, tensors: Iterable[Any]) -> None:
        """A call wrote these tensors: what is known of their storages is known no more."""
        for tensor in tensors if self._recipes else ():
            for key in self._of_storages.pop(_storage_without_data(tensor), ()):
                self._recipes.pop(key, None)

    def forget(self, key: int) -> None:
        """The tensor of this id is gone."""
        self._recipes.pop(key, None)

    def known(self, arguments: Any) -> Any:
        """The arguments of a call on the CPU, with values in their tensors; None if one has none."""
        tensors = [value for value in tree_leaves(arguments) if isinstance(value, Tensor)]
        self.show(tensors)
        if not tensors or any(known_values(tensor) is None for tensor in tensors):
            return None
        return tree_map(_valued, arguments)

    def as_numbers(self, indices: Sequence[Any]) -> list[Any] | None:
        """The indices of a tensor, with those of truth values as numbers without data, of which only how many
        there are is known; None if that depends on data.
        """
        found: list[Any] = []
        for index in indices:
            if not isinstance(index, Tensor) or index.dtype is not torch.bool:
                found.append(index)
                continue
            self.show([index])
            known = known_values(index)
            if known is None:
                return None
            with _disable_current_modes():
                found += [torch.empty_like(part, device="meta") for part in known.nonzero().unbind(1)]
        return found

    def show(self, tensors: Iterable[Any]) -> None:
        """Gives these tensors their values, where they are known."""
        for tensor in tensors:
            recipe = self._recipes.get(id(tensor)) if isinstance(tensor, Tensor) else None
            if recipe is None or known_values(tensor) is not None:
                continue
            try:
                with _disable_current_modes(), torch.no_grad():
                    give_values(tensor, recipe.computed())
            except Exception:
                # A value that only an estimate of a share needs is not worth an error.
                self._recipes.pop(id(tensor), None)


def _valued(value: Any) -> Any:
    if isinstance(value, Tensor):
        return known_values(value)
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _storage_without_data(value: Any) -> int | None:
    """The address of a tensor's storage, if it has one and that has no data."""
    if not isinstance(value, Tensor):
        return None
    try:
        storage = value.untyped_storage()
    except RuntimeError:  # a sparse tensor, or one that wraps others
        return None
    return storage._cdata if storage.device.type == "meta" else None


def _makes_list(func: Any) -> bool:
    return str(func._schema.returns[0].type) == "List[Tensor]"
