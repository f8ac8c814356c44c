"""Which layers of a stack are alike: of one class, with equal settings and shapes but for their own indices.

An index is the layer's place in the stack, or a number that grows with the place by the same step from layer
to layer: the second attention of layer i may be number 2·i + 1.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from fractions import Fraction
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
"""Names under which a module keeps an index of its layer, by which it finds its entry in a cache."""

_NO_SETTINGS = frozenset((*vars(nn.Module()), "forward"))
"""What every module has; hooks are asked for where the layer runs."""

_MOST_VALUES = 1 << 20
_DEEPEST = 8


class StackedLayer(NamedTuple):
    """A layer of a stack. indices: its place in the stack, from 0, and those that its modules keep. kind: the
    same number for layers that are alike.
    """

    indices: tuple[int, ...]
    path: str
    kind: int


class _Read(NamedTuple):
    """A layer at its place. indices: as its modules have them, in their order."""

    layer: nn.Module
    place: int
    path: str
    indices: tuple[int, ...]


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
        of_state: dict[tuple[Hashable, ...], list[_Read]] = {}
        for place, layer in enumerate(stack):
            path = tree.paths[id(layer)][0]
            indices: list[int] = []
            try:
                state = tuple(_state(layer, path, indices, tree, names, own_forwards))
                of_state.setdefault(state, []).append(_Read(layer, place, path, tuple(indices)))
            except (_UnlikeError, TypeError):
                continue
        for its_state, layers in of_state.items():
            of_kind: dict[Hashable, list[_Read]] = {}
            for start, read in zip(_starts(layers), layers, strict=True):
                of_kind.setdefault((id(stack), its_state, start), []).append(read)
            for key, alike in of_kind.items():
                if len(alike) >= _FEWEST:
                    kind = kinds.setdefault(key, len(kinds))
                    for layer, place, path, its in alike:
                        found[id(layer)] = StackedLayer(tuple(dict.fromkeys((place, *its))), path, kind)
    return found


def _starts(layers: Sequence[_Read]) -> list[tuple[Fraction, ...]]:
    """For each layer what its indices would be at place 0, by the steps between the first two layers. Equal
    for layers that are alike.
    """
    first, second = layers[0], layers[min(1, len(layers) - 1)]
    between = max(second.place - first.place, 1)
    steps = [Fraction(b - a, between) for a, b in zip(first.indices, second.indices, strict=True)]
    return [
        tuple([index - step * read.place for index, step in zip(read.indices, steps, strict=True)])
        for read in layers
    ]


def is_hooked(layer: nn.Module) -> bool:
    """Whether something is called when a module within the layer is."""
    return any(getattr(module, hooks) for module in layer.modules() if module is not layer for hooks in HOOKS)


def _state(
    layer: nn.Module,
    path: str,
    indices: list[int],
    tree: ModuleTree,
    names: Mapping[int, tuple[str, str, Tensor]],
    own_forwards: Set[int],
) -> Iterator[Hashable]:
    """Everything that a forward of the layer may depend on, but for what it is given and its own indices,
    which are added to `indices`. Raises _UnlikeError.
    """
    for inner, module in layer.named_modules():
        at = f"{path}.{inner}" if inner else path
        if tree.paths[id(module)] != [at] or id(module) in own_forwards:
            raise _UnlikeError
        yield inner, type(module)
        for name, value in module.__dict__.items():
            if name in _NO_SETTINGS:
                continue
            if name in _OWN_INDEX and type(value) is int and value >= 0:
                indices.append(value)
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
