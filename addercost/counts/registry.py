"""Counting rules by operator: the table that every rule of `addercost.counts.rules` enters itself into."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall

CountingRule = Callable[[OpCall], OperatorWork | None]
"""None where the values of its arguments decide, so that the call is not counted."""
RULES: dict[str, CountingRule] = {}
"""The rule of each operator. An operator is named without its overload: "aten.mm"."""


_Rule = TypeVar("_Rule", bound=CountingRule)


def rule(*names: str) -> Callable[[_Rule], _Rule]:
    """Registers a counting rule for operators, named without their overload. A second rule is an error."""

    def register(function: _Rule) -> _Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"{name} has a rule already: {RULES[name].__module__}")
            RULES[name] = function
        return function

    return register
