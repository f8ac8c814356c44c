"""A trace as a tree of blocks: what one module did, told once and used wherever an equal module is called. No
torch.

A `Block` is written relative to its module: the module itself is "", and its parameters are named from it on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from addercost.trace.record import ArgValue, OpCall, TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The calls of one forward of a module, in order, and the class names of the module and of those within
    it that are not blocks themselves, by relative path. Compared by identity: equal modules share one block.
    """

    items: tuple[Item, ...]
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BlockUse:
    """A block at a place. path: of the module, as called; names: where its parameters are registered."""

    block: Block
    path: str
    names: str


Item: TypeAlias = "OpCall | BlockUse"


def expanded(items: tuple[Item, ...]) -> tuple[OpCall, ...]:
    """Every call, as if nothing had been reused: modules and parameters under their full names, in order."""
    calls: list[OpCall] = []
    _expand(items, "", "", calls)
    return tuple(calls)


def _expand(items: tuple[Item, ...], path: str, names: str, calls: list[OpCall]) -> None:
    for item in items:
        if isinstance(item, BlockUse):
            _expand(item.block.items, joined(path, item.path), joined(names, item.names), calls)
            continue
        index = len(calls)
        if not path and not names:
            calls.append(item if item.index == index else replace(item, index=index))
            continue
        calls.append(
            OpCall(
                item.op,
                joined(path, item.module),
                {name: _renamed(value, names) for name, value in item.args.items()} if names else item.args,
                tuple([_renamed_spec(spec, names) for spec in item.outputs]) if names else item.outputs,
                index,
                item.tags,
            )
        )


def types_of(items: Iterable[Item], path: str = "") -> Iterator[tuple[str, str]]:
    """(path, class name) of every module that ran in the blocks among the items, in order."""
    for item in items:
        if isinstance(item, BlockUse):
            place = joined(path, item.path)
            for inner, kind in item.block.types.items():
                yield joined(place, inner), kind
            yield from types_of(item.block.items, place)


class OutsideError(ValueError):
    """A name that is not within the block that is to tell it."""


def relative(call: OpCall, path: str, names: str) -> OpCall:
    """The call as told by the block of a module that is called at `path` and whose parameters are named from
    `names` on. Raises OutsideError.
    """
    if not path and not names:
        return call
    return OpCall(
        call.op,
        stripped(call.module, path),
        {name: _shortened(value, names) for name, value in call.args.items()},
        tuple([_shortened_spec(spec, names) for spec in call.outputs]),
        call.index,
        call.tags,
    )


def stripped(name: str, prefix: str) -> str:
    """The name from `prefix` on. Raises OutsideError where it does not begin so."""
    if not prefix:
        return name
    if name == prefix:
        return ""
    if not name.startswith(prefix + "."):
        raise OutsideError(name)
    return name[len(prefix) + 1 :]


def _shortened(value: ArgValue, names: str) -> ArgValue:
    if isinstance(value, TensorSpec):
        return _shortened_spec(value, names)
    if isinstance(value, tuple):
        return tuple([_shortened(item, names) for item in value])
    return value


def _shortened_spec(spec: TensorSpec, names: str) -> TensorSpec:
    return TensorSpec(spec.shape, spec.dtype, spec.role, stripped(spec.name, names)) if spec.name else spec


def joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _renamed(value: ArgValue, names: str) -> ArgValue:
    if isinstance(value, TensorSpec):
        return _renamed_spec(value, names)
    if isinstance(value, tuple):
        return tuple([_renamed(item, names) for item in value])
    return value


def _renamed_spec(spec: TensorSpec, names: str) -> TensorSpec:
    return TensorSpec(spec.shape, spec.dtype, spec.role, f"{names}.{spec.name}") if spec.name else spec
