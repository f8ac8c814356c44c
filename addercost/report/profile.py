"""A profile: what a model's layers count and what they are estimated to cost, ready to be shown or saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from addercost.counts.model import LayerCounts, ModelCounts
from addercost.report.notebook import to_html
from addercost.report.profile_table import profile_table
from addercost.report.tables import Table, TableFormat, render
from addercost.report.terminal import terminal_width

if TYPE_CHECKING:
    import pandas

    from addercost.cost.energy import ModelEnergy
    from addercost.cost.estimate import ModelCost

SCHEMA = "addercost/profile/1"


@dataclass(frozen=True, slots=True)
class Profile:
    """Counts and estimates of the same layers in order: a cost per processor and model, energies."""

    counts: ModelCounts
    costs: tuple[ModelCost, ...] = ()
    keep_first_last: bool = False
    energies: tuple[ModelEnergy, ...] = ()

    def __str__(self) -> str:
        """The layer table as the command prints it: as wide as the terminal, if there is one."""
        return render(self.to_table(), TableFormat.TABLE, terminal_width()).rstrip("\n")

    @property
    def estimates(self) -> tuple[ModelCost | ModelEnergy, ...]:
        return (*self.costs, *self.energies)

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON document as plain data."""
        counts = self.counts
        return {
            "schema": SCHEMA,
            "model": counts.model,
            "convention": counts.convention.name,
            "mac_sites": counts.mac_sites,
            "arithmetic": counts.arithmetic.value if counts.arithmetic else None,
            "what_if": list(counts.what_if),
            "keep_first_last": self.keep_first_last,
            "tracer": counts.tracer,
            "complete": counts.complete,
            "uncounted": [
                {"op": item.op, "calls": item.calls, "paths": list(item.paths)} for item in counts.uncounted
            ],
            "inputs": [{"shape": list(spec.shape), "dtype": spec.dtype} for spec in counts.inputs],
            "parameters": counts.parameters,
            "unused_parameters": counts.unused_parameters,
            "notes": list(counts.notes),
            "totals": counts.total.by_class(),
            "totals_by_format": counts.total.by_format(),
            "layers": [_layer(layer) for layer in counts.layers],
            "cost": [_cost(cost) for cost in self.costs],
            "energy": [_energy(energy) for energy in self.energies],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    def to_frame(self) -> pandas.DataFrame:
        """One row a layer, with the columns of the CSV."""
        import pandas

        table = self.to_table()
        names = [column.name for column in table.columns]
        return pandas.DataFrame([[row.get(name) for name in names] for row in table.rows], columns=names)

    def to_table(self, depth: int | None = None, sort: str | None = None, top: int | None = None) -> Table:
        """The layer table.

        depth: layers below this many path components are summed into their ancestor. sort: a column, largest
        first. top: so many rows, the rest summed into one. Raises ArgumentError for an unknown column.
        """
        return profile_table(self, depth, sort, top)

    def _repr_html_(self) -> str:
        return to_html(self.to_table())


def render_profile(
    profile: Profile,
    output: TableFormat,
    width: int | None = None,
    styled: bool = False,
    depth: int | None = None,
    sort: str | None = None,
    top: int | None = None,
) -> str:
    """A profile in any table format; JSON is the whole document, with every layer."""
    table = profile.to_table(depth, sort, top)
    return profile.to_json() if output is TableFormat.JSON else render(table, output, width, styled)


def _layer(layer: LayerCounts) -> dict[str, Any]:
    return {
        "path": layer.path,
        "type": layer.type,
        "op": layer.op,
        "ops": dict(layer.ops),
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "mac_sites": layer.mac_sites,
        "arithmetic": layer.arithmetic.value if layer.arithmetic else None,
        "bytes_read": layer.bytes_read,
        "bytes_written": layer.bytes_written,
        "counts": layer.counts.by_class(),
        "counts_by_format": layer.counts.by_format(),
    }


def _energy(energy: ModelEnergy) -> dict[str, Any]:
    return {
        "hardware": energy.hardware,
        "total_j": energy.total_j,
        "arithmetic_j": energy.arithmetic_j,
        "complete": energy.complete,
        "missing": [{"figure": item.figure, "count": item.count} for item in energy.missing],
        "assumptions": list(energy.assumptions),
        "layers": [
            {
                "path": layer.path,
                "arithmetic_j": layer.arithmetic_j,
                "memory_j": dict(layer.memory_j),
                "complete": layer.complete,
            }
            for layer in energy.layers
        ],
    }


def _cost(cost: ModelCost) -> dict[str, Any]:
    return {
        "hardware": cost.hardware,
        "model": cost.model,
        "lowering": cost.lowering,
        "cycles": cost.cycles,
        "seconds": cost.seconds,
        "complete": cost.complete,
        "missing": [{"figure": item.figure, "count": item.count} for item in cost.missing],
        "assumptions": list(cost.assumptions),
        "layers": [
            {"path": layer.path, "cycles": layer.cycles, "bound": layer.bound, "complete": layer.complete}
            for layer in cost.layers
        ],
    }
