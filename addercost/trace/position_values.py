"""Values of tensors that a forward computes from positions alone, such as a causal mask.

A run without data has no values. But ranges, comparisons of ranges and everything else that such a mask is
made of depend on nothing that is missing. Therefore the calls that make such a tensor are kept as a recipe,
without its tensors. Where a count or the forward needs the values, the recipe is computed. Values of an input
serve only to count the share of scores that a mask keeps. A forward that decides by them is run with data.
A choice by scores can be assumed (`even_choices.py`), and then counts as a value that positions decide.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from addercost.trace.attended_scores import (
    forget_values,
    give_values,
    is_given,
    known_values,
    say_given,
)
from addercost.trace.even_choices import chosen, even_choice
from addercost.trace.op_info import OpInfo
from addercost.trace.record import PLAIN
from addercost.trace.remade_tensors import (
    MOST_CALLS,
    MOST_ELEMENTS,
    MOST_KEPT,
    ONLY_SHAPED,
    Kept,
    RemadeTensor,
    ShapeAlone,
    StoragePlace,
    UnknownError,
    storage_without_data,
    written_at,
)

_FEW = 64
"""Values."""
_SEQUENCES = (list, tuple)


class PositionValues:
    """The recipes of a run's tensors, by the tensors' ids."""

    def __init__(self) -> None:
        self._recipes: dict[int, RemadeTensor] = {}
        self._of_storages: dict[int | None, set[int]] = {}
        """Ids of the tensors with a recipe, by the address of their storage."""
        self._shown: dict[int, weakref.ref[Tensor]] = {}
        """Tensors that were given their values."""
        self._constants: dict[int, weakref.ref[Tensor]] = {}
        self.assume_even_choices = False
        self.choices: set[str] = set()
        """Operators that chose positions by scores whose values are unknown."""

    def made(
        self,
        info: OpInfo,
        func: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        outputs: Sequence[Any],
    ) -> None:
        """Records that a call of an operator `of_positions` made these outputs."""
        recipe = self._recipe(info.name, func, args, kwargs)
        written = info.written(args, kwargs) if info.writes else ()
        if written and not (recipe is not None and len(written) == 1 and self._rewritten(recipe, written[0])):
            self.written(written)
        if recipe is None:
            self._chosen(info.name, chosen(info.name, func, args, kwargs, outputs), outputs)
            return
        storages = list(map(storage_without_data, outputs))
        if None in storages or any(out.numel() > MOST_ELEMENTS for out in outputs):
            return
        for at, (out, storage) in enumerate(zip(outputs, storages, strict=True)):
            one = recipe
            if not info.returns_one:
                one = RemadeTensor(func, recipe.args, recipe.kwargs, at)
            self._known_as(one, out, storage)

    def _chosen(self, name: str, choice: tuple[Tensor, int] | None, outputs: Sequence[Any]) -> None:
        """Records a choice among scores without values. outputs: the last one has the chosen positions."""
        if choice is None:
            return
        self.choices.add(name)
        positions = outputs[-1]
        storage = storage_without_data(positions) if self.assume_even_choices else None
        if storage is not None and positions.numel() <= MOST_ELEMENTS:
            scores, dim = choice
            shape = scores.shape, positions.shape
            recipe = RemadeTensor(lambda: even_choice(*shape, dim))
            self._known_as(recipe, positions, storage)

    def constant(self, tensor: Tensor, values: Tensor) -> None:
        """Records that the forward made this tensor, which has no data, from these values."""
        key = id(tensor)
        recipe = RemadeTensor(lambda: values)
        self._known_as(recipe, tensor, storage_without_data(tensor))
        self._constants[key] = weakref.ref(tensor, lambda _: self.forget(key))

    def _known_as(self, recipe: RemadeTensor, tensor: Tensor, storage: int | None) -> None:
        recipe.place = StoragePlace.of(tensor, storage)
        self._recipes[id(tensor)] = recipe
        self._of_storages.setdefault(storage, set()).add(id(tensor))

    def _rewritten(self, recipe: RemadeTensor, target: Tensor) -> bool:
        """Updates the recipes of a storage after a call with `recipe` wrote `target` into it. Returns whether
        all of them are still known.

        The other tensors of the storage then have their old values, with the written ones among them.
        """
        at = StoragePlace.of(target, storage_without_data(target))
        keys = [key for key in self._of_storages.get(at.storage, ()) if self._is_at(key, at.storage)]
        if at.storage is None or not keys:
            return False
        elements = target.untyped_storage().nbytes() // at.itemsize
        old = [self._recipes[key] for key in keys]
        whole = next((one for one in old if one.place.is_whole(elements)), None)
        if (
            whole is None
            or elements > MOST_KEPT
            or max(recipe.calls, whole.calls) >= MOST_CALLS
            or any(one.place.itemsize != at.itemsize for one in old)
        ):
            return False
        for key, one in zip(keys, old, strict=True):
            new = RemadeTensor(written_at, (whole, recipe, at, one.place))
            new.place = one.place
            self._recipes[key] = new
        self._not_shown(target, keys)
        return True

    def _is_at(self, key: int, storage: int | None) -> bool:
        return key in self._recipes and self._recipes[key].place.storage == storage

    def _not_shown(self, target: Tensor, keys: Iterable[int]) -> None:
        """Takes back the values that these tensors were given, because they have changed."""
        shown = (self._shown.pop(key) for key in keys if key in self._shown)
        for tensor in (target, target._base, *(one() for one in shown)):
            if tensor is not None:
                forget_values(tensor)

    def _recipe(
        self, name: str, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> RemadeTensor | None:
        only_shaped = name in ONLY_SHAPED
        try:
            kept = [
                self._kept(value, only_shaped and not position) if type(value) not in PLAIN else value
                for position, value in enumerate(args)
            ]
            named = {key: self._kept(value) for key, value in kwargs.items()}
        except UnknownError:
            return None
        recipe = RemadeTensor(func, kept, named)
        return recipe if recipe.calls <= MOST_CALLS else None

    def _kept(self, value: Any, shape_is_enough: bool = False) -> Any:
        """An argument in the form in which a recipe keeps it. Raises UnknownError."""
        if not isinstance(value, Tensor):
            return [self._kept(item) for item in value] if isinstance(value, _SEQUENCES) else value
        recipe = self._recipes.get(id(value))
        if recipe is not None:
            return recipe
        known = known_values(value)
        storage = storage_without_data(value) if known is not None and known is not value else None
        if storage is not None:
            recipe = RemadeTensor(lambda: known)
            recipe.of_inputs = is_given(value)
            self._known_as(recipe, value, storage)
            return recipe
        if known is not None and not known.is_inference():
            return Kept(known, is_given(value))
        if shape_is_enough and value.numel() <= MOST_ELEMENTS:
            return ShapeAlone(value)
        raise UnknownError

    def written(self, tensors: Iterable[Any]) -> None:
        """Records that a call wrote these tensors: the values in their storages are no longer known."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                continue
            storage = storage_without_data(tensor)
            # A tensor that is gone leaves its id there, which another one may have now.
            found = self._of_storages.pop(storage, ()) if self._recipes else ()
            keys = [key for key in found if self._is_at(key, storage)]
            for key in keys:
                del self._recipes[key]
            self._not_shown(tensor, keys)

    def forget(self, key: int) -> None:
        """The tensor with this id no longer exists."""
        self._recipes.pop(key, None)
        self._shown.pop(key, None)
        self._constants.pop(key, None)

    def known(self, arguments: Any) -> Any:
        """The arguments of a call with values in their tensors, on the CPU. None if some tensor's values are
        unknown.
        """
        tensors = [value for value in tree_leaves(arguments) if isinstance(value, Tensor)]
        self.show(tensors)
        if not tensors or any(known_values(tensor) is None or is_given(tensor) for tensor in tensors):
            return None
        return tree_map(_valued, arguments)

    def few_values(self, tensor: Tensor) -> tuple[Any, ...] | None:
        """The tensor's values, () where they are not known; None for many, and for those of an input."""
        if not tensor.numel() or (id(tensor) not in self._recipes and known_values(tensor) is None):
            return ()
        if tensor.numel() > _FEW:
            return None
        self.show([tensor])
        known = known_values(tensor)
        if known is None or is_given(tensor):
            return None
        with _disable_current_modes():
            return tuple(known.flatten().tolist())

    def as_numbers(self, indices: Sequence[Any]) -> list[Any] | None:
        """The indices of a tensor, in which masks are replaced by integer indices without data. Only the
        number of these is known. None if it depends on data.
        """
        found: list[Any] = []
        for index in indices:
            if not isinstance(index, Tensor) or index.dtype is not torch.bool:
                found.append(index)
                continue
            self.show([index])
            known = known_values(index)
            if known is None or is_given(index):
                return None
            with _disable_current_modes():
                found += [torch.empty_like(part, device="meta") for part in known.nonzero().unbind(1)]
        return found

    def show(self, tensors: Iterable[Any]) -> None:
        """Gives these tensors their values, where these are known."""
        for tensor in tensors:
            recipe = self._recipes.get(id(tensor)) if isinstance(tensor, Tensor) else None
            if recipe is None or known_values(tensor) is not None:
                continue
            try:
                with _disable_current_modes(), torch.no_grad():
                    give_values(tensor, recipe.computed())
                self._shown[id(tensor)] = weakref.ref(tensor)
                if recipe.of_inputs:
                    say_given(tensor)
            except Exception:
                # The values may be needed only to estimate a share, so a failure is not worth an error.
                self._recipes.pop(id(tensor), None)


def _valued(value: Any) -> Any:
    if isinstance(value, Tensor):
        return known_values(value)
    return torch.device("cpu") if isinstance(value, torch.device) else value
