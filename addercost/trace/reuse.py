"""Repeated blocks are traced once: a recorder that knows again what an equal module did on equal inputs.

What makes two calls equal: `trace.fingerprint` of the module and its children, and shapes, strides, dtypes
and identities of the tensors it is given beside equal plain arguments. A call that reaches for anything else
(tensors from elsewhere, attributes that change, containers it was given) is recorded in full, and so is all
around it. Out of reach is only what shows nowhere: a forward that behaves by a global variable which is no
tensor, or by how often it was called, counted outside of every module.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from addercost.trace.blocks import Block, BlockUse, Item
from addercost.trace.fingerprint import (
    Fingerprints,
    Numbers,
    UnreadableError,
    frozen,
    own_state,
    tensor_state,
)
from addercost.trace.modules import ModuleTree, type_name
from addercost.trace.patterns import may_be_recognised
from addercost.trace.record import ArgValue, OpCall, TensorSpec
from addercost.trace.recorder import OpInfo, Recorder

_MOST_BLOCKS = 8_000
"""Blocks kept between models. Past it all are forgotten, so that memory does not grow with a sweep."""


class ClosedError(Exception):
    """A module whose children are not in the tree has to be run after all."""


class _SameAsInput(NamedTuple):
    """An output that is the input of that number."""

    number: int


class _Output(NamedTuple):
    """An output to make again. spec: what calls say of it; state: number of all that can be told of it."""

    spec: TensorSpec
    state: int
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int


class _Known(NamedTuple):
    block: Block
    outputs: Any


class BlockCache:
    """Blocks known so far, for one model or for a whole sweep."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.blocks: dict[Hashable, _Known] = {}

    def trim(self) -> None:
        """Forgets everything when it has become much. Only between models."""
        if len(self.blocks) > _MOST_BLOCKS or len(self.numbers) > _MOST_BLOCKS:
            self.blocks.clear()
            self.numbers.clear()


class _Frame:
    """The block being recorded. `since`: the tensors numbered from here on were made in it."""

    def __init__(self, path: str, names: str, since: int, inputs: frozenset[int]) -> None:
        self.path = path
        self.names = names
        self.since = since
        self.inputs = inputs
        self.items: list[Item] = []
        self.types: dict[str, str] = {}
        self.spoilt = False


