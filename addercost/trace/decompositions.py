"""torch's own definitions of operators by other operators, for operators that are not counted themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import torch

from addercost.trace.op_info import OpInfo

IsCounted: TypeAlias = Callable[[str, Collection[str]], bool]
"""Whether an operator with that name ("aten.mm") and those tags is counted itself. The tracers do not know
the counting rules; whoever counts a trace says which operators have rules.
"""


class Decompositions:
    """Decompositions by operator. is_counted: as for `IsCounted`; None records every operator whole.

    A decomposition may do work that the operator need not do, so it is used only for operators without a
    rule. Operators that draw random numbers stay whole.
    """

    def __init__(self, is_counted: IsCounted | None) -> None:
        self._is_counted = is_counted
        self._known: dict[str, Callable[..., Any] | None] = {}

    def of(self, func: Any, info: OpInfo) -> Callable[..., Any] | None:
        if self._is_counted is None:
            return None
        try:
            return self._known[info.op]
        except KeyError:
            found = self._known[info.op] = self._looked_up(func, info, self._is_counted)
            return found

    def _looked_up(self, func: Any, info: OpInfo, is_counted: IsCounted) -> Callable[..., Any] | None:
        name = info.op.rpartition(".")[0]
        if name.startswith("higher_order.") or is_counted(name, info.tags):
            return None
        if torch.Tag.nondeterministic_seeded in func.tags:
            return None
        from torch._decomp import decomposition_table

        found: Callable[..., Any] | None = decomposition_table.get(func)
        return found
