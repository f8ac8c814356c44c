"""The blocks that are being recorded, with the arguments and results of each forward."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor

from addercost.trace.frozen_values import UnreadableError, frozen
from addercost.trace.reuse.cache import BlockCache
from addercost.trace.reuse.known import Recorded
from addercost.trace.reuse.output_template import OutputTemplate, SameAsInput
from addercost.trace.reuse.tensor_recorder import TensorRecorder


class Frame:
    """A block that is being recorded.

    path, names: as in `BlockUse`, but from the root of the model. since: the first birth within it (see
    `SeenTensor`). inputs: ids of the tensors that its forward was given. reusable: its calls depend only on
    its module and its inputs.
    """

    def __init__(self, path: str, names: str, since: int, inputs: frozenset[int]) -> None:
        self.path = path
        self.names = names
        self.since = since
        self.inputs = inputs
        self.items: list[Recorded] = []
        self.types: dict[str, str] = {}
        self.reusable = True


class FrameRecorder(TensorRecorder):
    """Records into the innermost open block. The outermost one is the whole model."""

    def __init__(self, cache: BlockCache, *args: Any) -> None:
        super().__init__(cache, *args)
        self._frames = [Frame("", "", -1, frozenset())]

    def _give_up(self) -> None:
        """Marks all open blocks as not reusable: something in them depends on more than their arguments."""
        for frame in self._frames[1:]:
            frame.reusable = False

    def _arguments(self, args: Any, kwargs: Any, tensors: list[Tensor]) -> int:
        """The number of the arguments. It is equal for arguments that no forward can tell apart.

        Adds their tensors to `tensors`. Raises UnreadableError, and TypeError for arguments that cannot be
        compared.
        """
        return self._cache.numbers.of(
            (self._argument(args, tensors), self._argument(kwargs, tensors) if kwargs else None)
        )

    def _argument(self, value: Any, tensors: list[Tensor]) -> Hashable:
        if isinstance(value, Tensor):
            for number, tensor in enumerate(tensors):
                if tensor is value:
                    return number
            state, _, birth, _ = self._seen_tensor(value)
            frame = self._frames[-1]
            if birth < frame.since and id(value) not in frame.inputs:
                # The tensor was made outside the open block, so the block depends on more than its inputs.
                self._give_up()
            tensors.append(value)
            return "tensor", state
        kind = type(value)
        if kind in (tuple, list):
            return kind, tuple([self._argument(item, tensors) for item in value])
        if kind is dict:
            return kind, tuple([(frozen(k), self._argument(item, tensors)) for k, item in value.items()])
        return frozen(value, objects=False)

    def _described(self, value: Any, inputs: Any, frame: Frame) -> Any:
        """A forward's result with templates in place of tensors. Raises UnreadableError."""
        if isinstance(value, Tensor):
            for number, tensor in enumerate(inputs):
                if tensor is value:
                    return SameAsInput(number)
            if self._births.get(id(value), -1) < frame.since:
                raise UnreadableError
            return self._template(value)
        kind = type(value)
        if kind in (tuple, list):
            return kind([self._described(item, inputs, frame) for item in value])
        if value is None or kind in (bool, int, float, str):
            return value
        raise UnreadableError

    def _returned(self, outputs: Any, inputs: Any) -> Any:
        """The result of a forward, made anew from its description."""
        kind = type(outputs)
        if kind is OutputTemplate:
            return self._made(outputs)
        if kind is SameAsInput:
            return inputs[outputs.number]
        if kind in (tuple, list):
            return kind([self._returned(item, inputs) for item in outputs])
        return outputs
