"""How much the ratio of two networks' cycles on a processor depends on its latencies, by the latency-sum
model.

The command `addercost sensitivity` and reports both show what is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic, OpClass, OpCounts
from addercost.cost.layers import operation_keys
from addercost.cost.models import PAPER_MODEL
from addercost.cost.sensitivity import (
    DEFAULT_SPREAD,
    Swing,
    break_even_ratio,
    count_matrix,
    cycles,
    latencies,
    monte_carlo,
    tornado,
)
from addercost.cost.target import Target
from addercost.counts.model import ModelCounts
from addercost.results.report import Sensitivity


@dataclass(frozen=True, slots=True)
class DrawnRatios:
    """Ratios with all latencies drawn at random together: the median, the range of 95 % of them, and the
    share above 1.
    """

    low: float
    median: float
    high: float
    above_one_fraction: float


@dataclass(frozen=True, slots=True)
class RatioSensitivity:
    """cycles(one) / cycles(other) on one processor, and how the latencies in its table change it.

    lacking: operations, such as `mul (fp32)`, for which the table has no latency. The ratio is then None, and
    there are no swings and no draws. break_even: how many additions a multiplication must cost so that both
    networks take equally long; None where there is no such number, with the reason, if any, in
    `no_break_even`. mul_add_ratio: how many additions a multiplication costs by this table.
    """

    ratio: float | None
    swings: tuple[Swing, ...]
    drawn: DrawnRatios | None
    lacking: tuple[str, ...]
    break_even: float | None
    no_break_even: str
    mul_add_ratio: float | None


def ratio_sensitivity(
    target: Target,
    one: OpCounts,
    other: OpCounts,
    spread: float = DEFAULT_SPREAD,
    draws: int = 1000,
    seed: int = 0,
) -> RatioSensitivity:
    """Moves each latency over its range while the others stay (swings), then draws all of them together.

    spread: half-width of a latency's range relative to the latency, where the table gives no range.
    """
    import numpy as np

    keys = operation_keys([one, other])
    table = latencies([target], keys, spread)
    matrix = count_matrix([one, other], keys)
    nominal = cycles(table, matrix)[0]
    break_even, reason = _break_even(one, other)
    latency = {op_class: float(table.nominal[0, k]) for k, (op_class, _) in enumerate(keys)}
    mul, add = latency.get(OpClass.MUL), latency.get(OpClass.ADD)
    mul_add_ratio = mul / add if mul and add else None
    if np.isnan(nominal).any():
        lacking = tuple(f"{c} ({f})" for (c, f), known in zip(keys, table.known[0], strict=True) if not known)
        return RatioSensitivity(None, (), None, lacking, break_even, reason, mul_add_ratio)
    ratios = monte_carlo(table, matrix, draws, seed)[:, 0, :]
    ratios = ratios[:, 0] / ratios[:, 1]
    low, median, high = np.percentile(ratios, (2.5, 50, 97.5))
    return RatioSensitivity(
        ratio=float(nominal[0] / nominal[1]),
        swings=tuple(tornado(table, target.name, one, other)),
        drawn=DrawnRatios(float(low), float(median), float(high), float(np.mean(ratios > 1))),
        lacking=(),
        break_even=break_even,
        no_break_even=reason,
        mul_add_ratio=mul_add_ratio,
    )


def _break_even(one: OpCounts, other: OpCounts) -> tuple[float | None, str]:
    """(the break-even ratio, "") or (None, the reason why there is none)."""
    try:
        return break_even_ratio(one, other), ""
    except ValueError as error:
        return None, str(error)


def report_sensitivities(
    counted: dict[str, ModelCounts], arithmetic: Arithmetic, targets: Sequence[Target]
) -> Iterator[Sensitivity]:
    """The sensitivities of a report: one for each processor whose table has all the latencies."""
    one, other = (counts.total for counts in counted.values())
    if not one or not other:
        return
    for target in targets:
        found = ratio_sensitivity(target, one, other)
        if found.ratio is None or found.drawn is None:
            continue
        yield Sensitivity(
            hardware=target.name,
            model=PAPER_MODEL,
            arithmetic=arithmetic.value,
            ratio=found.ratio,
            swings=found.swings,
            break_even=found.break_even if arithmetic is Arithmetic.ADDER else None,
            mul_add_ratio=found.mul_add_ratio,
            # Six digits, since the last digits of a percentile differ between builds of NumPy.
            ratio_low=round(found.drawn.low, 6),
            ratio_high=round(found.drawn.high, 6),
        )
