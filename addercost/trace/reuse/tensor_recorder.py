"""What a recorder knows of each tensor that is no parameter, and of calls on such tensors alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from addercost.trace.modules import CallStack
from addercost.trace.op_info import known_op_info
from addercost.trace.record import OpCall, TensorSpec
from addercost.trace.recorder import Recorder
from addercost.trace.reuse.cache import BlockCache, KnownCall, Output
from addercost.trace.reuse.fingerprint import UnreadableError, tensor_state


class TensorRecorder(Recorder):
    """Numbers tensors in the order in which they were made, and by all that an operator can tell of them."""

    def __init__(
        self,
        cache: BlockCache,
        stack: CallStack,
        names: Mapping[int, tuple[str, str, Tensor]],
        inputs: list[Tensor],
    ) -> None:
        super().__init__(stack, "meta", names, inputs, None, cache.decompositions)
        self._cache = cache
        self._born: dict[int, int] = {}
        self._given: dict[int, tuple[int, int, int, Output | None]] = {}
        """By tensor: all that can be told of it as a number, the same as a forward's only argument, when it
        was born, and what it was made by."""

    def _looked_at(self, tensor: Tensor) -> tuple[int, int, int, Output | None]:
        """What `_given` holds of a tensor that is no parameter. Raises UnreadableError."""
        key = id(tensor)
        seen = self._given.get(key)
        if seen is None:
            spec = self._specs.get(key)
            name, role = self._known.get(key, ("", "constant")) if spec is None else (spec.name, spec.role)
            if name or role not in ("activation", "input") or type(tensor) is not Tensor:
                raise UnreadableError
            state, alone = self._numbered(tensor, role)
            seen = self._given[key] = state, alone, self._born.get(key, -1), None
        return seen

    def _numbered(self, tensor: Tensor, role: str) -> tuple[int, int]:
        """Numbers of all that can be told of a tensor, and of it as a forward's only argument."""
        numbers = self._cache.numbers
        state = numbers.of((role, tensor_state(tensor)))
        return state, numbers.of(((tuple, (("tensor", state),)), None))

    def _output(self, tensor: Tensor) -> Output:
        """How to make such an activation again. Raises UnreadableError."""
        if tensor.requires_grad or type(tensor) is not Tensor:
            raise UnreadableError
        seen = self._given.get(id(tensor))
        if seen is not None and seen[3] is not None:
            return seen[3]
        spec = self._specs.get(id(tensor))
        if spec is None or spec.name or spec.role != "activation":
            raise UnreadableError
        state, alone = self._numbered(tensor, "activation")
        offset = int(tensor.storage_offset())
        return Output(spec, state, alone, tensor.stride(), tensor.dtype, offset, self._cache.spare(state))

    def _made(self, output: Output) -> Tensor:
        """A new tensor like the one of which `output` tells, recorded as made now."""
        spec, state, alone, stride, dtype, offset, spare = output
        if not spare.tensors:
            spare.fill(spec.shape, stride, dtype, offset)
        made = spare.tensors.pop()
        key = id(made)
        born = self._born[key] = len(self._born)
        self._specs[key] = spec
        self._given[key] = state, alone, born, output
        self._alive.append(made)
        return made

    def _call_key(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> Hashable:
        """The call as far as its output depends on it without its values; None where that cannot be told."""
        key: list[Hashable] = [id(func)]
        for value in args:
            seen = self._given.get(id(value))
            if seen is not None:
                key.append(seen[0])
            elif value is None or isinstance(value, bool | int | float):
                key.append((type(value), value))
            elif type(value) is list and all(type(item) is int for item in value):
                key.append(tuple(value))
            else:
                return None
        for name, value in kwargs.items() if kwargs else ():
            if value is not None and not isinstance(value, bool | int | float | torch.dtype):
                return None
            key.append((name, type(value), value))
        return tuple(key)

    def _learn(self, call: OpCall, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Keeps a call whose one output is new and decided by what can be told of its arguments."""
        info = known_op_info(func)
        if type(out) is not Tensor or info.keeps_role or "inplace" in info.tags:
            return
        try:
            for value in args:
                if isinstance(value, Tensor):
                    self._looked_at(value)
            key = self._call_key(func, args, kwargs)
            if key is not None:
                self._cache.calls[key] = KnownCall(call, self._output(out))
        except UnreadableError:
            return

    def _remember(self, tensor: Tensor, role: str, name: str) -> TensorSpec:
        key = id(tensor)
        if key not in self._born:
            # What is first seen as an argument was made before everything recorded.
            made_here = role == "activation" or role == "derived"
            self._born[key] = len(self._born) if made_here else -1
        return super()._remember(tensor, role, name)
