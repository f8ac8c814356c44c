"""A recorder that knows the state of each tensor that is not a parameter, and reuses calls on such
tensors.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from addercost.trace.frozen_values import UnreadableError
from addercost.trace.modules import CallStack
from addercost.trace.op_info import known_op_info
from addercost.trace.record import OpCall, TensorSpec
from addercost.trace.recorder import Recorder
from addercost.trace.reuse.cache import BlockCache
from addercost.trace.reuse.known import KnownCall
from addercost.trace.reuse.output_template import OutputTemplate
from addercost.trace.reuse.state import tensor_state
from addercost.trace.written_tensors import WrittenTensors

SeenTensor: TypeAlias = "tuple[int, int, int, OutputTemplate | None]"
"""(number of its state, number of the arguments if it is the only one, birth, template that it was made
from). The birth is the tensor's place in the order in which tensors were made; -1 means before everything
that is recorded.

This is a plain tuple because one is made for every activation, and making a NamedTuple takes four times as
long.
"""


class TensorRecorder(Recorder):
    """A recorder on the meta device that numbers tensors by their state and by the order in which they were
    made.
    """

    follows_positions = False
    """A state has no values, so masks that differ only in their values would count as equal."""

    def __init__(
        self,
        cache: BlockCache,
        stack: CallStack,
        names: Mapping[int, tuple[str, str, Tensor]],
        inputs: list[Tensor],
        written: WrittenTensors,
    ) -> None:
        super().__init__(stack, "meta", names, inputs, None, cache.decompositions, written)
        self._cache = cache
        self._births: dict[int, int] = {}
        self._seen: dict[int, SeenTensor] = {}
        """By id, the activations and inputs that a module was given."""

    def _seen_tensor(self, tensor: Tensor) -> SeenTensor:
        """The entry of a tensor that is not a parameter. Raises UnreadableError."""
        key = id(tensor)
        seen = self._seen.get(key)
        if seen is None:
            spec = self._specs.get(key)
            name, role = self._known.get(key, ("", "constant")) if spec is None else (spec.name, spec.role)
            if name or role not in ("activation", "input") or type(tensor) is not Tensor:
                raise UnreadableError
            state, sole_argument = self._numbers_of(tensor, role)
            seen = self._seen[key] = state, sole_argument, self._births.get(key, -1), None
        return seen

    def _numbers_of(self, tensor: Tensor, role: str) -> tuple[int, int]:
        """The number of a tensor's state, and the number of a forward's arguments if this tensor is the only
        one.
        """
        numbers = self._cache.numbers
        state = numbers.of((role, tensor_state(tensor)))
        return state, numbers.of(((tuple, (("tensor", state),)), None))

    def _template(self, tensor: Tensor) -> OutputTemplate:
        """How to make such an activation again. Raises UnreadableError."""
        if tensor.requires_grad or type(tensor) is not Tensor:
            raise UnreadableError
        seen = self._seen.get(id(tensor))
        if seen is not None and seen[3] is not None:
            return seen[3]
        spec = self._specs.get(id(tensor))
        if spec is None or spec.name or spec.role != "activation":
            raise UnreadableError
        state, sole_argument = self._numbers_of(tensor, "activation")
        offset = int(tensor.storage_offset())
        spare = self._cache.spare(state)
        return OutputTemplate(spec, state, sole_argument, tensor.stride(), tensor.dtype, offset, spare)

    def _made(self, template: OutputTemplate) -> Tensor:
        """A new tensor made from a template, recorded as made now."""
        spec, state, sole_argument, stride, dtype, offset, spare = template
        if not spare.tensors:
            spare.fill(spec.shape, stride, dtype, offset)
        made = spare.tensors.pop()
        key = id(made)
        birth = self._births[key] = len(self._births)
        self._specs[key] = spec
        self._seen[key] = state, sole_argument, birth, template
        self._alive.append(made)
        return made

    def _call_key(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> Hashable:
        """What determines a call's output, apart from its values. None if some of it cannot be read."""
        key: list[Hashable] = [id(func)]
        for value in args:
            seen = self._seen.get(id(value))
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
        """Keeps a call whose single output is a new tensor that is determined by the states of its
        arguments.
        """
        info = known_op_info(func)
        if type(out) is not Tensor or info.keeps_role or "inplace" in info.tags:
            return
        try:
            for value in args:
                if isinstance(value, Tensor):
                    self._seen_tensor(value)
            key = self._call_key(func, args, kwargs)
            if key is not None:
                self._cache.calls[key] = KnownCall(call, self._template(out))
        except UnreadableError:
            return

    def _remember(self, tensor: Tensor, role: str, name: str) -> TensorSpec:
        key = id(tensor)
        if key not in self._births:
            # A tensor that first appears as an argument was made before everything that is recorded.
            made_here = role == "activation" or role == "derived"
            self._births[key] = len(self._births) if made_here else -1
        return super()._remember(tensor, role, name)
