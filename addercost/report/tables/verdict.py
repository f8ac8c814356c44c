"""The verdict on one model as a table, with sentences below it that follow from each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from addercost.analysis.network_verdict import NetworkVerdict, VerdictRow
from addercost.cost.stated_errors import stated_lines
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.verdict_sentences import OTHERS, sentence
from addercost.results.intervals import MARGIN

_LITTLE_FRACTION = 0.1
"""A row that ran at a smaller share of its arithmetic's limit spent most of its time on other things."""


def verdict_table(verdict: NetworkVerdict) -> Table:
    """The table: ratios by contest, and in the notes a sentence on each contest."""
    first = verdict.rows[0]
    columns = [Column("network", "convolutions\nagainst")]
    by_kernels = next((row.calibrated for row in verdict.rows if row.calibrated is not None), None)
    if by_kernels is not None:
        columns += [
            Column("calibrated", f"predicted:\n{by_kernels.model},\n{by_kernels.hardware}", Kind.RATIO),
            Column("calibrated_low", "90 %\nfrom", Kind.RATIO),
            Column("calibrated_high", "to", Kind.RATIO),
        ]
    measured = [
        Column("measured", "measured", Kind.RATIO),
        Column("low", "95 %\nfrom", Kind.RATIO),
        Column("high", "to", Kind.RATIO),
    ]
    if not any(row.measured is not None for row in verdict.rows):
        measured = []
    # Where there is a prediction by kernels, it comes first with the measurement.
    columns += measured if by_kernels is not None else []
    columns += [
        Column("paper", f"predicted:\nlatency sum,\n{first.paper.hardware}", Kind.RATIO),
    ]
    if first.here is not None:
        columns.append(
            Column("predicted", f"predicted:\n{first.here.model},\n{first.here.hardware}", Kind.RATIO)
        )
    columns += [] if by_kernels is not None else measured
    # Optional, since the sentences in the notes have these ratios as well.
    columns += [
        Column(f"energy@{energy.hardware}", f"energy,\n{energy.hardware}", Kind.RATIO, optional=True)
        for energy in first.energies
    ]
    return Table(
        columns=tuple(columns),
        rows=[_cells(row) for row in verdict.rows],
        title=f"{verdict.model}{f', timed on {verdict.device}' if verdict.device else ''}: "
        "cost of convolutions / cost of the other",
        notes=(
            "above 1 the other is cheaper; convolution and linear layers only; all but the measured "
            "columns are estimates",
            f"a tie: a ratio within 1 ± {100 * MARGIN:g} %; cannot tell: a measured ratio "
            "whose interval does not lie beyond that",
            _papers_rule(first.paper.hardware),
            *(sentence(row, verdict.device) for row in verdict.rows),
            *dict.fromkeys(note for row in verdict.rows for note in _gaps(row)),
            *_little_arithmetic(verdict.rows),
            *dict.fromkeys(
                f"calibrated: {note}"
                for row in verdict.rows
                if row.calibrated
                for note in row.calibrated.notes
            ),
            *stated_lines(
                [(p.model, p.hardware) for p in (by_kernels, first.paper, first.here) if p is not None]
            ),
            *verdict.remarks,
        ),
    )


def _papers_rule(hardware: str) -> str:
    return (
        f"latency sum on {hardware}: the paper's rule, the latency of every operation added up. The paper "
        "has it for fp32; for int8 and binary layers it is applied by us, with that table's figures for "
        "integers and bits"
    )


def _little_arithmetic(rows: tuple[VerdictRow, ...]) -> Iterator[str]:
    """A remark on contests whose timing depends little on the arithmetic."""
    names = [
        row.contest.name
        for row in rows
        if row.measured is not None
        and row.measured.share_of_limit is not None
        and row.measured.share_of_limit < _LITTLE_FRACTION
    ]
    if names:
        yield (
            f"{', '.join(names)}: under a tenth of what the arithmetic alone could do, so most of the time "
            "goes elsewhere (calls, packing, memory); a larger batch gives the arithmetic more weight"
        )


def _cells(row: VerdictRow) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "network": OTHERS[row.contest.arithmetic]
        if row.contest.name == "binary"
        else f"{row.contest.name} {OTHERS[row.contest.arithmetic]}",
        "paper": row.paper.ratio,
        "predicted": row.here.ratio if row.here is not None else None,
    }
    if row.calibrated is not None and row.calibrated.interval is not None:
        low, high = row.calibrated.interval
        cells |= {"calibrated": row.calibrated.ratio, "calibrated_low": low, "calibrated_high": high}
    if row.measured is not None:
        cells |= {"measured": row.measured.ratio, "low": row.measured.low, "high": row.measured.high}
    return cells | {f"energy@{energy.hardware}": energy.ratio for energy in row.energies}


def _gaps(row: VerdictRow) -> Iterator[str]:
    for predicted in (row.paper, row.here, *row.energies):
        if predicted is not None and predicted.ratio is None and predicted.missing:
            yield f"{row.contest.name}, {predicted.model}: {predicted.missing}"
    measured = row.measured
    if measured is None:
        return
    what = f"{row.contest.name}, measured"
    unconverged = ""
    if measured.unconverged:
        number = "all" if measured.unconverged == measured.layers else f"{measured.unconverged} of them"
        unconverged = f", {number} unconverged: their own intervals are wider than was asked for"
    yield f"{what}: {measured.own} against {measured.reference}, {measured.layers} layers{unconverged}"
    if measured.left_out:
        yield f"{what}: without {', '.join(measured.left_out)}"
