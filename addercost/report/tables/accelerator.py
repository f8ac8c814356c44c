"""Accelerators in tables: columns of a comparison, a section of a report, and notes on the parts of the
energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from addercost.analysis.bounds import bounded, exact_ratio
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.cost.accelerator.product import ELEMENTS
from addercost.report.table import Column, Kind, Table
from addercost.results.report import Subject, network_name
from addercost.units import si


def accelerator_columns(name: str) -> list[Column]:
    """The columns of one accelerator in a comparison."""
    return [
        Column(f"cycles@{name}", f"cycles on\n{name}", Kind.COUNT, group=name),
        Column(f"seconds@{name}", "time", Kind.QUANTITY, "s", optional=True, group=name),
        Column(f"ratio@{name}", "ratio", Kind.RATIO, group=name),
        Column(f"energy_j@{name}", f"energy on\n{name}", Kind.QUANTITY, "J", group=name),
        Column(f"energy_ratio@{name}", "ratio", Kind.RATIO, group=name),
        Column(f"element_ratio@{name}", "ratio,\nelements", Kind.RATIO, optional=True, group=name),
    ]


def accelerator_cells(cost: AcceleratorCost, first: AcceleratorCost) -> dict[str, Any]:
    """The values of those columns. A ratio is the figure of `first` / the row's."""
    return {f"{key}@{cost.hardware}": value for key, value in _figures(cost, first).items()}


def _figures(cost: AcceleratorCost, first: AcceleratorCost) -> dict[str, Any]:
    cycles, joules = bounded(round(cost.cycles), cost.complete), bounded(cost.total_j, cost.complete)
    elements = bounded(cost.energy_j[ELEMENTS], cost.complete)
    return {
        "cycles": cycles,
        "seconds": bounded(cost.seconds, cost.complete),
        "ratio": exact_ratio(bounded(round(first.cycles), first.complete), cycles),
        "energy_j": joules,
        "energy_ratio": exact_ratio(bounded(first.total_j, first.complete), joules),
        "element_ratio": exact_ratio(bounded(first.energy_j[ELEMENTS], first.complete), elements),
    }


def accelerator_notes(labelled: Sequence[tuple[str, AcceleratorCost]]) -> Iterator[str]:
    """Notes, once for each accelerator: the parts of each row's energy, and what estimates lack and
    assume.
    """
    for label, cost in labelled:
        yield f"{label} on {cost.hardware} ({cost.rows} × {cost.columns}): {_where_it_goes(cost)}"
    if labelled:
        yield "ratio, elements: energy of the elements alone, without any memory"
    for name in dict.fromkeys(cost.hardware for _, cost in labelled):
        own = [cost for _, cost in labelled if cost.hardware == name]
        lacking = dict.fromkeys(text for cost in own for text in cost.missing)
        assumed = dict.fromkeys(text for cost in own for text in cost.assumptions)
        if lacking:
            yield f"LOWER BOUND on {name}: no figure for {', '.join(lacking)}"
        yield f"{name} (estimate) assumes: {'; '.join(assumed)}"


def _where_it_goes(cost: AcceleratorCost) -> str:
    total = cost.total_j or 1.0
    parts = ", ".join(f"{level} {joules / total:.0%}" for level, joules in cost.energy_j.items())
    stalled = 1 - cost.compute_cycles / cost.cycles if cost.cycles else 0.0
    return (
        f"energy goes to {parts}; {cost.utilization:.2%} of the elements' cycles compute, "
        f"{stalled:.0%} wait for memory"
    )


def describe_accelerator(cost: AcceleratorCost) -> str:
    """One line about an estimate."""
    at_least = "" if cost.complete else "at least "
    text = (
        f"{cost.hardware}, {cost.rows} × {cost.columns} elements (estimate): {at_least}{cost.cycles:,.0f} "
        f"cycles, {si(cost.seconds, 's')}, {at_least}{si(cost.total_j, 'J')}; {_where_it_goes(cost)}"
    )
    if cost.missing:
        text += f"; no figure in its table, so not charged: {', '.join(cost.missing)}"
    return f"{text}; assumed: {'; '.join(cost.assumptions)}"


def accelerators_table(subject: Subject) -> Table:
    """A row for each accelerator and network of a report."""
    levels = dict.fromkeys(
        level for profile in subject.profiles for cost in profile.accelerators for level in cost.energy_j
    )
    rows = []
    labelled = []
    for i, first in enumerate(subject.first.accelerators):
        for profile in subject.profiles:
            cost, network = profile.accelerators[i], network_name(profile)
            labelled.append((network, cost))
            rows.append(
                {
                    "hardware": cost.hardware,
                    "network": network,
                    "array": f"{cost.rows} × {cost.columns}",
                    **_figures(cost, first),
                    **{f"energy_j@{level}": joules for level, joules in cost.energy_j.items()},
                }
            )
    return Table(
        columns=(
            Column("hardware", "accelerator"),
            Column("network", "layers as"),
            Column("array", "array"),
            Column("cycles", "cycles", Kind.COUNT),
            Column("seconds", "time", Kind.QUANTITY, "s"),
            Column("ratio", "ratio", Kind.RATIO),
            Column("energy_j", "energy", Kind.QUANTITY, "J"),
            Column("energy_ratio", "ratio", Kind.RATIO),
            Column("element_ratio", "ratio,\nelements", Kind.RATIO),
            *(Column(f"energy_j@{level}", level, Kind.QUANTITY, "J", optional=True) for level in levels),
        ),
        rows=rows,
        title=f"{subject.name} on accelerators (estimates)",
        notes=(
            "Ratios: the first network by the row's, above 1 the row takes less.",
            *accelerator_notes(labelled),
        ),
    )
