"""A trace as a tree of blocks. A block is what one forward of a module did; every equal call shares it. No
torch is needed.

A `Block` is relative to its module: the module's own path is "", and names of parameters begin below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from addercost.trace.record import ArgValue, OpCall, TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The calls of one forward of a module, in order.

    types: class names by relative path, for the module and for those modules within it that are not blocks
    themselves. Blocks are compared by identity, and equal modules share one block.
    """

    items: tuple[Item, ...]
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BlockUse:
    """A call of a block's module.

    path: of the module as it is called. names: the path under which its parameters are registered, which
    differs from `path` where modules are shared.
    """

    block: Block
    path: str
    names: str


Item: TypeAlias = "OpCall | BlockUse"


def expanded(items: tuple[Item, ...]) -> tuple[OpCall, ...]:
    """Every call in order, with the full paths of modules and names of parameters: the trace without
    blocks.
    """
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
    """A module or parameter is not inside the block's module, so it has no relative name."""


def relative(call: OpCall, path: str, names: str) -> OpCall:
    """The call as part of a module's block, with paths and names relative to that module.

    path: of the module. names: the path under which its parameters are registered. Raises OutsideError.
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
    """`name` relative to `prefix`. Raises OutsideError if it is not below `prefix`."""
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
    """The path `prefix.name`, where either may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _renamed(value: ArgValue, names: str) -> ArgValue:
    if isinstance(value, TensorSpec):
        return _renamed_spec(value, names)
    if isinstance(value, tuple):
        return tuple([_renamed(item, names) for item in value])
    return value


def _renamed_spec(spec: TensorSpec, names: str) -> TensorSpec:
    return TensorSpec(spec.shape, spec.dtype, spec.role, f"{names}.{spec.name}") if spec.name else spec
