"""A recorder that skips a module's forward if an equal module ran on equal inputs before, and returns an
equal result.

Two calls are equal if their modules are (`fingerprint`) and their arguments are: shapes, strides, dtypes and
identities of tensors, and plain values. A forward that uses anything else is recorded in full, and so are the
modules around it. Such things are a tensor from elsewhere, an attribute that changes, or a container that it
fills. Two things go unnoticed: a forward that depends on a global variable which is not a tensor, and one
that depends on how often it ran, if this is counted outside of every module.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor, nn

from addercost.trace.frozen_values import UnreadableError
from addercost.trace.modules import ModuleTree, type_name
from addercost.trace.op_info import OpInfo
from addercost.trace.patterns import may_be_recognised
from addercost.trace.record import ArgValue, OpCall
from addercost.trace.reuse.blocks import Block, Item, OutsideError, stripped
from addercost.trace.reuse.cache import BlockCache
from addercost.trace.reuse.fingerprint import Fingerprints
from addercost.trace.reuse.frames import Frame, FrameRecorder
from addercost.trace.reuse.known import KnownModule, relative_items
from addercost.trace.reuse.output_template import OutputTemplate
from addercost.trace.reuse.state import own_state
from addercost.trace.shapes import FAST_SHAPES

# These are looked up once, because every call of every module asks them.
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_is_any_autocast = torch._C._is_any_autocast_enabled
_is_grad_enabled = torch.is_grad_enabled
_is_inference = torch.is_inference_mode_enabled
_FAST = frozenset(map(id, FAST_SHAPES))
"""Operators whose arguments' shapes determine the output, by id, because their `__hash__` is slow."""


class ClosedError(Exception):
    """A module has to be run, but its children are not in the tree."""


