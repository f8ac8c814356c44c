"""The table of counting rules by operator. Every rule of `addercost.counts.rules` registers itself here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall

CountingRule = Callable[[OpCall], OperatorWork | None]
"""Returns None where the count depends on values of arguments that are unknown; the call is then not
counted.
"""
RULES: dict[str, CountingRule] = {}
"""The rule of each operator. Operators are named without the overload: "aten.mm"."""


_Rule = TypeVar("_Rule", bound=CountingRule)


def rule(*names: str) -> Callable[[_Rule], _Rule]:
    """Registers a counting rule for operators, named without their overload. Raises ValueError for an
    operator that has one.
    """

    def register(function: _Rule) -> _Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"{name} has a rule already: {RULES[name].__module__}")
            RULES[name] = function
        return function

    return register
