"""Modules and operators that ran before, and their uses in the block that is being recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from addercost.trace.record import OpCall
from addercost.trace.reuse.blocks import Block, BlockUse, Item, relative, stripped
from addercost.trace.reuse.output_template import OutputTemplate

_MOST_PLACES = 256
"""The most uses that are kept of one block or call. Above that all are dropped, so that memory does not grow
during a sweep.
"""


class KnownModule:
    """A block and the result of its forward. Together they replace an equal call."""

    __slots__ = ("_uses", "block", "outputs")

    def __init__(self, block: Block, outputs: Any) -> None:
        self.block = block
        self.outputs = outputs
        self._uses: dict[tuple[str, str], BlockUse] = {}

    def at(self, path: str, names: str) -> BlockUse:
        """The block's use at a place within another block. Equal arguments return the same object."""
        use = self._uses.get((path, names))
        if use is None:
            if len(self._uses) >= _MOST_PLACES:
                self._uses.clear()
            use = self._uses[path, names] = BlockUse(self.block, path, names)
        return use


class KnownCall:
    """A call of an operator on activations only, with its single output, which is a new tensor."""

    __slots__ = ("_calls", "call", "output")

    def __init__(self, call: OpCall, output: OutputTemplate) -> None:
        self.call = call
        self.output = output
        self._calls: dict[str, OpCall] = {}

    def at(self, path: str, names: str) -> OpCall:
        """The call as made by the module at `path` of a block. Equal paths return the same object.

        names: as for a module, and not used here, since such a call has no parameters.
        """
        call = self._calls.get(path)
        if call is None:
            if len(self._calls) >= _MOST_PLACES:
                self._calls.clear()
            known = self.call
            call = self._calls[path] = OpCall(known.op, path, known.args, known.outputs, 0, known.tags)
        return call


RecordedUse: TypeAlias = "tuple[KnownModule | KnownCall, str, str | None]"
"""A call of a known module: (module, path, names), with paths as in `BlockUse`, but from the root of the
model. A known call of an operator: (call, path of the module that made it, None).

This is a plain tuple because one is made for every call, and making a NamedTuple takes four times as long.
"""

Recorded: TypeAlias = "OpCall | RecordedUse"
"""What an open block records. Paths and names are from the root of the model."""


def relative_items(items: Sequence[Recorded], path: str, names: str, names_of_uses: str) -> tuple[Item, ...]:
    """The items as parts of a module's block, with paths and names relative to that module.

    path: of the module. names: the path under which its parameters are registered. names_of_uses: the same
    path, for blocks within the module. Raises OutsideError for a parameter that is not below it.
    """
    found: list[Item] = []
    same_names = names_of_uses is path
    inside = f"{path}." if path else ""
    start = len(inside)
    for item in items:
        if item.__class__ is not tuple:
            found.append(relative(item, path, names))  # type: ignore[arg-type]
            continue
        known, at, named = item
        # Most paths are below the module's, so this is `stripped` without the call.
        within = at[start:] if at.startswith(inside) else stripped(at, path)
        if named is None or (named is at and same_names):
            found.append(known.at(within, within))
        else:
            found.append(known.at(within, stripped(named, names_of_uses)))
    return tuple(found)
