"""The ranking of all processors by the advantage of an arithmetic, for reports.

It counts only MAC sites, whatever the rest of the report counts, since most tables have no latency for a
division.
"""

from __future__ import annotations

from addercost.arithmetic import Arithmetic
from addercost.cost.models import RANKING_MODELS
from addercost.cost.rank import rank_processors
from addercost.cost.target_registry import load_target
from addercost.counts.model import ModelCounts, count
from addercost.hardware import list_hardware
from addercost.results.report import Ranked
from addercost.trace.record import Trace

CONVENTION = "macs"


def compared_counts(trace: Trace, arithmetic: Arithmetic, keep_first_last: bool) -> dict[str, ModelCounts]:
    """The trace counted with multiply-adds in every layer, and with `arithmetic`; only MAC sites are
    counted.
    """
    return {
        name: count(trace, CONVENTION, arithmetic=name, keep_first_last=keep_first_last)
        for name in (Arithmetic.MAC.value, arithmetic.value)
    }


def ranked(counted: dict[str, ModelCounts], arithmetic: Arithmetic) -> tuple[Ranked, ...]:
    """All processors in order of rank. A processor whose table lacks a figure for the arithmetic is left
    out.
    """
    targets = [load_target(file.name) for file in list_hardware(kind="cpu")]
    rows = rank_processors(counted, targets, arithmetic.value, models=RANKING_MODELS)
    caveats = {target.name: "; ".join(target.caveats) for target in targets}
    return tuple(
        Ranked(row.hardware, row.model, arithmetic.value, advantage, caveats[row.hardware])
        for row in rows
        if (advantage := row.advantage(arithmetic.value)) is not None
    )
