"""Compares networks: `addercost compare` has a row for each, and a report has a column for each
arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from addercost.analysis.bounds import AtLeast, bounded
from addercost.analysis.comparison import Comparison
from addercost.analysis.estimate_ratio import cost_ratio, energy_ratio, estimate_ratio
from addercost.analysis.layer_rows import labelled_costs
from addercost.arithmetic import OpClass
from addercost.cost.stated_errors import stated_lines
from addercost.counts.model import ModelCounts
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.accelerator import accelerator_cells, accelerator_columns, accelerator_notes
from addercost.report.tables.layers import class_columns
from addercost.report.tables.mixed_models import mixed_models_of
from addercost.results.profile import Profile
from addercost.results.report import LEAST_CHARGED, EnergyEstimated, Estimated, Subject, network_name
from addercost.units import prefixed_unit


def comparison_table(compared: Comparison) -> Table:
    """A row for each model and arithmetic. A ratio is the first arithmetic's cost / the row's."""
    first = compared.profiles[0]
    columns = [
        Column("model", "model"),
        Column("arithmetic", "layers as"),
        *class_columns(*(profile.counts.total for profile in compared.profiles)),
    ]
    for name, cost in labelled_costs(first).items():
        title = name.replace(":", "\n")
        columns += [
            Column(f"cycles@{name}", f"cycles on\n{title}", Kind.COUNT, group=name),
            *([_seconds_column(name)] if cost.seconds else []),
            Column(f"ratio@{name}", "ratio", Kind.RATIO, group=name),
        ]
    for energy in first.energies:
        name = energy.hardware
        columns += [
            Column(f"energy_j@{name}", f"energy on\n{name}", Kind.QUANTITY, "J", group=name),
            Column(f"energy_ratio@{name}", "ratio", Kind.RATIO, group=name),
        ]
    for on_accelerator in first.accelerators:
        columns += accelerator_columns(on_accelerator.hardware)
    if any(profile.memory is not None for profile in compared.profiles):
        columns.append(Column("peak_bytes", "peak\nmemory", Kind.QUANTITY, "B", secondary=True))
    return Table(
        columns=tuple(columns),
        rows=[_row(compared, profile) for profile in compared.profiles],
        title=f"convention {first.counts.convention.name} ({first.counts.convention.title})",
        notes=(
            *_ratio_note(compared, _change(first.counts)),
            *mixed_models_of(first),
            *_remarks(compared),
            *accelerator_notes(
                [
                    (f"{profile.counts.model} as {_change(profile.counts)}", cost)
                    for profile in compared.profiles
                    for cost in profile.accelerators
                ]
            ),
            *stated_lines(
                [(cost.model, cost.hardware) for cost in first.costs],
                number_format=first.counts.total.main_format,
            ),
        ),
    )


def _seconds_column(name: str) -> Column:
    return Column(f"seconds@{name}", "time", Kind.QUANTITY, "s", optional=True, group=name)


def _ratio_note(compared: Comparison, base: str) -> Iterator[str]:
    models = dict.fromkeys(cost.model for cost in compared.profiles[0].costs)
    if models:
        yield f"ratio: as {base} by this row, above 1 is less; {' and '.join(models)} model"
    if not all(cost.complete for profile in compared.profiles for cost in profile.estimates):
        yield (
            "≥ and ≤ mark bounds: a table lacks figures for some operations, which may cost anything from "
            "nothing. No ratio where two rows lack different ones; --convention macs counts the fewest kinds "
            "of operations"
        )


def _remarks(compared: Comparison) -> Iterator[str]:
    """Notes, once for each processor: the figures that estimates lack, and what they assume."""
    costs = [cost for profile in compared.profiles for cost in profile.estimates]
    for hardware in dict.fromkeys(cost.hardware for cost in costs):
        own = [cost for cost in costs if cost.hardware == hardware]
        lacking = dict.fromkeys(item.figure for cost in own for item in cost.missing)
        assumed = dict.fromkeys(text for cost in own for text in cost.assumptions)
        if lacking:
            yield f"LOWER BOUND on {hardware}: no figure for {', '.join(lacking)}"
        if assumed:
            yield f"{hardware} assumes: {'; '.join(assumed)}"


def _row(compared: Comparison, profile: Profile) -> dict[str, Any]:
    counts = profile.counts
    row: dict[str, Any] = {
        "model": counts.model,
        "arithmetic": _change(counts),
        **{c.value: 0 for c in OpClass},
        **counts.total.by_class(),
        "peak_bytes": profile.memory.peak_bytes if profile.memory is not None else None,
    }
    baseline = compared.baseline(profile)
    for (name, cost), base in zip(labelled_costs(profile).items(), baseline.costs, strict=True):
        row[f"cycles@{name}"] = bounded(cost.cycles, cost.complete)
        if cost.seconds:
            row[f"seconds@{name}"] = bounded(cost.seconds, cost.complete)
        row[f"ratio@{name}"] = cost_ratio(baseline, base, profile, cost)
    for energy, base_energy in zip(profile.energies, baseline.energies, strict=True):
        row[f"energy_j@{energy.hardware}"] = bounded(energy.total_j, energy.complete)
        row[f"energy_ratio@{energy.hardware}"] = energy_ratio(baseline, base_energy, profile, energy)
    for on_accelerator, on_base in zip(profile.accelerators, baseline.accelerators, strict=True):
        row |= accelerator_cells(on_accelerator, on_base)
    return row


def _change(counts: ModelCounts) -> str:
    """How a row differs from the traced model: the arithmetic, or the changes."""
    changes = (*counts.what_if, *((counts.arithmetic.value,) if counts.arithmetic else ()))
    return "+".join(changes) or "as it is"


def side_by_side_table(subject: Subject) -> Table:
    """A row for each quantity and a column for each arithmetic. A ratio is the first column's figure / the
    other's.

    `estimate_ratio` documents the ratio of two lower bounds.
    """
    names = [network_name(profile) for profile in subject.profiles]
    first = names[0]
    columns = [Column("quantity", "quantity"), Column("unit", "unit")]
    columns += [Column(name, name, Kind.AMOUNT) for name in names]
    columns += [Column(f"{first}/{name}", f"{first} / {name}", Kind.RATIO) for name in names[1:]]
    rows = [*_operations(subject, names), *_cycles(subject, names), *_energy(subject, names)]
    counts = subject.first.counts
    return Table(
        columns=tuple(columns),
        rows=rows,
        title=f"{subject.name}, convention {counts.convention.name}: arithmetics side by side",
        notes=tuple(_side_by_side_remarks(subject)),
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
        groups.setdefault(f"{e.hardware}, {e.model}", {})[e.arithmetic] = e
    for title, group in groups.items():
        # In a sum of millions, fractions of a cycle are rounding errors. In a small sum they are exact.
        values = {name: (round(e.cycles) if e.cycles > 1e4 else e.cycles, e) for name, e in group.items()}
        yield {"quantity": f"{title} (estimate)", "unit": "cycles", **_compared(values, names)}
        seconds = {name: e.seconds for name, e in group.items() if e.seconds}
        if seconds:
            factor, unit = prefixed_unit(next(iter(seconds.values())), "s")
            times = {name: (value / factor, group[name]) for name, value in seconds.items()}
            # The ratios are given for the cycles above.
            compared = {name: value for name, value in _compared(times, names).items() if name in names}
            yield {"quantity": f"{title}, time (estimate)", "unit": unit, **compared}
            for end, word in enumerate(("from", "to")):
                ends = {
                    name: e.interval_s[end] / factor for name, e in group.items() if e.interval_s is not None
                }
                if ends:
                    yield {"quantity": f"{title}, time (estimate): nine of ten {word}", "unit": unit, **ends}


def _energy(subject: Subject, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    groups: dict[str, dict[str, EnergyEstimated]] = {}
    for e in subject.energies:
        groups.setdefault(f"{e.title} (estimate)", {})[e.arithmetic] = e
    for title, group in groups.items():
        factor, unit = prefixed_unit(next(iter(group.values())).joules, "J")
        values = {name: (e.joules / factor, e) for name, e in group.items()}
        yield {"quantity": title, "unit": unit, **_compared(values, names)}


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
            row[name] = bounded(value, e.complete)
        if name != names[0] and first is not None:
            row[f"{names[0]}/{name}"] = estimate_ratio(*first, value, e)
    return row


def _side_by_side_remarks(subject: Subject) -> Iterator[str]:
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
