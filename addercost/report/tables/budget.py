"""What a profile spends of its budgets, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from addercost.analysis.bounds import bounded
from addercost.analysis.budget import Spending, outcome
from addercost.report.table import Column, Kind, Table
from addercost.results.profile import Profile
from addercost.units import thousands


def budget_table(profile: Profile, spendings: Sequence[Spending]) -> Table:
    """One row a budget with its outcome, and the layers that spend most of it."""
    return Table(
        columns=(
            Column("quantity", "budget"),
            Column("most", "at most", Kind.COUNT),
            Column("spent", "spent", Kind.COUNT),
            Column("used", "used", Kind.SHARE),
            Column("verdict", "verdict"),
            Column("layers", "largest layers"),
        ),
        rows=[
            {
                "quantity": spending.budget.quantity,
                "most": spending.budget.most,
                "spent": bounded(spending.spent, spending.complete),
                "used": spending.spent / spending.budget.most if spending.budget.most else None,
                "verdict": outcome(spending),
                "layers": ", ".join(f"{path} {thousands(amount)}" for path, amount in spending.layers),
            }
            for spending in spendings
        ],
        title=f"{profile.counts.model}, convention {profile.counts.convention.name}",
    )
