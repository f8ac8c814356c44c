"""Repeated blocks are traced once: a recorder that knows again what an equal module did on equal inputs.

What makes two calls equal: `trace.fingerprint` of the module and its children, and shapes, strides, dtypes
and identities of the tensors it is given beside equal plain arguments. A call that reaches for anything else
(tensors from elsewhere, attributes that change, containers it was given) is recorded in full, and so is all
around it. Out of reach is only what shows nowhere: a forward that behaves by a global variable which is no
tensor, or by how often it was called, counted outside of every module.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from addercost.trace.modules import ModuleTree, type_name
from addercost.trace.op_info import OpInfo
from addercost.trace.patterns import may_be_recognised
from addercost.trace.record import ArgValue, OpCall
from addercost.trace.reuse.blocks import Block, Item, OutsideError, stripped
from addercost.trace.reuse.cache import (
    BlockCache,
    CallOf,
    KnownModule,
    Output,
    Recorded,
    SameAsInput,
    UseOf,
    told,
)
from addercost.trace.reuse.fingerprint import Fingerprints, UnreadableError, frozen, own_state
from addercost.trace.reuse.tensor_recorder import TensorRecorder
from addercost.trace.shapes import FAST_SHAPES

# Asked at every call of every module.
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_is_any_autocast = torch._C._is_any_autocast_enabled
_is_grad_enabled = torch.is_grad_enabled
_is_inference = torch.is_inference_mode_enabled
_FAST = frozenset(map(id, FAST_SHAPES))
"""Operators whose output is decided by shapes, and mostly new; by id, since their `__hash__` is slow."""


class ClosedError(Exception):
    """A module whose children are not in the tree has to be run after all."""


class _Frame:
    """The block being recorded. `since`: the tensors numbered from here on were made in it."""

    def __init__(self, path: str, names: str, since: int, inputs: frozenset[int]) -> None:
        self.path = path
        self.names = names
        self.since = since
        self.inputs = inputs
        self.items: list[Recorded] = []
        self.types: dict[str, str] = {}
        self.spoilt = False


class BlockRecorder(TensorRecorder):
    """Records items instead of calls; `intercept` stands between the module tree and each module's forward.

    stand_ins: a module at several places stands for one of its own at each.
    """

    def __init__(
        self, tree: ModuleTree, cache: BlockCache, fingerprints: Fingerprints, stand_ins: bool, *args: Any
    ) -> None:
        super().__init__(cache, *args)
        self._tree = tree
        self._fingerprints = fingerprints
        self._stand_ins = stand_ins
        self._frames = [_Frame("", "", -1, frozenset())]
        self._modes = -1
        self.recognisable = False
        """Whether some calls may stand for one layer together, which only the whole trace shows."""

    def result(self) -> tuple[tuple[Item, ...], dict[str, str]]:
        """The items of the whole model, and the class names of the modules that are not among its blocks."""
        self._flush()
        return tuple([told(item, "", "", "") for item in self._frames[0].items]), self._frames[0].types

    def forget(self) -> None:
        """Something set a module's attribute while the model ran: nothing is known to be equal any more."""
        self._fingerprints.forget()
        self._spoil()

    def intercept(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What `module` answers: made up from what is known, or by running it, which may become known."""
        path = self._stack.path
        number = self._fingerprints.of.get(id(module))
        ordinary = self._ordinary_mode()
        # The model as a whole is in no block: nothing could use it.
        if number is None or not ordinary or module is self._tree.root:
            return self._unkeyed(module, forward, args, kwargs, path)
        if self._raw:
            self._flush()
        tensors: Any = args
        seen = self._given.get(id(args[0])) if len(args) == 1 and not kwargs else None
        if seen is not None:
            # By far the commonest: one tensor that was looked at before.
            _, given, born, _ = seen
            frame = self._frames[-1]
            if born < frame.since and id(args[0]) not in frame.inputs:
                self._spoil()
        else:
            tensors = []
            try:
                given = self._arguments(args, kwargs, tensors)
            except (UnreadableError, TypeError):
                return self._unkeyed(module, forward, args, kwargs, path)
        known = self._cache.modules.get((number, given))
        if known is None:
            return self._recorded(module, forward, args, kwargs, path, (number, given), tensors)
        names = path if self._stand_ins else self._tree.paths[id(module)][0]
        self._frames[-1].items.append(UseOf(known, path, names))
        outputs = known.outputs
        return self._made(outputs) if outputs.__class__ is Output else self._remade(outputs, tensors)

    def _unkeyed(self, module: nn.Module, forward: Any, args: Any, kwargs: Any, path: str) -> Any:
        """A call that no other can equal. The block around it still can, if the module is left as it was."""
        if id(module) in self._tree.closed:
            raise ClosedError
        self._frames[-1].types.setdefault(path, type_name(module))
        if len(self._frames) == 1 or self._frames[-1].spoilt or self._fingerprints.of.get(id(module)) is None:
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
        key: tuple[int, int],
        tensors: Any,
    ) -> Any:
        if id(module) in self._tree.closed:
            raise ClosedError
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
        known: KnownModule | None = None
        uses = path if self._stand_ins else names
        if not frame.spoilt:
            try:
                if self._stand_ins or self._unchanged(module, before, args, kwargs, key):
                    block = Block(
                        tuple([told(item, path, names, uses) for item in frame.items]),
                        {stripped(inner, path): kind for inner, kind in frame.types.items()},
                    )
                    known = KnownModule(block, self._described(out, tensors, frame))
            except (UnreadableError, OutsideError, TypeError):
                known = None
        if known is None:
            outer.spoilt = True
            outer.items += frame.items
            outer.types |= {k: v for k, v in frame.types.items() if k not in outer.types}
        else:
            self._cache.modules[key] = known
            outer.items.append(UseOf(known, path, uses))
        return out

    def _unchanged(
        self, module: nn.Module, before: Hashable, args: Any, kwargs: Any, key: tuple[int, int]
    ) -> bool:
        return own_state(module) == before and self._arguments(args, kwargs, []) == key[1]

    def _ordinary_mode(self) -> bool:
        """Whether nothing is switched on that changes what operators do without showing in the arguments."""
        modes = _dispatch_modes() + _function_modes()
        if self._modes < 0:
            self._modes = modes
        return modes == self._modes and not (_is_any_autocast() or _is_grad_enabled() or _is_inference())

    def _arguments(self, args: Any, kwargs: Any, tensors: list[Tensor]) -> int:
        """A number for the arguments as far as a forward can tell them from others. Their tensors are added
        to `tensors`. Raises UnreadableError, and TypeError for what cannot be compared.
        """
        return self._cache.numbers.of(
            (self._argument(args, tensors), self._argument(kwargs, tensors) if kwargs else None)
        )

    def _argument(self, value: Any, tensors: list[Tensor]) -> Hashable:
        if isinstance(value, Tensor):
            for number, tensor in enumerate(tensors):
                if tensor is value:
                    return number
            state, _, born, _ = self._looked_at(value)
            frame = self._frames[-1]
            if born < frame.since and id(value) not in frame.inputs:
                # From outside the block around this call, which therefore depends on more than it is given.
                self._spoil()
            tensors.append(value)
            return "tensor", state
        kind = type(value)
        if kind in (tuple, list):
            return kind, tuple([self._argument(item, tensors) for item in value])
        if kind is dict:
            return kind, tuple([(frozen(k), self._argument(item, tensors)) for k, item in value.items()])
        return frozen(value, objects=False)

    def _spoil(self) -> None:
        for frame in self._frames[1:]:
            frame.spoilt = True

    def _described(self, value: Any, inputs: Any, frame: _Frame) -> Any:
        """What a forward returned, so that it can be returned again. Raises UnreadableError."""
        if isinstance(value, Tensor):
            for number, tensor in enumerate(inputs):
                if tensor is value:
                    return SameAsInput(number)
            if self._born.get(id(value), -1) < frame.since:
                raise UnreadableError
            return self._output(value)
        kind = type(value)
        if kind in (tuple, list):
            return kind([self._described(item, inputs, frame) for item in value])
        if value is None or kind in (bool, int, float, str):
            return value
        raise UnreadableError

    def _remade(self, outputs: Any, inputs: Any) -> Any:
        kind = type(outputs)
        if kind is Output:
            return self._made(outputs)
        if kind is SameAsInput:
            return inputs[outputs.number]
        if kind in (tuple, list):
            return kind([self._remade(item, inputs) for item in outputs])
        return outputs

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = None
        if id(func) in _FAST and not (self._more_tags or _is_grad_enabled() or _is_inference()):
            key = self._call_key(func, args, kwargs)
            known = self._cache.calls.get(key) if key is not None else None
        if known is None:
            return super().__torch_dispatch__(func, types, args, kwargs)
        if self._raw:
            self._flush()
        frame = self._frames[-1]
        for value in args:
            seen = self._given.get(id(value))
            if seen is not None and seen[2] < frame.since and id(value) not in frame.inputs:
                self._spoil()
        frame.items.append(CallOf(known, self._stack.path))
        return self._made(known.output)

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

    def _decomposed(self, decomposition: Any, info: OpInfo, args: Any, kwargs: Any) -> Any:
        self._flush()
        items = self._frames[-1].items
        known = len(items)
        out = super()._decomposed(decomposition, info, args, kwargs)
        if out is NotImplemented:
            del items[known:]
        return out

    def _plain(self, *raw: Any) -> OpCall:
        call = super()._plain(*raw)
        func, args, kwargs, out = raw[:4]
        if may_be_recognised(call.name):
            self.recognisable = True
            self._spoil()
        elif func.__class__ is torch._ops.OpOverload and torch.Tag.inplace_view in func.tags:
            self._spoil()
            self._given.clear()
        elif id(func) in _FAST and not self._more_tags:
            self._learn(call, func, args, kwargs, out)
        self._frames[-1].items.append(call)
        return call
