"""Makes a model whose weights have no data, and computes their values later if they are needed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

_ALLOCATIONS = frozenset(
    (torch.empty, torch.empty_strided, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
)
_INITIALISATIONS = frozenset(
    (
        *("uniform_", "normal_", "fill_", "zero_", "mul_", "add_", "clamp_", "erfinv_", "random_"),
        *(name for name in nn.init.__all__ if name.endswith("_")),
    )
)
"""Methods of tensors, and functions of torch.nn.init. transformers puts others of the same names in their
place, and calls both with `tensor=`.
"""


class _Call(NamedTuple):
    """A call that made or changed tensors without data. written: the storages of its outputs, and of the
    tensor that it writes to. read: the storages of its arguments.
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    written: frozenset[int]
    read: frozenset[int]


class DataFree(TorchFunctionMode):
    """Inside the block, weights are made on the meta device, and indices, ranges and literals have values.

    A constructor may read an `arange` or a `linspace` (drop rates, position tables). So only tensors whose
    size grows with the weights are without data. Their initialisation is skipped, since it would take time
    and change nothing.

    keeps_calls: records every call that makes or changes a tensor without data. Where the model's code reads
    a value, or `with_values` needs one, the calls on which it depends are repeated with data. The model's
    code itself runs once.
    """

    def __init__(self, keeps_calls: bool = False) -> None:
        super().__init__()
        self._keeps_calls = keeps_calls
        self._calls: list[_Call] = []
        self._repeated: set[int] = set()
        """Positions of the calls that were repeated with data."""
        self._storages: dict[int, Any] = {}
        """For each storage without data, by its address: the storage with data, None while it is not
        needed.
        """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _ALLOCATIONS and kwargs.get("device") is None:
            out = func(*args, **{**kwargs, "device": "meta"})
            return self._kept(func, args, kwargs, out, ())
        if getattr(func, "__name__", "") in _INITIALISATIONS:
            written = args[0] if args else kwargs.get("tensor")
            if isinstance(written, Tensor) and written.is_meta:
                return self._kept(func, args, kwargs, written, (written,))
        if not self._keeps_calls:
            return _together(func, args, kwargs)
        given = [*_tensors((args, kwargs))]
        if not any(tensor.is_meta for tensor in given):
            return func(*args, **kwargs)
        try:
            out = func(*args, **kwargs)
        except Exception:
            if not all(_address(tensor) in self._storages for tensor in given if tensor.is_meta):
                raise
            # The model's code reads a value.
            return func(*self.with_values(args), **self.with_values(kwargs))
        return self._kept(func, args, kwargs, out, given[:1] if _writes(func) else ())

    def _kept(self, func: Any, args: Any, kwargs: Any, out: Any, changed: Iterable[Tensor]) -> Any:
        if self._keeps_calls:
            made = [tensor for tensor in (*_tensors(out), *changed) if tensor.is_meta]
            if made:
                written = frozenset(map(_address, made))
                read = frozenset(_address(t) for t in _tensors((args, kwargs)) if t.is_meta)
                self._calls.append(_Call(func, args, kwargs, out, written, read))
                for address in written:
                    self._storages.setdefault(address, None)
        return out

    def with_values(self, value: Any) -> Any:
        """The same structure with data in the tensors that were made here. Everything else is unchanged."""
        with torch._C.DisableTorchFunction(), torch.no_grad():
            wanted = {_address(t) for t in _tensors(value) if t.is_meta and _address(t) in self._storages}
            if not wanted:
                return value
            self._repeat(wanted)
            return tree_map(self._valued, value)

    def copied_with_values(self, model: nn.Module) -> nn.Module:
        """A copy, with data, of a model that was made here."""
        found: dict[int, Any] = {}
        for module in model.modules():
            for holder in (module._parameters, module._buffers, module.__dict__):
                for tensor in _tensors(list(holder.values())):
                    if tensor.is_meta and id(tensor) not in found:
                        data = self.with_values(tensor.detach())
                        made = torch.zeros_like(data, device="cpu") if data.is_meta else data.clone()
                        plain = not isinstance(tensor, nn.Parameter)
                        found[id(tensor)] = made if plain else nn.Parameter(made, tensor.requires_grad)
        return copy.deepcopy(model, found)

    def _repeat(self, wanted: set[int]) -> None:
        """Repeats the calls on which these storages depend, in their original order."""
        chosen: list[int] = []
        changed: set[int] = set()
        for position in reversed(range(len(self._calls))):
            call = self._calls[position]
            # A call that reads a storage before a later call changes it has to run again as well.
            if call.written & wanted or call.read & changed:
                wanted = wanted | call.read | call.written
                changed |= call.written & call.read
                if position not in self._repeated:
                    chosen.append(position)
        for position in reversed(chosen):
            call = self._calls[position]
            self._repeated.add(position)
            if getattr(call.func, "__name__", "") == "__deepcopy__":
                out = self._valued(call.args[0]).clone()
            else:
                out = call.func(*tree_map(self._valued, call.args), **tree_map(self._valued, call.kwargs))
            for meta, real in zip(tree_flatten(call.out)[0], tree_flatten(out)[0], strict=False):
                if isinstance(meta, Tensor) and meta.is_meta and self._storages[_address(meta)] is None:
                    self._storages[_address(meta)] = real.untyped_storage()

    def _valued(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_meta:
            return value
        storage = self._storages.get(_address(value))
        if storage is None:
            return value
        return torch.empty(0, dtype=value.dtype).set_(
            storage, value.storage_offset(), tuple(value.shape), value.stride()
        )


def _together(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call's result. It has no data where one of the tensors has none, such as a range that is joined
    with zeros.
    """
    try:
        return func(*args, **kwargs)
    except RuntimeError:
        have_data = {not tensor.is_meta for tensor in _tensors((args, kwargs))}
        if have_data != {True, False} or _writes(func):
            raise
        return func(*tree_map(_without_data, args), **tree_map(_without_data, kwargs))


def _without_data(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value


def _writes(func: Any) -> bool:
    """Whether the function changes its first argument."""
    name = getattr(func, "__name__", "")
    return (name.endswith("_") and not name.startswith("__")) or name in ("__setitem__", "__set__")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def _address(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():
        address: int = tensor.untyped_storage()._cdata
    return address
