"""An operator's schema in the form that the tracers use. It is read once for each operator."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from addercost.trace.attended_scores import ATTENDED, Facts
from addercost.trace.remade_tensors import OF_POSITIONS
from addercost.trace.sampled_regions import SAMPLED
from addercost.trace.sparse import ASK_PATTERN

_SAME_VALUES = frozenset({"_to_copy", "clone", "detach", "alias", "lift_fresh", "contiguous"})
"""Operators whose output is a copy of their input, or the same tensor. A parameter stays a parameter."""

_FACTS = {**ATTENDED, **SAMPLED}
_WRITES_SHAPE = torch.Tag.inplace_view


class OpInfo(NamedTuple):
    """What the tracers know about an operator.

    keeps_role: the output has the role of the input. changes_shape: the operator changes the shape of the
    tensor that it is given. writes: positions of the arguments that it writes. aliases: its outputs are
    arguments, or share memory with them. facts: computes further arguments from the values of the given ones.
    of_positions: the values of its outputs can be computed cheaply from those of its arguments. returns_one:
    it returns a single tensor, not a list or several. asks_pattern: it asks a sparse argument for what this
    has lost with its data.
    """

    op: str
    name: str
    arguments: tuple[str, ...]
    defaults: tuple[Any, ...]
    tags: tuple[str, ...]
    keeps_role: bool
    changes_shape: bool
    writes: tuple[int, ...]
    aliases: bool
    higher_order: bool = False
    facts: Facts | None = None
    of_positions: bool = False
    returns_one: bool = False
    asks_pattern: bool = False

    def written(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """The arguments that the operator writes."""
        given = len(args)
        return [args[at] if at < given else kwargs.get(self.arguments[at]) for at in self.writes]


def op_info(func: Any) -> OpInfo:
    schema = getattr(func, "_schema", None)
    if schema is None:  # A higher-order operator has no schema.
        name = str(getattr(func, "name", lambda: func)())
        given = list(inspect.signature(type(func).__call__).parameters.values())[1:]
        named = [parameter for parameter in given if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        return OpInfo(
            op=f"higher_order.{name}.default",
            name=name,
            arguments=tuple(parameter.name for parameter in named),
            defaults=tuple(
                None if parameter.default is parameter.empty else parameter.default for parameter in named
            ),
            tags=(),
            keeps_role=False,
            changes_shape=False,
            writes=(),
            aliases=True,
            higher_order=True,
        )
    tags = [tag.name for tag in func.tags if tag.name in ("pointwise", "data_dependent_output")]
    aliases = [value.alias_info for value in schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in aliases)
    writes = tuple(
        position
        for position, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    if is_view:
        tags.append("view")
    if writes:
        tags.append("inplace")
    namespace, _, name = schema.name.partition("::")
    return OpInfo(
        op=f"{namespace}.{name}.{schema.overload_name or 'default'}",
        name=name,
        arguments=tuple(argument.name for argument in schema.arguments),
        defaults=tuple(
            argument.default_value if argument.has_default_value() else None for argument in schema.arguments
        ),
        tags=tuple(tags),
        keeps_role=is_view or name in _SAME_VALUES,
        changes_shape=_WRITES_SHAPE in func.tags,
        writes=writes,
        aliases=any(alias is not None for alias in aliases),
        facts=_FACTS.get(f"{namespace}.{name}"),
        of_positions=namespace == "aten" and name in OF_POSITIONS,
        returns_one=[str(value.type) for value in schema.returns] == ["Tensor"],
        asks_pattern=name in ASK_PATTERN,
    )


_INFOS: dict[Any, OpInfo] = {}


def known_op_info(func: Any) -> OpInfo:
    info = _INFOS.get(func)
    if info is None:
        info = _INFOS[func] = op_info(func)
    return info
