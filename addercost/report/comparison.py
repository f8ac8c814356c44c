"""Models × arithmetics × processors side by side, each with its ratio to the first arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from addercost.arithmetic import OpClass
from addercost.counts.model import ModelCounts
from addercost.errors import ArgumentError
from addercost.report.profile_table import class_columns, labels
from addercost.report.tables import AtLeast, Column, Kind, Table
from addercost.results.profile import Profile


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
        columns = [
            Column("model", "model"),
            Column("arithmetic", "layers as"),
            *class_columns(*(profile.counts.total for profile in self.profiles)),
        ]
        for name in labels(first):
            title = name.replace(":", "\n")
            columns += [
                Column(f"cycles@{name}", f"cycles on\n{title}", Kind.COUNT),
                Column(f"ratio@{name}", "ratio", Kind.RATIO),
            ]
        for energy in first.energies:
            columns += [
                Column(f"energy_j@{energy.hardware}", f"energy on\n{energy.hardware}", Kind.QUANTITY, "J"),
                Column(f"energy_ratio@{energy.hardware}", "ratio", Kind.RATIO),
            ]
        return Table(
            columns=tuple(columns),
            rows=[self._row(profile) for profile in self.profiles],
            title=f"convention {first.counts.convention.name} ({first.counts.convention.title})",
            notes=(
                *self._ratio_note(_change(first.counts)),
                *self._remarks(),
            ),
        )

    def _ratio_note(self, base: str) -> Iterator[str]:
        models = dict.fromkeys(cost.model for cost in self.profiles[0].costs)
        if models:
            yield f"ratio: as {base} by this row, above 1 is less; {' and '.join(models)} model"
        if not all(cost.complete for profile in self.profiles for cost in profile.estimates):
            yield (
                "no ratio where a side is a lower bound (≥), as the table lacks figures; --convention macs "
                "counts the fewest kinds of operations"
            )

    def _remarks(self) -> Iterator[str]:
        """What the estimates lack and what they assume, once for each processor."""
        costs = [cost for profile in self.profiles for cost in profile.estimates]
        for hardware in dict.fromkeys(cost.hardware for cost in costs):
            own = [cost for cost in costs if cost.hardware == hardware]
            lacking = dict.fromkeys(item.figure for cost in own for item in cost.missing)
            assumed = dict.fromkeys(text for cost in own for text in cost.assumptions)
            if lacking:
                yield f"LOWER BOUND on {hardware}: no figure for {', '.join(lacking)}"
            if assumed:
                yield f"{hardware} assumes: {'; '.join(assumed)}"

    def _row(self, profile: Profile) -> dict[str, Any]:
        counts = profile.counts
        row: dict[str, Any] = {
            "model": counts.model,
            "arithmetic": _change(counts),
            **{c.value: 0 for c in OpClass},
            **counts.total.by_class(),
        }
        baseline = self.baseline(profile)
        for (name, cost), base in zip(labels(profile).items(), baseline.costs, strict=True):
            row[f"cycles@{name}"] = cost.cycles if cost.complete else AtLeast(cost.cycles)
            # A ratio of two lower bounds bounds nothing.
            known = cost.complete and base.complete and cost.cycles
            row[f"ratio@{name}"] = base.cycles / cost.cycles if known else None
        for energy, base_energy in zip(profile.energies, baseline.energies, strict=True):
            name = energy.hardware
            row[f"energy_j@{name}"] = energy.total_j if energy.complete else AtLeast(energy.total_j)
            known = energy.complete and base_energy.complete and energy.total_j
            row[f"energy_ratio@{name}"] = base_energy.total_j / energy.total_j if known else None
        return row


def _change(counts: ModelCounts) -> str:
    """How a row differs from the model as it was traced."""
    changes = (*counts.what_if, *((counts.arithmetic.value,) if counts.arithmetic else ()))
    return "+".join(changes) or "as it is"


def compare(profiles: Sequence[Profile]) -> Comparison:
    """Profiles side by side. Raises ArgumentError where their conventions, inputs or processors differ."""
    if not profiles:
        raise ArgumentError("nothing to compare")
    return Comparison(tuple(profiles))
