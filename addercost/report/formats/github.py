"""Budgets as GitHub's workflow commands, which annotate a run.

Source of the format: "Workflow commands for GitHub Actions", GitHub Docs.
"""

from __future__ import annotations

from collections.abc import Sequence

from addercost.analysis.budget import Spending, in_words, outcome
from addercost.results.profile import Profile
from addercost.text import printable


def github_annotations(profile: Profile, spendings: Sequence[Spending], file: str | None = None) -> str:
    """One error for each budget that is exceeded or unknown; a notice where there is none."""
    where = f" file={_property(file)}," if file else " "
    lines = []
    for spending in spendings:
        if spending.is_within:
            continue
        budget = spending.budget
        spent = f"{'' if spending.complete else '≥ '}{in_words(spending.spent, budget)}"
        text = f"{profile.counts.model}: {budget.quantity} {spent}, at most {in_words(budget.most, budget)}"
        if spending.layers:
            text += "; largest: " + ", ".join(f"{path} {in_words(n, budget)}" for path, n in spending.layers)
        if spending.spent <= budget.most:
            text += f"; {outcome(spending)}"
        lines.append(f"::error{where}title={_property(f'budget {budget.quantity}')}::{_message(text)}")
    if not lines:
        within = ", ".join(spending.budget.quantity for spending in spendings)
        lines.append(
            f"::notice{where}title=budget::{_message(f'{profile.counts.model}: {within} within budget')}"
        )
    return "\n".join(lines) + "\n"


def _message(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
