"""Accelerators in a comparison: columns beside those of processors, and where the energy goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from addercost.analysis.bounds import bounded, exact_ratio
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.report.table import Column, Kind, Table


def with_accelerators(table: Table, costs: Sequence[Sequence[AcceleratorCost]]) -> Table:
    """`table` with the columns of each accelerator. costs: for each row of it, one estimate an accelerator.

    Ratios are to the first row of the same model.
    """
    if not costs or not costs[0]:
        return table
    columns = list(table.columns)
    for cost in costs[0]:
        columns += _columns(cost.hardware)
    rows: list[dict[str, Any]] = []
    bases: dict[Any, Sequence[AcceleratorCost]] = {}
    notes = list(table.notes)
    for row, of_row in zip(table.rows, costs, strict=True):
        base = bases.setdefault(row["model"], of_row)
        made = dict(row)
        for cost, first in zip(of_row, base, strict=True):
            made |= _cells(cost, first)
            notes.append(_where_it_goes(f"{row['model']} as {row['arithmetic']}", cost))
        rows.append(made)
    notes += _remarks(costs)
    return replace(table, columns=tuple(columns), rows=rows, notes=tuple(notes))


def _columns(name: str) -> list[Column]:
    return [
        Column(f"cycles@{name}", f"cycles on\n{name}", Kind.COUNT, group=name),
        Column(f"seconds@{name}", "time", Kind.QUANTITY, "s", optional=True, group=name),
        Column(f"ratio@{name}", "ratio", Kind.RATIO, group=name),
        Column(f"energy_j@{name}", f"energy on\n{name}", Kind.QUANTITY, "J", group=name),
        Column(f"energy_ratio@{name}", "ratio", Kind.RATIO, group=name),
        Column(f"element_ratio@{name}", "ratio,\nelements", Kind.RATIO, optional=True, group=name),
    ]


def _cells(cost: AcceleratorCost, first: AcceleratorCost) -> dict[str, Any]:
    name = cost.hardware
    cycles, joules = bounded(round(cost.cycles), cost.complete), bounded(cost.total_j, cost.complete)
    elements = bounded(cost.energy_j["elements"], cost.complete)
    return {
        f"cycles@{name}": cycles,
        f"ratio@{name}": exact_ratio(bounded(round(first.cycles), first.complete), cycles),
        f"seconds@{name}": bounded(cost.seconds, cost.complete),
        f"energy_j@{name}": joules,
        f"energy_ratio@{name}": exact_ratio(bounded(first.total_j, first.complete), joules),
        f"element_ratio@{name}": exact_ratio(bounded(first.energy_j["elements"], first.complete), elements),
    }


def _where_it_goes(label: str, cost: AcceleratorCost) -> str:
    total = cost.total_j or 1.0
    parts = ", ".join(f"{level} {joules / total:.0%}" for level, joules in cost.energy_j.items())
    stalled = 1 - cost.compute_cycles / cost.cycles if cost.cycles else 0.0
    return (
        f"{label} on {cost.hardware} ({cost.rows} × {cost.columns}): energy goes to {parts}; "
        f"{cost.utilization:.2%} of the elements' cycles compute, {stalled:.0%} wait for memory"
    )


def _remarks(costs: Sequence[Sequence[AcceleratorCost]]) -> list[str]:
    notes = ["ratio, elements: energy of the elements alone, without any memory"]
    flat = [cost for of_row in costs for cost in of_row]
    for name in dict.fromkeys(cost.hardware for cost in flat):
        own = [cost for cost in flat if cost.hardware == name]
        lacking = dict.fromkeys(text for cost in own for text in cost.missing)
        assumed = dict.fromkeys(text for cost in own for text in cost.assumptions)
        if lacking:
            notes.append(f"LOWER BOUND on {name}: no figure for {', '.join(lacking)}")
        notes.append(f"{name} (estimate) assumes: {'; '.join(assumed)}")
    return notes
