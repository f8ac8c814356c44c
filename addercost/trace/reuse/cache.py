"""What is known of modules and operators that ran before, by what they were and what they were given."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from addercost.trace.decompositions import Decompositions, IsCounted
from addercost.trace.record import OpCall, TensorSpec
from addercost.trace.reuse.blocks import Block, BlockUse, Item, relative, stripped
from addercost.trace.reuse.fingerprint import Numbers

_MOST_BLOCKS = 8_000
"""Blocks kept between models. Past it all are forgotten, so that memory does not grow with a sweep."""


_META = torch.device("meta")
_MOST_SPARE = 16
_MOST_PLACES = 256
"""Places kept of one block or call, likewise."""


class SameAsInput(NamedTuple):
    """An output that is the input of that number."""

    number: int


class Spare:
    """Tensors made for outputs that are alike, which nobody has seen yet: to step out of the dispatcher's way
    takes half as long as to make one, so that more are made at a time the more are used.
    """

    __slots__ = ("_many", "tensors")

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self._many = 1

    def fill(self, shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype, offset: int) -> None:
        with torch._C._DisableTorchDispatch():
            for _ in range(self._many):
                made = torch.empty_strided(shape, stride, dtype=dtype, device=_META)
                self.tensors.append(made.as_strided(shape, stride, offset) if offset else made)
        self._many = min(2 * self._many, _MOST_SPARE)


class Output(NamedTuple):
    """An output to make again. spec: what calls say of it; given: the number of all that can be told of it;
    alone: the same as what a forward is given and nothing else.
    """

    spec: TensorSpec
    given: int
    alone: int
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int
    spare: Spare


class KnownModule:
    """A block, and what its forward returned: all that an equal call has to do."""

    __slots__ = ("_uses", "block", "outputs")

    def __init__(self, block: Block, outputs: Any) -> None:
        self.block = block
        self.outputs = outputs
        self._uses: dict[tuple[str, str], BlockUse] = {}

    def at(self, path: str, names: str) -> BlockUse:
        """Its use at a place within another block, the same object every time."""
        use = self._uses.get((path, names))
        if use is None:
            if len(self._uses) >= _MOST_PLACES:
                self._uses.clear()
            use = self._uses[path, names] = BlockUse(self.block, path, names)
        return use


class KnownCall:
    """A call of an operator on activations alone, and its one output, which is new."""

    __slots__ = ("_calls", "call", "output")

    def __init__(self, call: OpCall, output: Output) -> None:
        self.call = call
        self.output = output
        self._calls: dict[str, OpCall] = {}

    def at(self, path: str) -> OpCall:
        """Itself in the module at `path` of a block, the same object every time."""
        call = self._calls.get(path)
        if call is None:
            if len(self._calls) >= _MOST_PLACES:
                self._calls.clear()
            known = self.call
            call = self._calls[path] = OpCall(known.op, path, known.args, known.outputs, 0, known.tags)
        return call


class UseOf(NamedTuple):
    """A known module where it was called. path, names: as in `BlockUse`, but of the whole model."""

    known: KnownModule
    path: str
    names: str


class CallOf(NamedTuple):
    """A known call where it was made: in the module at `path` of the whole model."""

    known: KnownCall
    path: str


Recorded: TypeAlias = "OpCall | UseOf | CallOf"
"""What is written down while a block is recorded, all under the names of the whole model."""


def told(item: Recorded, path: str, names: str, uses: str) -> Item:
    """The item as told by the block of a module that is called at `path` and whose parameters are named from
    `names` on, those of blocks within it from `uses` on. Raises OutsideError for a parameter of elsewhere.
    """
    kind = item.__class__
    if kind is UseOf:
        known, at, named = item  # type: ignore[misc]
        within = stripped(at, path)
        return known.at(within, within if named is at and uses is path else stripped(named, uses))
    if kind is CallOf:
        known, at = item  # type: ignore[misc]
        return known.at(stripped(at, path))
    return relative(item, path, names)  # type: ignore[arg-type]


class BlockCache:
    """What is known so far, for one model or for a whole sweep.

    modules: by numbers of the module and of what it is given; calls: by operator and arguments.
    """

    def __init__(self, is_counted: IsCounted | None = None) -> None:
        self.decompositions = Decompositions(is_counted)
        self.numbers = Numbers()
        self.modules: dict[tuple[int, int], KnownModule] = {}
        self.calls: dict[Hashable, KnownCall] = {}
        self._spare: dict[int, Spare] = {}

    def spare(self, given: int) -> Spare:
        """What all outputs of that number have in common."""
        return self._spare.setdefault(given, Spare())

    def trim(self) -> None:
        """Forgets everything when it has become much. Only between models."""
        if max(len(self.modules), len(self.numbers), len(self.calls)) > _MOST_BLOCKS:
            self.modules.clear()
            self.calls.clear()
            self._spare.clear()
            self.numbers.clear()
