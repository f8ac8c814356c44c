"""The layer table of a profile: a column for each class of operations that occurs. Rows can be summed by
module, sorted and cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from addercost.analysis.layer_rows import (
    ProfileRow,
    basis_of,
    folded,
    labelled_costs,
    layer_rows,
    weight_of,
)
from addercost.arithmetic import OpClass, OpCounts
from addercost.cost.energy import ModelEnergy
from addercost.cost.estimate import ModelCost
from addercost.cost.models import is_serial
from addercost.cost.stated_errors import stated_lines
from addercost.counts.peak_memory import ModelMemory
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.accelerator import describe_accelerator
from addercost.report.tables.mixed_models import mixed_models_of
from addercost.results.profile import Profile
from addercost.units import si


def layer_table(
    profile: Profile,
    depth: int | None = None,
    sort: str | None = None,
    top: int | None = None,
    rows_are: str = "layers",
) -> Table:
    """A row for each layer, and a last row with their sum.

    depth: layers below this many path components are summed into their ancestor. sort: a column, largest
    first. top: the number of rows, with the others summed into one row. rows_are: the word for rows in that
    row. Raises ArgumentError for an unknown column.
    """
    rows = folded(layer_rows(profile), depth)
    total = ProfileRow.merged(rows, "total")
    basis = basis_of(profile)
    whole = weight_of(total, basis)
    table = Table(
        columns=_columns(profile),
        rows=[_cells(row, basis, whole) for row in rows],
        title=_title(profile),
        notes=_notes(profile, basis),
        total={**_cells(total, basis, whole), **_whole_seconds(profile)},
    )
    order = list(range(len(rows)))
    if sort:
        position = {id(cells): i for i, cells in enumerate(table.rows)}
        order = [position[id(cells)] for cells in table.sorted_by(sort)]
    shown = [table.rows[i] for i in order[:top]]
    rest = [rows[i] for i in order[top:]] if top is not None else []
    if rest:
        shown.append(_cells(ProfileRow.merged(rest, f"{len(rest)} more {rows_are}"), basis, whole))
    return Table(table.columns, shown, table.title, table.notes, table.total)


def _cells(row: ProfileRow, basis: str | None, whole: float) -> dict[str, Any]:
    """The values of a row by column name. The root module's path is empty and is shown as (model)."""
    return {
        "path": row.path or "(model)",
        "type": row.type,
        "output_shape": row.output_shape,
        "calls": row.calls,
        "output_shapes": written_shapes(row.output_shapes),
        "nodes": ", ".join(row.nodes) or None,
        "peak_bytes": row.peak_bytes,
        "parameters": row.parameters,
        **{c.value: 0 for c in OpClass},
        **row.counts.by_class(),
        **{f"cycles@{name}": value for name, value in row.cycles.items()},
        **{f"energy_j@{name}": value for name, value in row.joules.items()},
        **{
            f"{end}@{name}": value
            for name, seconds in row.seconds.items()
            for end, value in zip(_ENDS, seconds, strict=True)
        },
        "share": weight_of(row, basis) / whole if whole else 0.0,
    }


def written_shapes(shapes: Sequence[tuple[int, ...]]) -> str | None:
    """The output shapes of several calls in order. Equal neighbours are written once: "1x6x28x28, 1x84 (3
    times)".
    """
    runs = [(shape, len(list(group))) for shape, group in groupby(shapes)]
    texts = ["x".join(map(str, shape)) + (f" ({n} times)" if n > 1 else "") for shape, n in runs]
    return ", ".join(texts) or None


def _whole_seconds(profile: Profile) -> dict[str, float]:
    """The network's seconds with its own interval, which is narrower than the sum of its layers'
    intervals.
    """
    return {
        f"{end}@{name}": value
        for name, cost in labelled_costs(profile).items()
        if cost.interval_s is not None and cost.seconds is not None
        for end, value in zip(_ENDS, (cost.seconds, *cost.interval_s), strict=True)
    }


def _describe_cost(cost: ModelCost) -> str:
    """One line about an estimate: the cost model, the processor, the total, the main limit, and what is
    missing.
    """
    at_least = "" if cost.complete else "at least "
    text = f"{cost.hardware}, {cost.model} model (estimate): {at_least}{cost.cycles:,.0f} cycles"
    if cost.seconds is not None:
        text += f", {si(cost.seconds, 's')}"
    if cost.interval_s is not None:
        low, high = cost.interval_s
        text += f", with nine of ten expected between {si(low, 's')} and {si(high, 's')}"
    if not is_serial(cost.model):
        most = main_bound(cost)
        text += f"; mostly bound by {most}" if cost.interval_s is None else f"; most of it {most}"
    return text + _reservations(cost)


def _describe_energy(energy: ModelEnergy) -> str:
    """One line about an energy estimate."""
    at_least = "" if energy.complete else "at least "
    memory = energy.total_j - energy.arithmetic_j
    text = f"{energy.hardware}, energy (estimate): {at_least}{si(energy.total_j, 'J')}"
    text += f", {si(memory, 'J')} of it memory traffic" if memory else ", arithmetic only"
    return text + _reservations(energy)


def memory_lines(memory: ModelMemory) -> Iterator[str]:
    """Lines on the memory that a run needs, and on the layer where it needs most."""
    yield (
        f"memory: {si(memory.weight_bytes, 'B', 4)} of weights and buffers; at most "
        f"{si(memory.peak_bytes, 'B', 4)} in use with inputs and activations, in "
        f"{memory.peak_path or '(model)'}; kernels' own scratch memory is not counted"
    )
    training = memory.training
    if training is not None:
        yield (
            f"memory of a training step: {si(training.saved_bytes, 'B', 4)} of activations kept for the "
            f"backward pass, {si(training.gradient_bytes, 'B', 4)} of gradients, "
            f"{si(training.optimizer_bytes, 'B', 4)} of optimizer state ({training.optimizer})"
        )


