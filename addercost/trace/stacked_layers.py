"""Which layers of a stack are alike: of one class, with equal settings and shapes but for their own index."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Mapping, Set
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from addercost.trace.attended_scores import known_values
from addercost.trace.frozen_values import frozen
from addercost.trace.modules import HOOKS, ModuleTree

_FEWEST = 3
"""Equal layers of a stack from which on one may stand for others: the first two are run and compared."""

_OWN_INDEX = frozenset(("layer_idx", "layer_id", "layer_index", "layer_number", "block_idx"))
"""Names under which a module keeps its layer's place in the stack."""

_NO_SETTINGS = frozenset((*vars(nn.Module()), "forward"))
"""What every module has; hooks are asked for where the layer runs."""

_MOST_VALUES = 1 << 20
_DEEPEST = 8


class StackedLayer(NamedTuple):
    """A layer of a stack. place: in the stack, from 0; kind: the same number for layers that are alike."""

    place: int
    path: str
    kind: int


class _UnlikeError(Exception):
    """A module that is taken to be like no other."""


def stacked_layers(
    tree: ModuleTree, names: Mapping[int, tuple[str, str, Tensor]], own_forwards: Set[int]
) -> dict[int, StackedLayer]:
    """Every layer that has at least two others of its kind in its stack, by its id.

    names: (qualified name, role, tensor) of parameters and buffers, by the tensor's id. own_forwards: ids of
    the modules with a `forward` of their own beside their class's.
    """
    found: dict[int, StackedLayer] = {}
    kinds: dict[Hashable, int] = {}
    for stack in tree.modules:
        if not isinstance(stack, nn.ModuleList) or len(stack) < _FEWEST:
            continue
        of_kind: dict[int, list[tuple[int, StackedLayer]]] = {}
        for index, layer in enumerate(stack):
            path = tree.paths[id(layer)][0]
            try:
                state = id(stack), tuple(_state(layer, path, index, tree, names, own_forwards))
            except (_UnlikeError, TypeError):
                continue
            kind = kinds.setdefault(state, len(kinds))
            of_kind.setdefault(kind, []).append((id(layer), StackedLayer(index, path, kind)))
        for layers in of_kind.values():
            if len(layers) >= _FEWEST:
                found.update(layers)
    return found


def is_hooked(layer: nn.Module) -> bool:
    """Whether something is called when a module within the layer is."""
    return any(getattr(module, hooks) for module in layer.modules() if module is not layer for hooks in HOOKS)


def _state(
    layer: nn.Module,
    path: str,
    index: int,
    tree: ModuleTree,
    names: Mapping[int, tuple[str, str, Tensor]],
    own_forwards: Set[int],
) -> Iterator[Hashable]:
    """Everything that a forward of the layer may depend on, but for what it is given. Raises _UnlikeError."""
    for inner, module in layer.named_modules():
        at = f"{path}.{inner}" if inner else path
        if tree.paths[id(module)] != [at] or id(module) in own_forwards:
            raise _UnlikeError
        yield inner, type(module)
        for name, value in module.__dict__.items():
            if name in _NO_SETTINGS:
                continue
            if name in _OWN_INDEX and value == index and type(value) is int:
                yield name
            else:
                yield name, _setting(value)
        for holder in (module._parameters, module._buffers):
            for name, tensor in holder.items():
                if tensor is None:
                    yield name
                    continue
                if names[id(tensor)][0] != f"{at}.{name}":
                    raise _UnlikeError
                yield name, _tensor_state(tensor)


def _setting(value: Any, depth: int = 0) -> Hashable:
    """Equal only for values that are equal, or one object."""
    return frozen(value, objects=False, depth=depth, other=_identity)


def _identity(value: Any, depth: int) -> Hashable:
    if type(value) is functools.partial and depth < _DEEPEST:
        return functools.partial, id(value.func), _setting((value.args, value.keywords), depth + 1)
    return id(value)


def _tensor_state(tensor: Tensor) -> Hashable:
    if is_lazy(tensor) or not tensor.is_meta or type(tensor) not in (Tensor, nn.Parameter):
        raise _UnlikeError
    if tensor.layout is not torch.strided:
        raise _UnlikeError
    values = known_values(tensor)
    if values is not None and values.numel() > _MOST_VALUES:
        raise _UnlikeError
    return (
        type(tensor),
        tensor.dtype,
        tuple(tensor.shape),
        tensor.stride(),
        tensor.requires_grad,
        None if values is None else values.contiguous().flatten().view(torch.uint8).numpy().tobytes(),
    )
