"""The table of `reports/adder-pays`: where adder layers are cheaper, by which rule, and by how much."""

from __future__ import annotations

from addercost.analysis.adder_pays import Payoff, payoffs
from addercost.report.table import Column, Kind, Table
from addercost.trace.record import Trace


def payoff_table(name: str, trace: Trace) -> Table:
    found = payoffs(trace)
    return Table(
        columns=(
            Column("place", "on"),
            Column("rule", "rule"),
            Column("time_ratio", "time", Kind.RATIO),
            Column("element_ratio", "energy,\nno memory", Kind.RATIO),
            Column("energy_ratio", "energy,\nwith memory", Kind.RATIO),
        ),
        rows=[
            {
                "place": payoff.place,
                "rule": payoff.rule,
                "time_ratio": payoff.time_ratio,
                "element_ratio": payoff.element_ratio,
                "energy_ratio": payoff.energy_ratio,
            }
            for payoff in found
        ],
        title=f"Does the adder pay? {name}, all layers as multiply-adds by all as additions (estimates)",
        notes=(
            "Above 1 the adder network takes less. An empty ratio: the table has no figure, or one side is a "
            "lower bound.",
            _summary(found),
            "Energies are those of 45 nm. On accelerators memories stay as they are at equal area, so what "
            "they limit does not become faster. Areas are of logic alone, without registers.",
        ),
    )


def _summary(found: tuple[Payoff, ...]) -> str:
    slower = sum(1 for p in found if p.time_ratio is not None and p.time_ratio < 1)
    equal = sum(1 for p in found if p.time_ratio == 1)
    faster = sum(1 for p in found if p.time_ratio is not None and p.time_ratio > 1)
    saved = [p.energy_ratio for p in found if p.energy_ratio is not None]
    return (
        f"Of {len(found)} rows the adder network takes less time in {faster}, the same in {equal} and more "
        f"in {slower}. With memory, multiply-adds take {min(saved):.2f} to {max(saved):.2f} times the energy "
        "of additions."
    )
