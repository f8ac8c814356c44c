"""How firm is an estimate by the latency-sum model? Array functions over every latency the tables hold.

The model is linear, so cycles of all networks on all processors are one matrix product, counts × latencies,
and a thousand draws of the latencies are one more axis of it. Letters: D draws, C processors, K operations
(class and number format), M networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from addercost.arithmetic import OpClass, OpCounts
from addercost.cost.charges import one_at_a_time
from addercost.cost.lowering import Key
from addercost.hardware.schema import Cpu

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DEFAULT_SPREAD = 0.2
"""Half-width of a figure's range, relative to the figure, where its source gives a single one: our
assumption.
"""


@dataclass(frozen=True)
class Latencies:
    """Latencies in cycles: `nominal`, `low`, `high` [C, K]; 0 where the table has no figure, said by
    `known` [C, K].
    """

    cpus: tuple[str, ...]
    keys: tuple[Key, ...]
    nominal: Floats
    low: Floats
    high: Floats
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Swing:
    """What moving one latency over its range, `low` to `high` in cycles, does to cycles(one) / cycles(other).

    The fields have the names of the report's document, which keeps swings as they are.
    """

    figure: str
    low: float
    high: float
    ratio_at_low: float
    ratio_at_high: float

    @property
    def width(self) -> float:
        return abs(self.ratio_at_high - self.ratio_at_low)


def operation_keys(counts: Iterable[OpCounts]) -> tuple[Key, ...]:
    """Every (class, number format) that occurs, in a fixed order."""
    order = {op_class: i for i, op_class in enumerate(OpClass)}
    found = {(op_class, number_format) for c in counts for op_class, number_format, _ in c}
    return tuple(sorted(found, key=lambda key: (order[key[0]], key[1])))


def latencies(cpus: Sequence[Cpu], keys: Sequence[Key], spread: float = DEFAULT_SPREAD) -> Latencies:
    """The latencies the latency-sum model charges, and their ranges: the source's own, else ± `spread` of
    the figure.

    Operations that one instruction stands for move apart here; see `operation_keys`.
    """
    import numpy as np

    shape = (len(cpus), len(keys))
    nominal, low, high = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for c, cpu in enumerate(cpus):
        for k, (op_class, number_format) in enumerate(keys):
            charge = one_at_a_time(cpu, op_class, number_format, cpu.preferred_float_form)
            if charge is None or charge.instruction.latency_cycles is None:
                continue
            figure = charge.instruction.latency_cycles
            given = charge.instruction.latency_range_cycles
            nominal[c, k] = figure
            if given is not None and given[0] < given[1]:
                low[c, k], high[c, k] = given
            else:
                low[c, k], high[c, k] = figure * (1 - spread), figure * (1 + spread)
    return Latencies(tuple(cpu.name for cpu in cpus), tuple(keys), nominal, low, high, nominal > 0)


def count_matrix(counts: Sequence[OpCounts], keys: Sequence[Key]) -> Floats:
    """[M, K]: how many of each operation each network performs."""
    import numpy as np

    at = {key: k for k, key in enumerate(keys)}
    matrix = np.zeros((len(counts), len(keys)))
    for m, network in enumerate(counts):
        for op_class, number_format, n in network:
            matrix[m, at[op_class, number_format]] = n
    return matrix


def cycles(table: Latencies, matrix: Floats) -> Floats:
    """[C, M]: latency-sum cycles; NaN where a processor lacks a figure a network needs."""
    return _without_unknown(table, matrix, table.nominal @ matrix.T)


def monte_carlo(table: Latencies, matrix: Floats, draws: int = 1000, seed: int = 0) -> Floats:
    """[D, C, M]: cycles with every latency drawn uniformly and independently from its range. NaN as in
    `cycles`.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    drawn = table.low + random.random((draws, *table.low.shape)) * (table.high - table.low)
    return _without_unknown(table, matrix, drawn @ matrix.T)


def tornado(table: Latencies, cpu: str, one: OpCounts, other: OpCounts) -> list[Swing]:
    """Every latency of `cpu` moved over its range alone, the largest swing of cycles(one) / cycles(other)
    first.
    """
    c = table.cpus.index(cpu)
    matrix = count_matrix([one, other], table.keys)
    swings = []
    for k, (op_class, number_format) in enumerate(table.keys):
        if not matrix[:, k].any():
            continue
        ends = []
        for end in (table.low[c, k], table.high[c, k]):
            moved = table.nominal[c].copy()
            moved[k] = end
            first, second = matrix @ moved
            ends.append(float(first / second))
        figure = f"{op_class} ({number_format})"
        swings.append(Swing(figure, float(table.low[c, k]), float(table.high[c, k]), ends[0], ends[1]))
    return sorted(swings, key=lambda swing: -swing.width)


def break_even_ratio(one: OpCounts, other: OpCounts, abs_over_add: float = 1.0) -> float | None:
    """The cost of a multiplication over that of an addition at which two networks cost the same, or None.

    An addition costs 1 and an absolute value `abs_over_add`; operations of other classes are taken to be
    the same in both and must be, or ValueError is raised. Above the ratio the network with fewer
    multiplications is cheaper.
    """
    counted = (OpClass.MUL, OpClass.ADD, OpClass.ABS)
    for op_class in OpClass:
        if op_class not in counted and one[op_class] != other[op_class]:
            raise ValueError(f"the two differ in {op_class} operations too")
    multiplications = one[OpClass.MUL] - other[OpClass.MUL]
    additions = other[OpClass.ADD] - one[OpClass.ADD] + abs_over_add * (other[OpClass.ABS] - one[OpClass.ABS])
    return additions / multiplications if multiplications else None


def _without_unknown(table: Latencies, matrix: Floats, product: Floats) -> Floats:
    """`product` [..., C, M] with NaN where network m needs an operation processor c has no latency for."""
    import numpy as np

    lacking = (~table.known).astype(float) @ (matrix > 0).astype(float).T > 0
    return np.where(lacking, np.nan, product)
