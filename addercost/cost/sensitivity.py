"""How much an estimate by the latency-sum model depends on each latency. Functions on arrays.

The model is linear. So the cycles of all networks on all targets are one matrix product, counts × latencies,
and a thousand random draws of the latencies are one more axis of the arrays. Letters: D draws, P targets, K
operations (class and number format), M networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addercost.arithmetic import OpClass, OpCounts
from addercost.cost.charges import one_at_a_time
from addercost.cost.layers import Key
from addercost.cost.target import Target

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DEFAULT_SPREAD = 0.2
"""Half the width of a figure's range, as a share of the figure, where its source gives no range. Our
assumption.
"""


@dataclass(frozen=True)
class Latencies:
    """Latencies in cycles: `nominal`, `low`, `high` [P, K]. Where the table has no figure they are 0, and
    `known` [P, K] is False.
    """

    targets: tuple[str, ...]
    keys: tuple[Key, ...]
    nominal: Floats
    low: Floats
    high: Floats
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Swing:
    """What moving one latency over its range, `low` to `high` in cycles, does to cycles(one) / cycles(other).

    The fields have the names that they have in the report's document.
    """

    figure: str
    low: float
    high: float
    ratio_at_low: float
    ratio_at_high: float

    @property
    def width(self) -> float:
        return abs(self.ratio_at_high - self.ratio_at_low)


def latencies(targets: Sequence[Target], keys: Sequence[Key], spread: float = DEFAULT_SPREAD) -> Latencies:
    """The latencies that the latency-sum model charges, and their ranges: the source's own, else ± `spread`.

    Where one instruction does several operations, the latency of each operation varies on its own.
    """
    import numpy as np

    shape = (len(targets), len(keys))
    nominal, low, high = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for p, target in enumerate(targets):
        for k, (op_class, number_format) in enumerate(keys):
            charge = one_at_a_time(target, op_class, number_format, target.preferred_float_form)
            if charge is None or charge.instruction.latency_cycles is None:
                continue
            figure = charge.instruction.latency_cycles
            given = charge.instruction.latency_range_cycles
            nominal[p, k] = figure
            if given is not None and given[0] < given[1]:
                low[p, k], high[p, k] = given
            else:
                low[p, k], high[p, k] = figure * (1 - spread), figure * (1 + spread)
    return Latencies(tuple(target.name for target in targets), tuple(keys), nominal, low, high, nominal > 0)


def count_matrix(counts: Sequence[OpCounts], keys: Sequence[Key]) -> Floats:
    """[M, K]: how often each network performs each operation."""
    import numpy as np

    at = {key: k for k, key in enumerate(keys)}
    matrix = np.zeros((len(counts), len(keys)))
    for m, network in enumerate(counts):
        for op_class, number_format, n in network:
            matrix[m, at[op_class, number_format]] = n
    return matrix


def cycles(table: Latencies, matrix: Floats) -> Floats:
    """[P, M]: latency-sum cycles; NaN where a processor lacks a figure a network needs."""
    return _without_unknown(table, matrix, table.nominal @ matrix.T)


def monte_carlo(table: Latencies, matrix: Floats, draws: int = 1000, seed: int = 0) -> Floats:
    """[D, P, M]: cycles with every latency drawn uniformly and independently from its range. NaN as in
    `cycles`.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    drawn = table.low + random.random((draws, *table.low.shape)) * (table.high - table.low)
    return _without_unknown(table, matrix, drawn @ matrix.T)


def tornado(table: Latencies, target: str, one: OpCounts, other: OpCounts) -> list[Swing]:
    """The swing of each latency of `target`: it is moved over its range while all others keep their nominal
    values. The largest swing of cycles(one) / cycles(other) comes first.
    """
    p = table.targets.index(target)
    matrix = count_matrix([one, other], table.keys)
    swings = []
    for k, (op_class, number_format) in enumerate(table.keys):
        if not matrix[:, k].any():
            continue
        ends = []
        for end in (table.low[p, k], table.high[p, k]):
            moved = table.nominal[p].copy()
            moved[k] = end
            first, second = matrix @ moved
            ends.append(float(first / second))
        figure = f"{op_class} ({number_format})"
        swings.append(Swing(figure, float(table.low[p, k]), float(table.high[p, k]), ends[0], ends[1]))
    return sorted(swings, key=lambda swing: -swing.width)


def break_even_ratio(one: OpCounts, other: OpCounts, abs_over_add: float = 1.0) -> float | None:
    """The ratio of the costs of a multiplication and an addition at which two networks cost the same. None
    where both have as many multiplications.

    An addition costs 1 and an absolute value `abs_over_add`. Above the ratio the network with fewer
    multiplications is cheaper. Raises ValueError where the networks differ in operations of other classes.
    """
    counted = (OpClass.MUL, OpClass.ADD, OpClass.ABS)
    for op_class in OpClass:
        if op_class not in counted and one[op_class] != other[op_class]:
            raise ValueError(f"the two differ in {op_class} operations too")
    multiplications = one[OpClass.MUL] - other[OpClass.MUL]
    additions = other[OpClass.ADD] - one[OpClass.ADD] + abs_over_add * (other[OpClass.ABS] - one[OpClass.ABS])
    return additions / multiplications if multiplications else None


def _without_unknown(table: Latencies, matrix: Floats, product: Floats) -> Floats:
    """`product` [..., P, M] with NaN where network m needs an operation target p has no latency for."""
    import numpy as np

    lacking = (~table.known).astype(float) @ (matrix > 0).astype(float).T > 0
    return np.where(lacking, np.nan, product)
