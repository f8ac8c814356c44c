"""Designs of accelerators as a table: the Pareto front of time and energy, or all designs of a space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from addercost.cost.accelerator.designs import SUM_FORMATS, Designs
from addercost.report.table import Column, Kind, Table


def designs_table(name: str, designs: Designs, shown: Sequence[int], on_front: bool) -> Table:
    """A row for each design at the positions `shown`. on_front: whether these are the Pareto front."""
    what = "that no other of their element and format beats" if on_front else "of the space"
    return Table(
        columns=(
            Column("rows", "rows", Kind.COUNT),
            Column("columns", "columns", Kind.COUNT),
            Column("dataflow", "dataflow"),
            Column("element", "element"),
            Column("number_format", "format"),
            Column("cycles", "cycles", Kind.COUNT),
            Column("seconds", "time", Kind.QUANTITY, "s"),
            Column("energy_j", "energy", Kind.QUANTITY, "J"),
            Column("area_mm2", "area of\nelements (mm²)", Kind.NUMBER, optional=True),
        ),
        rows=[_row(designs, i) for i in shown],
        title=f"{name}: {len(shown)} of {len(designs.cycles):,} designs, {what} (estimates)",
        notes=tuple(_notes(designs)),
    )


def _row(designs: Designs, i: int) -> dict[str, Any]:
    space = designs.space
    area = float(designs.area_mm2[i])
    return {
        "rows": int(designs.rows[i]),
        "columns": int(designs.columns[i]),
        "dataflow": space.dataflows[designs.dataflow[i]],
        "element": space.kinds[designs.kind[i]].value,
        "number_format": space.number_formats[designs.number_format[i]],
        "cycles": round(float(designs.cycles[i])),
        "seconds": float(designs.seconds[i]),
        "energy_j": float(designs.energy_j[i]),
        "area_mm2": area if area == area else None,
    }


def _notes(designs: Designs) -> Iterator[str]:
    accelerator = designs.space.accelerator
    yield (
        f"memories and clock of {accelerator.name}, energies of {accelerator.energy_table}; every layer on "
        "elements of the design's kind; accuracy is not predicted"
    )
    sums = ", ".join(f"{n} in {SUM_FORMATS[n]}" for n in designs.space.number_formats)
    yield f"summed: {sums}; an XNOR element has operands of one bit in every format"
    yield "a design beats another if it takes less time or energy, and not more of the other"
    yield "area: logic of the elements, without registers and memories"
    if designs.left_out:
        yield f"{designs.left_out:,} designs left out: no figure for {', '.join(designs.missing)}"
    if designs.assumptions:
        yield f"assumed: {'; '.join(designs.assumptions)}"
