"""Where additions pay: the ranking of all processors and the sensitivity of the first ones, for a report.

Both count MAC sites only, whatever the rest of the report counts: most tables have no latency for a division.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from addercost.arithmetic import Arithmetic, OpClass
from addercost.cost.layers import operation_keys
from addercost.cost.models import COMPUTE_MODELS, PAPER_MODEL
from addercost.cost.rank import rank_processors
from addercost.cost.sensitivity import (
    break_even_ratio,
    count_matrix,
    latencies,
    monte_carlo,
    tornado,
)
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.model import ModelCounts, count
from addercost.hardware import list_hardware
from addercost.results.report import Ranked, Sensitivity, Swing
from addercost.trace.record import Trace

CONVENTION = "macs"


def compared_counts(trace: Trace, arithmetic: Arithmetic, keep_first_last: bool) -> dict[str, ModelCounts]:
    """The trace as multiply-add throughout and as `arithmetic`, sites only."""
    return {
        name: count(trace, CONVENTION, arithmetic=name, keep_first_last=keep_first_last)
        for name in (Arithmetic.MAC.value, arithmetic.value)
    }


def ranked(counted: dict[str, ModelCounts], arithmetic: Arithmetic) -> tuple[Ranked, ...]:
    """Every processor there is a table for. Those without a figure for the arithmetic are not ranked."""
    targets = [load_target(file.name) for file in list_hardware(kind="cpu")]
    rows = rank_processors(counted, targets, arithmetic.value, models=COMPUTE_MODELS)
    caveats = {target.name: "; ".join(target.caveats) for target in targets}
    return tuple(
        Ranked(row.hardware, row.model, arithmetic.value, advantage, caveats[row.hardware])
        for row in rows
        if (advantage := row.advantage(arithmetic.value)) is not None
    )


def sensitivities(
    counted: dict[str, ModelCounts], arithmetic: Arithmetic, targets: Sequence[Target]
) -> Iterator[Sensitivity]:
    """One for each processor that has all the latencies, by the latency-sum model."""
    import numpy as np

    one, other = (counts.total for counts in counted.values())
    if not one or not other:
        return
    keys = operation_keys([one, other])
    for target in targets:
        table = latencies([target], keys)
        if not table.known.all():
            continue
        matrix = count_matrix([one, other], keys)
        nominal = table.nominal[0] @ matrix.T
        drawn = monte_carlo(table, matrix)[:, 0, :]
        ratios = drawn[:, 0] / drawn[:, 1]
        low, high = np.percentile(ratios, (2.5, 97.5))
        latency = {op_class: float(table.nominal[0, k]) for k, (op_class, _) in enumerate(keys)}
        mul, add = latency.get(OpClass.MUL), latency.get(OpClass.ADD)
        yield Sensitivity(
            hardware=target.name,
            model=PAPER_MODEL,
            arithmetic=arithmetic.value,
            ratio=float(nominal[0] / nominal[1]),
            swings=tuple(
                Swing(
                    bar.figure, bar.low_cycles, bar.high_cycles, bar.advantage_at_low, bar.advantage_at_high
                )
                for bar in tornado(table, target.name, one, other)
            ),
            break_even=break_even_ratio(one, other) if arithmetic is Arithmetic.ADDER else None,
            mul_add_ratio=mul / add if mul and add else None,
            # Six digits: the last ones of a percentile differ between builds of NumPy.
            ratio_low=round(float(low), 6),
            ratio_high=round(float(high), 6),
        )
