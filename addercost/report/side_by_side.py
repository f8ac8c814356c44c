"""One model as several arithmetics in one table: operations, predicted cycles and energy, with ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from addercost.arithmetic import OpClass
from addercost.cost.models import is_serial
from addercost.report.tables import AtLeast, AtMost, Column, Kind, Table
from addercost.results.report import (
    LEAST_CHARGED,
    EnergyEstimated,
    Estimated,
    Subject,
    network_name,
)

_PJ = 1e-12


def side_by_side(subject: Subject) -> Table:
    """Rows are quantities, columns are arithmetics; ratios are the first column by the others.

    Of two lower bounds that leave out the same cost, the larger over the smaller is an upper bound of the
    ratio; where they leave out different ones there is no ratio. Sums that leave out the same operations
    leave out the same. Throughput and roofline do so where these are in layers that both networks have;
    elsewhere they may hide behind other work on one side only.
    """
    names = [network_name(profile) for profile in subject.profiles]
    first = names[0]
    columns = [Column("quantity", "quantity"), Column("unit", "unit")]
    columns += [Column(name, name, Kind.COUNT) for name in names]
    columns += [Column(f"{first}/{name}", f"{first} / {name}", Kind.RATIO) for name in names[1:]]
    rows = [*_operations(subject, names), *_cycles(subject, names), *_energy(subject, names)]
    counts = subject.first.counts
    return Table(
        columns=tuple(columns),
        rows=rows,
        title=f"{subject.name}, convention {counts.convention.name}: arithmetics side by side",
        notes=tuple(_remarks(subject)),
    )


def _operations(subject: Subject, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    mark = int if subject.first.counts.complete else AtLeast
    totals = [profile.counts.total for profile in subject.profiles]
    for op_class in OpClass:
        if op_class in (OpClass.MUL, OpClass.ADD) or any(total[op_class] for total in totals):
            values = {name: mark(total[op_class]) for name, total in zip(names, totals, strict=True)}
            yield {"quantity": f"operations: {op_class.value}", "unit": "ops", **values}
    values = {name: mark(total.total) for name, total in zip(names, totals, strict=True)}
    yield {"quantity": "operations in all", "unit": "ops", **values}


def _cycles(subject: Subject, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    groups: dict[str, dict[str, Estimated]] = {}
    for e in subject.estimates:
        groups.setdefault(f"{e.hardware}, {e.model} (estimate)", {})[e.arithmetic] = e
    for title, group in groups.items():
        # Fractions of a cycle are noise in a sum of millions, and exact in a small one.
        values = {name: (round(e.cycles) if e.cycles > 1e4 else e.cycles, e) for name, e in group.items()}
        yield {"quantity": title, "unit": "cycles", **_compared(values, names)}


def _energy(subject: Subject, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    groups: dict[str, dict[str, EnergyEstimated]] = {}
    for e in subject.energies:
        groups.setdefault(f"arithmetic energy, {e.table} (estimate)", {})[e.arithmetic] = e
    for title, group in groups.items():
        values = {name: (round(e.joules / _PJ), e) for name, e in group.items()}
        yield {"quantity": title, "unit": "pJ", **_compared(values, names)}


def _compared(
    values: Mapping[str, tuple[float, Estimated | EnergyEstimated]], names: Sequence[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    first = values.get(names[0])
    for name in names:
        if name not in values:
            continue
        value, e = values[name]
        if e.charged >= LEAST_CHARGED:
            row[name] = value if e.complete else AtLeast(value)
        if name != names[0] and first is not None:
            row[f"{names[0]}/{name}"] = ratio(*first, value, e)
    return row


def ratio(
    value: float, made: Estimated | EnergyEstimated, other: float, by: Estimated | EnergyEstimated
) -> float | None:
    """`value / other`, a bound of it, or None where nothing is known."""
    if not other or not value or min(made.charged, by.charged) < LEAST_CHARGED:
        return None
    if made.complete and by.complete:
        return value / other
    # (a + x) / (b + x) with the same unknown x ≥ 0 lies between a / b and 1.
    same_unknown = isinstance(by, EnergyEstimated) or is_serial(by.model) or by.same_gaps
    if made.missing == by.missing and same_unknown:
        return AtMost(value / other) if value >= other else AtLeast(value / other)
    return None


def _remarks(subject: Subject) -> Iterator[str]:
    lacking: dict[str, None] = {}
    for missing in (
        *(e.missing for e in subject.estimates),
        *(e.missing for e in subject.energies),
    ):
        lacking |= dict.fromkeys(missing)
    if len(subject.profiles) > 1:
        first = network_name(subject.profiles[0])
        yield f"Ratios: {first} by the other; above 1 the other takes less."
        yield "All cycles and energies are estimates."
    if lacking:
        yield (
            "≥ and ≤ mark bounds: the tables lack figures for some operations (see the notes). Empty cells: "
            f"fewer than {LEAST_CHARGED:.0%} of the operations have a figure. Empty ratios: what is left out "
            "may cost one side more than the other."
        )
