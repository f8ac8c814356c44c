"""On which processors additions pay: the ranking of all processors that a report carries.

It counts MAC sites only, whatever the rest of the report counts: most tables have no latency for a division.
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
    """The trace counted as multiply-add in every layer, and as `arithmetic`; MAC sites only."""
    return {
        name: count(trace, CONVENTION, arithmetic=name, keep_first_last=keep_first_last)
        for name in (Arithmetic.MAC.value, arithmetic.value)
    }


def ranked(counted: dict[str, ModelCounts], arithmetic: Arithmetic) -> tuple[Ranked, ...]:
    """All processors in order. One whose table lacks a figure for the arithmetic is left out."""
    targets = [load_target(file.name) for file in list_hardware(kind="cpu")]
    rows = rank_processors(counted, targets, arithmetic.value, models=RANKING_MODELS)
    caveats = {target.name: "; ".join(target.caveats) for target in targets}
    return tuple(
        Ranked(row.hardware, row.model, arithmetic.value, advantage, caveats[row.hardware])
        for row in rows
        if (advantage := row.advantage(arithmetic.value)) is not None
    )
