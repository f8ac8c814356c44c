"""The verdict on one model: what the paper's rule, a throughput model, a clock and energy tables say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from addercost.cost.verdict import Contest, PredictedRatio
from addercost.report.tables import Column, Kind, Table
from addercost.results import intervals
from addercost.results.network_ratio import NetworkRatio

_OTHER = {"adder": "additions", "xnor": "binary layers", "shift": "shifts"}
_LITTLE = 0.1


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One contest. measured is None where nothing was timed, and why_not then says why."""

    contest: Contest
    paper: PredictedRatio
    here: PredictedRatio | None
    measured: NetworkRatio | None
    energies: tuple[PredictedRatio, ...]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """device: what was timed on; "" where nothing was. remarks: what a reader should know of the timing."""

    model: str
    device: str
    rows: tuple[VerdictRow, ...]
    remarks: tuple[str, ...] = ()

    def to_table(self) -> Table:
        """Ratios by contest, and below them the sentence that follows from each."""
        first = self.rows[0]
        columns = [
            Column("network", "convolutions\nagainst"),
            Column("paper", f"predicted:\nlatency sum,\n{first.paper.hardware}", Kind.RATIO),
        ]
        if first.here is not None:
            columns.append(
                Column("predicted", f"predicted:\n{first.here.model},\n{first.here.hardware}", Kind.RATIO)
            )
        if any(row.measured is not None for row in self.rows):
            columns += [
                Column("measured", "measured", Kind.RATIO),
                Column("low", "95 %\nfrom", Kind.RATIO),
                Column("high", "to", Kind.RATIO),
            ]
        # The sentences below hold them, too.
        columns += [
            Column(f"energy@{energy.hardware}", f"energy,\n{energy.hardware}", Kind.RATIO, optional=True)
            for energy in first.energies
        ]
        return Table(
            columns=tuple(columns),
            rows=[_cells(row) for row in self.rows],
            title=f"{self.model}{f', timed on {self.device}' if self.device else ''}: "
            "cost of convolutions / cost of the other",
            notes=(
                "above 1 the other is cheaper; convolution and linear layers only; all but the measured "
                "columns are estimates",
                f"a tie: a ratio within 1 ± {100 * intervals.MARGIN:g} %; cannot tell: a measured ratio "
                "whose interval does not lie beyond that",
                _papers_rule(first.paper.hardware),
                *(sentence(row, self.device) for row in self.rows),
                *dict.fromkeys(note for row in self.rows for note in _gaps(row)),
                *_little_arithmetic(self.rows),
                *self.remarks,
            ),
        )


def _papers_rule(hardware: str) -> str:
    return (
        f"latency sum on {hardware}: the paper's rule, the latency of every operation added up. The paper "
        "has it for fp32; for int8 and binary layers it is applied by us, with that table's figures for "
        "integers and bits"
    )


def _little_arithmetic(rows: tuple[VerdictRow, ...]) -> Iterator[str]:
    """A remark on what was timed where it was hardly the arithmetic."""
    names = [
        row.contest.name
        for row in rows
        if row.measured is not None
        and row.measured.share_of_limit is not None
        and row.measured.share_of_limit < _LITTLE
    ]
    if names:
        yield (
            f"{', '.join(names)}: under a tenth of what the arithmetic alone could do, so most of the time "
            "goes elsewhere (calls, packing, memory); a larger batch gives the arithmetic more weight"
        )


def _cells(row: VerdictRow) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "network": _OTHER[row.contest.arithmetic]
        if row.contest.name == "binary"
        else f"{row.contest.name} {_OTHER[row.contest.arithmetic]}",
        "paper": row.paper.ratio,
        "predicted": row.here.ratio if row.here is not None else None,
    }
    if row.measured is not None:
        cells |= {"measured": row.measured.ratio, "low": row.measured.low, "high": row.measured.high}
    return cells | {f"energy@{energy.hardware}": energy.ratio for energy in row.energies}


def sentence(row: VerdictRow, device: str) -> str:
    """Who wins, by how much, limited by what."""
    parts = [f"{row.contest.name}: {_measured_words(row, device)}"]
    here = row.here
    if here is not None and here.ratio is not None:
        parts.append(
            f"{here.model} on {here.hardware} predicts: {_winner(row, here.ratio)}{_limits(here.bounds)}"
        )
    if row.paper.ratio is not None:
        who = "" if row.contest.is_the_papers else f", applied by us to {_what(row.contest)}"
        at = f", {row.paper.site_cycles} cycles a site" if row.paper.site_cycles else ""
        parts.append(f"the paper's rule{who}: {_winner(row, row.paper.ratio)}{at}")
    parts += [
        f"energy at {energy.hardware}: {_energy_words(row, energy.ratio)}"
        for energy in row.energies
        if energy.ratio is not None
    ]
    return "; ".join(parts)


def _what(contest: Contest) -> str:
    return _OTHER[contest.arithmetic] if contest.name == "binary" else contest.name


def _measured_words(row: VerdictRow, device: str) -> str:
    measured = row.measured
    if measured is None:
        return f"not measured{f' ({row.why_not})' if row.why_not else ''}"
    at = ""
    if measured.share_of_limit is not None:
        share = 100 * measured.share_of_limit
        at = (
            f", {_OTHER[row.contest.arithmetic]} running at {f'{share:.0f}' if share >= 1 else 'under 1'} % "
            "of their limit there"
        )
    if measured.verdict is intervals.Verdict.CANNOT_TELL:
        return f"measured on {device}: cannot tell (95 % {measured.low:.3f}× to {measured.high:.3f}×){at}"
    low, high = sorted((_as_won(measured.low), _as_won(measured.high)))
    won = f"{_won(row, measured.ratio)} (95 % {low:.2f}× to {high:.2f}×)"
    return f"measured on {device}: {won}{at}"


def _winner(row: VerdictRow, ratio: float) -> str:
    if _ties(ratio):
        return f"convolutions and {_OTHER[row.contest.arithmetic]} tie"
    return _won(row, ratio)


def _won(row: VerdictRow, ratio: float) -> str:
    other = _OTHER[row.contest.arithmetic]
    return f"{other if ratio > 1 else 'convolutions'} win by {_as_won(ratio):.2f}×"


def _energy_words(row: VerdictRow, ratio: float) -> str:
    other = _OTHER[row.contest.arithmetic]
    if _ties(ratio):
        return "equal"
    return f"{'convolutions' if ratio > 1 else other} need {_as_won(ratio):.2f}× as much"


def _ties(ratio: float) -> bool:
    """A prediction has no interval, so it is held to the rule of measured ratios as a point."""
    return intervals.verdict((ratio, ratio)) is intervals.Verdict.CANNOT_TELL


def _as_won(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def _limits(bounds: tuple[str, str]) -> str:
    first, other = bounds
    if not first or not other:
        return ""
    if first == other:
        return f", both limited by {first}"
    return f", convolutions limited by {first}, the others by {other}"


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
