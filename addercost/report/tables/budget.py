"""The budgets of a profile and how much of each is used, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from addercost.analysis.bounds import bounded
from addercost.analysis.budget import Spending, in_words, outcome
from addercost.report.table import Column, Kind, Table
from addercost.results.profile import Profile


def budget_table(profile: Profile, spendings: Sequence[Spending]) -> Table:
    """A row for each budget with its outcome, and the layers that use most of it."""
    return Table(
        columns=(
            Column("quantity", "budget"),
            Column("most", "at most", Kind.AMOUNT),
            Column("spent", "spent", Kind.AMOUNT),
            Column("used", "used", Kind.SHARE),
            Column("verdict", "verdict"),
            Column("layers", "largest layers"),
        ),
        rows=[_row(spending) for spending in spendings],
        title=f"{profile.counts.model}, convention {profile.counts.convention.name}",
    )


def _row(spending: Spending) -> dict[str, Any]:
    budget = spending.budget
    factor, unit = budget.unit
    return {
        "quantity": f"{budget.quantity}, {unit}" if unit else budget.quantity,
        "most": budget.most / factor,
        "spent": bounded(spending.spent / factor, spending.complete),
        "used": spending.spent / budget.most if budget.most else None,
        "verdict": outcome(spending),
        "layers": ", ".join(f"{path} {in_words(amount, budget)}" for path, amount in spending.layers),
    }