class BlockRecorder(FrameRecorder):
    """Records items in place of calls. `intercept` is called in place of each module's forward.

    stand_ins: see `trace_blocks`.
    """

    def __init__(
        self, tree: ModuleTree, cache: BlockCache, fingerprints: Fingerprints, stand_ins: bool, *args: Any
    ) -> None:
        super().__init__(cache, *args)
        self._tree = tree
        self._fingerprints = fingerprints
        self._stand_ins = stand_ins
        self._modes = -1
        self.recognisable = False
        """Whether some calls may together be a hand-written layer, which only a trace of the whole model
        shows.
        """

    def result(self) -> tuple[tuple[Item, ...], dict[str, str]]:
        """The items of the whole model, and the class names of the modules that are not inside its blocks."""
        self.flush()
        root = self._frames[0]
        return relative_items(root.items, "", "", ""), root.types

    def forget(self) -> None:
        """A module's attribute was set while the model ran, so from now on no module equals another."""
        self._fingerprints.forget()
        self._give_up()

    def intercept(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The result of `module`. If an equal call is known, its result is made anew; otherwise the forward
        runs.
        """
        path = self._stack.path
        number = self._fingerprints.of.get(id(module))
        ordinary = self._ordinary_mode()
        # The model as a whole is not a block, because nothing could use it.
        if number is None or not ordinary or module is self._tree.root:
            return self._unnumbered(module, forward, args, kwargs, path)
        if self._raw:
            self.flush()
        tensors: Any = args
        seen = self._seen.get(id(args[0])) if len(args) == 1 and not kwargs else None
        if seen is not None:
            # By far the most common case: one tensor that a module was given or returned before.
            _, arguments, birth, _ = seen
            frame = self._frames[-1]
            if birth < frame.since and id(args[0]) not in frame.inputs:
                self._give_up()
        else:
            tensors = []
            try:
                arguments = self._arguments(args, kwargs, tensors)
            except (UnreadableError, TypeError):
                return self._unnumbered(module, forward, args, kwargs, path)
        known = self._cache.modules.get((number, arguments))
        if known is None:
            return self._recorded(module, forward, args, kwargs, path, (number, arguments), tensors)
        names = path if self._stand_ins else self._tree.paths[id(module)][0]
        self._frames[-1].items.append((known, path, names))
        outputs = known.outputs
        if outputs.__class__ is OutputTemplate:
            return self._made(outputs)
        return self._returned(outputs, tensors)

    def _unnumbered(self, module: nn.Module, forward: Any, args: Any, kwargs: Any, path: str) -> Any:
        """Runs a forward that equals no other. The block around it can still be reused if the module does not
        change.
        """
        if id(module) in self._tree.closed:
            raise ClosedError
        frame = self._frames[-1]
        frame.types.setdefault(path, type_name(module))
        if len(self._frames) == 1 or not frame.reusable or self._fingerprints.of.get(id(module)) is None:
            return forward(*args, **kwargs)
        before = own_state(module)
        out = forward(*args, **kwargs)
        try:
            changed = own_state(module) != before
        except UnreadableError:
            changed = True
        if changed:
            self._give_up()
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
        """Runs a forward and records it as a block. If the block can be reused, it is known from then on."""
        if id(module) in self._tree.closed:
            raise ClosedError
        names = self._tree.paths[id(module)][0]
        frame = Frame(path, names, len(self._births), frozenset(map(id, tensors)))
        frame.types[path] = type_name(module)
        # Stand-ins and their arguments do not change; whoever passes them promises that.
        before = own_state(module) if not self._stand_ins else None
        self._frames.append(frame)
        try:
            out = forward(*args, **kwargs)
            self.flush()
        finally:
            self._frames.pop()
        outer = self._frames[-1]
        known: KnownModule | None = None
        names_of_uses = path if self._stand_ins else names
        if frame.reusable:
            try:
                if self._stand_ins or self._unchanged(module, before, args, kwargs, key):
                    block = Block(
                        relative_items(frame.items, path, names, names_of_uses),
                        {stripped(inner, path): kind for inner, kind in frame.types.items()},
                    )
                    known = KnownModule(block, self._described(out, tensors, frame))
            except (UnreadableError, OutsideError, TypeError):
                known = None
        if known is None:
            outer.reusable = False
            outer.items += frame.items
            outer.types |= {k: v for k, v in frame.types.items() if k not in outer.types}
        else:
            self._cache.modules[key] = known
            outer.items.append((known, path, names_of_uses))
        return out

    def _unchanged(
        self, module: nn.Module, before: Hashable, args: Any, kwargs: Any, key: tuple[int, int]
    ) -> bool:
        return own_state(module) == before and self._arguments(args, kwargs, []) == key[1]

    def _ordinary_mode(self) -> bool:
        """Whether no mode of torch is active that changes what operators do without showing in an
        argument.
        """
        modes = _dispatch_modes() + _function_modes()
        if self._modes < 0:
            self._modes = modes
        return modes == self._modes and not (_is_any_autocast() or _is_grad_enabled() or _is_inference())

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
            self.flush()
        frame = self._frames[-1]
        for value in args:
            seen = self._seen.get(id(value))
            if seen is not None and seen[2] < frame.since and id(value) not in frame.inputs:
                self._give_up()
        frame.items.append((known, self._stack.path, None))
        return self._made(known.output)

    def _value(self, value: Any) -> ArgValue:
        if isinstance(value, Tensor):
            key = id(value)
            if key not in self._specs:
                role = self._known.get(key, ("", "constant"))[1]
                if role not in ("parameter", "buffer") and key not in self._frames[-1].inputs:
                    self._give_up()
            elif not self._specs[key].name:
                frame = self._frames[-1]
                if self._births.get(key, -1) < frame.since and key not in frame.inputs:
                    self._give_up()
        return super()._value(value)

    def _decomposed(self, decomposition: Any, info: OpInfo, args: Any, kwargs: Any) -> Any:
        self.flush()
        items = self._frames[-1].items
        known = len(items)
        out = super()._decomposed(decomposition, info, args, kwargs)
        if out is NotImplemented:
            del items[known:]
        return out

    def _plain(self, *raw: Any) -> OpCall:
        call = super()._plain(*raw)
        func, info, args, kwargs, out = raw[:5]
        if may_be_recognised(call.name):
            self.recognisable = True
            self._give_up()
        elif info.changes_shape:
            self._give_up()
            self._seen.clear()
        elif id(func) in _FAST and not self._more_tags:
            self._learn(call, func, args, kwargs, out)
        self._frames[-1].items.append(call)
        return call
