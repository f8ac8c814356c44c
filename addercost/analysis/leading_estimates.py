"""Estimates that a report's answer is made of: one cost model on each processor, and every energy table."""

from __future__ import annotations

from addercost.results.report import EnergyEstimated, Estimated, Subject


def leading_estimates(subject: Subject) -> dict[str, list[Estimated]]:
    """By processor: the estimates of every network by the cost model that its layers' cycles are of.

    A processor without cycles of layers has those of its first cost model.
    """
    models = {cost.hardware: cost.model for cost in subject.first.costs}
    found: dict[str, list[Estimated]] = {}
    for e in subject.estimates:
        if e.model == models.setdefault(e.hardware, e.model):
            found.setdefault(e.hardware, []).append(e)
    return found


def energies_by_table(subject: Subject) -> dict[str, list[EnergyEstimated]]:
    """By energy table: the energies of every network."""
    found: dict[str, list[EnergyEstimated]] = {}
    for energy in subject.energies:
        found.setdefault(energy.table, []).append(energy)
    return found
