"""The estimates for a report's first sentences: one cost model on each processor, and every energy table."""

from __future__ import annotations

from addercost.results.report import EnergyEstimated, Estimated, Subject


def leading_estimates(subject: Subject) -> dict[str, list[Estimated]]:
    """For each processor, the estimates of every network by the cost model that gives its layers' cycles.

    For a processor without cycles of layers, the first cost model is used.
    """
    models = {cost.hardware: cost.model for cost in subject.first.costs}
    found: dict[str, list[Estimated]] = {}
    for e in subject.estimates:
        if e.model == models.setdefault(e.hardware, e.model):
            found.setdefault(e.hardware, []).append(e)
    return found


def energies_by_table(subject: Subject) -> dict[str, list[EnergyEstimated]]:
    """For each energy table, the energies of every network."""
    found: dict[str, list[EnergyEstimated]] = {}
    for energy in subject.energies:
        found.setdefault(energy.table, []).append(energy)
    return found
