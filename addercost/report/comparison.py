"""Models × arithmetics × processors side by side, each with its ratio to the first arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from addercost.arithmetic import OpClass
from addercost.errors import ArgumentError
from addercost.report.profile import Profile
from addercost.report.profile_table import describe_cost
from addercost.report.tables import Column, Kind, Table


@dataclass(frozen=True, slots=True)
class Comparison:
    """Profiles that may be compared: one convention, and for one model the same inputs and processors."""

    profiles: tuple[Profile, ...]

    def __post_init__(self) -> None:
        conventions = {profile.counts.convention.name for profile in self.profiles}
        if len(conventions) > 1:
            raise ArgumentError(
                f"profiles of different conventions cannot be compared: {' and '.join(sorted(conventions))}",
                "count them by the same one",
            )
        inputs: dict[str, Any] = {}
        for profile in self.profiles:
            counts = profile.counts
            if inputs.setdefault(counts.model, counts.inputs) != counts.inputs:
                raise ArgumentError(f"{counts.model} is given with different inputs", "use the same ones")
        processors = {tuple((c.hardware, c.model) for c in profile.costs) for profile in self.profiles}
        if len(processors) > 1:
            raise ArgumentError("profiles of different processors or cost models cannot be compared")

    def baseline(self, profile: Profile) -> Profile:
        """The first profile of the same model: what ratios are to."""
        return next(p for p in self.profiles if p.counts.model == profile.counts.model)

    def to_table(self) -> Table:
        """A row for each model and arithmetic; a ratio above 1 is fewer cycles than the first takes."""
        first = self.profiles[0]
        occurring = {c for p in self.profiles for c, _, _ in p.counts.total} | {OpClass.MUL, OpClass.ADD}
        costs = first.costs
        columns = [
            Column("model", "model"),
            Column("arithmetic", "arithmetic"),
            *(Column(c.value, c.value, Kind.COUNT) for c in OpClass if c in occurring),
        ]
        for cost in costs:
            columns += [
                Column(f"cycles@{cost.hardware}", f"cycles@{cost.hardware}", Kind.COUNT),
                Column(f"ratio@{cost.hardware}", "ratio", Kind.RATIO),
            ]
        incomplete = {
            describe_cost(cost) for profile in self.profiles for cost in profile.costs if not cost.complete
        }
        base = first.counts.arithmetic or "as it is"
        return Table(
            columns=tuple(columns),
            rows=[self._row(profile) for profile in self.profiles],
            title=f"convention {first.counts.convention.name} ({first.counts.convention.title})",
            notes=(
                *(
                    (f"ratio: cycles as {base} by cycles of this row, {costs[0].model} model",)
                    if costs
                    else ()
                ),
                *(f"LOWER BOUND: {text}" for text in sorted(incomplete)),
            ),
        )

    def _row(self, profile: Profile) -> dict[str, Any]:
        counts = profile.counts
        row: dict[str, Any] = {
            "model": counts.model,
            "arithmetic": counts.arithmetic.value if counts.arithmetic else "as it is",
            **{c.value: 0 for c in OpClass},
            **counts.total.by_class(),
        }
        for cost, base in zip(profile.costs, self.baseline(profile).costs, strict=True):
            row[f"cycles@{cost.hardware}"] = cost.cycles
            # A ratio of two lower bounds bounds nothing.
            known = cost.complete and base.complete and cost.cycles
            row[f"ratio@{cost.hardware}"] = base.cycles / cost.cycles if known else None
        return row


def compare(profiles: Sequence[Profile]) -> Comparison:
    """Profiles side by side. Raises ArgumentError where their conventions, inputs or processors differ."""
    if not profiles:
        raise ArgumentError("nothing to compare")
    return Comparison(tuple(profiles))