def main_bound(cost: ModelCost) -> str:
    """The name of the limit that sets the largest part of the cycles."""
    cycles: dict[str, float] = {}
    for layer in cost.layers:
        cycles[layer.bound] = cycles.get(layer.bound, 0) + layer.cycles
    return max(cycles, key=lambda bound: cycles[bound], default="nothing")


def _reservations(estimate: ModelCost | ModelEnergy) -> str:
    text = ""
    if estimate.missing:
        listed = ", ".join(f"{item.count:,} {item.figure}" for item in estimate.missing)
        text += f"; no figure in its table, so not charged: {listed}"
    if estimate.assumptions:
        text += f"; assumed: {'; '.join(estimate.assumptions)}"
    return text


_ENDS = ("seconds", "low_s", "high_s")


def class_columns(*totals: OpCounts) -> list[Column]:
    """Columns for multiplications, for additions, and for every other class of operations that occurs."""
    always = (OpClass.MUL, OpClass.ADD)
    occurring = {op_class for counts in totals for op_class, _, _ in counts}
    return [
        Column(c.value, c.value, Kind.COUNT, optional=c not in always)
        for c in OpClass
        if c in always or c in occurring
    ]


def _columns(profile: Profile) -> tuple[Column, ...]:
    named = len(profile.costs) + len(profile.accelerators) > 1
    several = any((layer.module_calls or 1) > 1 for layer in profile.counts.layers)
    of_graph = any(layer.nodes for layer in profile.counts.layers)
    return (
        Column("path", "layer", Kind.PATH),
        Column("type", "type", optional=True),
        Column("output_shape", "output", optional=True),
        Column("parameters", "parameters", Kind.COUNT, optional=True),
        *class_columns(profile.counts.total),
        *(
            Column(f"cycles@{name}", _title_of("cycles", name, cost.complete, named), Kind.COUNT)
            for name, cost in labelled_costs(profile).items()
        ),
        *(
            Column(f"{end}@{name}", _title_of(title, name, cost.complete, named), Kind.QUANTITY, "s")
            for name, cost in labelled_costs(profile).items()
            if cost.interval_s is not None
            for end, title in zip(_ENDS, ("time", "from", "to"), strict=True)
        ),
        *(
            Column(
                f"energy_j@{energy.hardware}",
                _title_of("energy", energy.hardware, energy.complete, named=True),
                Kind.QUANTITY,
                "J",
            )
            for energy in profile.energies
        ),
        *(
            Column(f"{key}@{item.hardware}", _title_of(what, item.hardware, item.complete, True), kind, unit)
            for item in profile.accelerators
            for key, what, kind, unit in (
                ("cycles", "cycles", Kind.COUNT, ""),
                ("energy_j", "energy", Kind.QUANTITY, "J"),
            )
        ),
        *([Column("calls", "calls", Kind.COUNT, secondary=True)] if several else []),
        *([Column("output_shapes", "outputs of all calls", secondary=True)] if several else []),
        *(
            [Column("peak_bytes", "peak memory", Kind.QUANTITY, "B", secondary=True)]
            if profile.memory is not None
            else []
        ),
        *([Column("nodes", "ONNX nodes", secondary=True)] if of_graph else []),
        Column("share", "share", Kind.SHARE),
    )


def _title_of(what: str, name: str, complete: bool, named: bool) -> str:
    return f"{'' if complete else '≥ '}{what}" + (" on\n" + name.replace(":", "\n") if named else "")


def _title(profile: Profile) -> str:
    counts = profile.counts
    inputs = ", ".join("x".join(map(str, spec.shape)) or "scalar" for spec in counts.inputs)
    changes = (*counts.what_if, *((counts.arithmetic.value,) if counts.arithmetic else ()))
    layers = f", what if {' and '.join(changes)}" if changes else ""
    if changes and profile.keep_first_last:
        layers += " but in the first and last layer"
    places = (*labelled_costs(profile), *(item.hardware for item in profile.accelerators))
    on = f", on {', '.join(places)}" if places else ""
    return f"{counts.model}{layers}, input {inputs or 'none'}, convention {counts.convention.name}{on}"


def _notes(profile: Profile, basis: str | None) -> tuple[str, ...]:
    counts = profile.counts
    unused = counts.unused_parameters
    notes = [
        f"{counts.mac_sites:,} MAC sites; {counts.parameters:,} parameters"
        + (f", {unused:,} of them not used by this forward" if unused else "")
        + f"; share of {f'cycles on {basis}' if basis else 'operations'}",
        f"convention {counts.convention.name}: {counts.convention.title}",
        *(_describe_cost(cost) for cost in profile.costs),
        *(_describe_energy(energy) for energy in profile.energies),
        *(describe_accelerator(item) for item in profile.accelerators),
        *mixed_models_of(profile),
        *stated_lines(
            [(cost.model, cost.hardware) for cost in profile.costs],
            number_format=counts.total.main_format,
        ),
        *(memory_lines(profile.memory) if profile.memory is not None else ()),
    ]
    if counts.uncounted:
        listed = ", ".join(f"{item.op} ({item.calls} calls)" for item in counts.uncounted[:8])
        more = len(counts.uncounted) - 8
        notes.append(
            f"LOWER BOUND: no counting rule for {listed}"
            + (f" and {more} more operators" if more > 0 else "")
        )
    if counts.tracer in ("fake", "real"):
        notes.append(f"traced by a {counts.tracer} run")
    return (*notes, *counts.notes)