class BlockRecorder(Recorder):
    """Records items instead of calls; `intercept` stands between the module tree and each module's forward.

    stand_ins: a module at several places stands for one of its own at each.
    """

    def __init__(
        self, tree: ModuleTree, cache: BlockCache, fingerprints: Fingerprints, stand_ins: bool, *args: Any
    ) -> None:
        super().__init__(*args)
        self._tree = tree
        self._cache = cache
        self._fingerprints = fingerprints
        self._stand_ins = stand_ins
        self._born: dict[int, int] = {}
        self._states: dict[int, int] = {}
        self._frames = [_Frame("", "", -1, frozenset())]
        self._modes = -1
        self.recognisable = False
        """Whether some calls may stand for one layer together, which only the whole trace shows."""

    def result(self) -> tuple[tuple[Item, ...], dict[str, str]]:
        """The items of the whole model, and the class names of the modules that are not among its blocks."""
        self._flush()
        return tuple(self._frames[0].items), self._frames[0].types

    def forget(self) -> None:
        """Something set a module's attribute while the model ran: nothing is known to be equal any more."""
        self._fingerprints.forget()
        self._spoil()

    def intercept(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What `module` answers: made up from a known block, or by running it, which may become one."""
        path = self._stack.path
        number = self._fingerprints.get(module)
        tensors: list[Tensor] = []
        key: Hashable = None
        if number is not None and self._ordinary_mode():
            self._flush()
            try:
                key = (number, self._given(args, tensors), self._given(kwargs, tensors) if kwargs else None)
            except (UnreadableError, TypeError):
                key = None
        known = self._cache.blocks.get(key) if key is not None else None
        if known is None and id(module) in self._tree.closed:
            raise ClosedError
        if key is None:
            return self._unkeyed(module, forward, args, kwargs, path)
        if known is not None:
            use = BlockUse(known.block, path, self._names(module, path))
            self._frames[-1].items.append(use)
            return self._remade(known.outputs, tensors)
        return self._recorded(module, forward, args, kwargs, path, key, tensors)

    def _unkeyed(self, module: nn.Module, forward: Any, args: Any, kwargs: Any, path: str) -> Any:
        """A call that no other can equal. The block around it still can, if the module is left as it was."""
        self._frames[-1].types.setdefault(path, type_name(module))
        if len(self._frames) == 1 or self._frames[-1].spoilt or self._fingerprints.get(module) is None:
            return forward(*args, **kwargs)
        before = own_state(module)
        out = forward(*args, **kwargs)
        try:
            changed = own_state(module) != before
        except UnreadableError:
            changed = True
        if changed:
            self._spoil()
        return out

    def _recorded(
        self,
        module: nn.Module,
        forward: Any,
        args: Any,
        kwargs: Any,
        path: str,
        key: Hashable,
        tensors: list[Tensor],
    ) -> Any:
        names = self._tree.paths[id(module)][0]
        frame = _Frame(path, names, len(self._born), frozenset(map(id, tensors)))
        frame.types[path] = type_name(module)
        # Stand-ins do not change, by their contract, nor does what they are given.
        before = own_state(module) if not self._stand_ins else None
        self._frames.append(frame)
        try:
            out = forward(*args, **kwargs)
            self._flush()
        finally:
            self._frames.pop()
        outer = self._frames[-1]
        known: _Known | None = None
        if not frame.spoilt:
            try:
                if self._stand_ins or self._unchanged(module, before, args, kwargs, key):
                    uses = path if self._stand_ins else names
                    block = Block(
                        tuple([_relative(item, path, names, uses) for item in frame.items]),
                        {_stripped(inner, path): kind for inner, kind in frame.types.items()},
                    )
                    known = _Known(block, self._described(out, tensors, frame))
            except (UnreadableError, TypeError):
                known = None
        if known is None:
            outer.spoilt = True
            outer.items += frame.items
            outer.types |= {k: v for k, v in frame.types.items() if k not in outer.types}
        else:
            self._cache.blocks[key] = known
            outer.items.append(BlockUse(known.block, path, self._names(module, path)))
        return out

    def _unchanged(self, module: nn.Module, before: Hashable, args: Any, kwargs: Any, key: Any) -> bool:
        again: list[Tensor] = []
        given = (self._given(args, again), self._given(kwargs, again) if kwargs else None)
        return own_state(module) == before and (key[0], *given) == key

    def _names(self, module: nn.Module, path: str) -> str:
        return path if self._stand_ins else self._tree.paths[id(module)][0]

    def _ordinary_mode(self) -> bool:
        """Whether nothing is switched on that changes what operators do without showing in the arguments."""
        modes = torch._C._len_torch_dispatch_stack() + torch._C._len_torch_function_stack()
        if self._modes < 0:
            self._modes = modes
        return (
            modes == self._modes and not torch._C._is_any_autocast_enabled() and not torch.is_grad_enabled()
        )

    def _given(self, value: Any, tensors: list[Tensor]) -> Hashable:
        """An argument as far as a forward can tell it from another. Its tensors are added to `tensors`."""
        if isinstance(value, Tensor):
            for number, tensor in enumerate(tensors):
                if tensor is value:
                    return number
            key = id(value)
            spec = self._specs.get(key)
            if spec is None:
                name, role = self._known.get(key, ("", "constant"))
            else:
                name, role = spec.name, spec.role
            if name or role not in ("activation", "input") or type(value) is not Tensor:
                raise UnreadableError
            frame = self._frames[-1]
            if self._born.get(key, -1) < frame.since and key not in frame.inputs:
                # From outside the block around this call, which therefore depends on more than it is given.
                self._spoil()
            state = self._states.get(key)
            if state is None:
                state = self._states[key] = self._cache.numbers.of(tensor_state(value))
            tensors.append(value)
            return role, state
        kind = type(value)
        if kind in (tuple, list):
            return kind, tuple([self._given(item, tensors) for item in value])
        if kind is dict:
            return kind, tuple([(frozen(k), self._given(item, tensors)) for k, item in value.items()])
        return frozen(value, objects=False)

    def _spoil(self) -> None:
        for frame in self._frames[1:]:
            frame.spoilt = True

    def _described(self, value: Any, inputs: list[Tensor], frame: _Frame) -> Any:
        """What a forward returned, so that it can be returned again. Raises UnreadableError."""
        if isinstance(value, Tensor):
            for number, tensor in enumerate(inputs):
                if tensor is value:
                    return _SameAsInput(number)
            key = id(value)
            spec = self._specs.get(key)
            if spec is None or spec.name or spec.role != "activation" or self._born[key] < frame.since:
                raise UnreadableError
            state = self._cache.numbers.of(tensor_state(value))
            if value.requires_grad or type(value) is not Tensor:
                raise UnreadableError
            return _Output(spec, state, value.stride(), value.dtype, int(value.storage_offset()))
        kind = type(value)
        if kind in (tuple, list):
            return kind([self._described(item, inputs, frame) for item in value])
        if value is None or kind in (bool, int, float, str):
            return value
        raise UnreadableError

    def _remade(self, outputs: Any, inputs: list[Tensor]) -> Any:
        kind = type(outputs)
        if kind is _Output:
            spec = outputs.spec
            with torch._C._DisableTorchDispatch():
                made = torch.empty_strided(spec.shape, outputs.stride, dtype=outputs.dtype, device="meta")
                if outputs.offset:
                    made = made.as_strided(spec.shape, outputs.stride, outputs.offset)
            key = id(made)
            self._specs[key] = spec
            self._states[key] = outputs.state
            self._born[key] = len(self._born)
            self._alive.append(made)
            return made
        if kind is _SameAsInput:
            return inputs[outputs.number]
        if kind in (tuple, list):
            return kind([self._remade(item, inputs) for item in outputs])
        return outputs

    def _remember(self, tensor: Tensor, role: str, name: str) -> TensorSpec:
        key = id(tensor)
        if key not in self._born:
            # What is first seen as an argument was made before everything recorded.
            made_here = role == "activation" or role == "derived"
            self._born[key] = len(self._born) if made_here else -1
        return super()._remember(tensor, role, name)

    def _value(self, value: Any) -> ArgValue:
        if isinstance(value, Tensor):
            key = id(value)
            if key not in self._specs:
                role = self._known.get(key, ("", "constant"))[1]
                if role not in ("parameter", "buffer") and key not in self._frames[-1].inputs:
                    self._spoil()
            elif not self._specs[key].name:
                frame = self._frames[-1]
                if self._born.get(key, -1) < frame.since and key not in frame.inputs:
                    self._spoil()
        return super()._value(value)

    def _taken_apart(self, info: OpInfo, args: Any, kwargs: Any) -> Any:
        self._flush()
        items = self._frames[-1].items
        known = len(items)
        out = super()._taken_apart(info, args, kwargs)
        if out is NotImplemented:
            del items[known:]
        return out

    def _plain(self, *raw: Any) -> OpCall:
        call = super()._plain(*raw)
        func = raw[0]
        if may_be_recognised(call.name):
            self.recognisable = True
            self._spoil()
        if func.__class__ is torch._ops.OpOverload and torch.Tag.inplace_view in func.tags:
            self._spoil()
            self._states.clear()
        self._frames[-1].items.append(call)
        return call


def _relative(item: Item, path: str, names: str, uses: str) -> Item:
    """The item as its block tells it: its module from `path` on, its parameters from `names` on, and those of
    a block within it from `uses` on. Raises UnreadableError for a parameter from outside the block.
    """
    if isinstance(item, BlockUse):
        return BlockUse(item.block, _stripped(item.path, path), _stripped(item.names, uses))
    return OpCall(
        item.op,
        _stripped(item.module, path),
        {name: _renamed(value, names) for name, value in item.args.items()},
        tuple([_renamed_spec(spec, names) for spec in item.outputs]),
        item.index,
        item.tags,
    )


def _stripped(name: str, prefix: str) -> str:
    if name == prefix:
        return ""
    if not name.startswith(prefix + "."):
        raise UnreadableError
    return name[len(prefix) + 1 :]


def _renamed(value: ArgValue, names: str) -> ArgValue:
    if isinstance(value, TensorSpec):
        return _renamed_spec(value, names)
    if isinstance(value, tuple):
        return tuple([_renamed(item, names) for item in value])
    return value


def _renamed_spec(spec: TensorSpec, names: str) -> TensorSpec:
    return TensorSpec(spec.shape, spec.dtype, spec.role, _stripped(spec.name, names)) if spec.name else spec
