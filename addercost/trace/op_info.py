"""What an operator's schema says about it, read once per operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from addercost.counts.call_work import rule_for

_SAME_VALUES = frozenset({"_to_copy", "clone", "detach", "alias", "lift_fresh", "contiguous"})
"""Operators whose output is still the parameter they were given."""

_WRITES_SHAPE = torch.Tag.inplace_view


class OpInfo(NamedTuple):
    """keeps_role: the output is what the input was. changes_shape: of the tensor it is given.

    decomposition: torch's, of an operator that no rule counts.
    """

    op: str
    name: str
    arguments: tuple[str, ...]
    defaults: tuple[Any, ...]
    tags: tuple[str, ...]
    keeps_role: bool
    changes_shape: bool
    decomposition: Callable[..., Any] | None = None


def op_info(func: Any) -> OpInfo:
    schema = getattr(func, "_schema", None)
    if schema is None:  # a higher-order operator has no schema
        name = str(getattr(func, "name", lambda: func)())
        return OpInfo(f"higher_order.{name}.default", name, (), (), (), False, False)
    tags = [tag.name for tag in func.tags if tag.name in ("pointwise", "data_dependent_output")]
    aliases = [value.alias_info for value in schema.returns]
    is_view = any(alias is not None and not alias.is_write for alias in aliases)
    writes = any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
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
        decomposition=_decomposition(func, f"{namespace}.{name}", tags),
    )


def _decomposition(func: Any, name: str, tags: list[str]) -> Callable[..., Any] | None:
    """torch's own definition of an operator in terms of others, for one that no rule counts.

    For coverage, not for counting: it may do work that the operator need not. Random numbers stay whole.
    """
    if rule_for(name, tags) is not None or torch.Tag.nondeterministic_seeded in func.tags:
        return None
    from torch._decomp import decomposition_table

    found: Callable[..., Any] | None = decomposition_table.get(func)
    return found


_INFOS: dict[Any, OpInfo] = {}


def known_op_info(func: Any) -> OpInfo:
    info = _INFOS.get(func)
    if info is None:
        info = _INFOS[func] = op_info(func)
    return info
