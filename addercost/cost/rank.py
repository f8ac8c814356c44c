"""On which processors do additions pay? Every processor's estimate for every arithmetic of one network, in
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from addercost.cost.estimate import COST_MODELS, CountedLayer, CountedModel, estimate
from addercost.errors import unknown_name
from addercost.hardware.schema import Cpu


@dataclass(frozen=True, slots=True)
class RankRow:
    """One processor under one cost model. `cycles` by alternative; None where the table lacks a figure for
    it.

    A lower bound cannot be ranked: it would favour the processor that is known the least.
    """

    hardware: str
    model: str
    cycles: Mapping[str, float | None]
    baseline: str

    def advantage(self, alternative: str) -> float | None:
        """Cycles of the baseline over those of `alternative`: above 1 the alternative is faster."""
        base, other = self.cycles[self.baseline], self.cycles[alternative]
        return base / other if base and other else None


def rank_processors(
    counted: Mapping[str, CountedModel | Iterable[CountedLayer]],
    cpus: Iterable[Cpu],
    alternative: str = "adder",
    baseline: str = "mac",
    models: Sequence[str] = COST_MODELS,
) -> list[RankRow]:
    """Rows for every processor and cost model, by model as given, then by falling advantage of `alternative`.

    `counted` holds one network counted under each arithmetic (`mac`, `adder`, `xnor`, `int8 mac`, …).
    Processors without an advantage to compute come last, by name. Raises ArgumentError for an unknown
    alternative or model.
    """
    for name in (baseline, alternative):
        if name not in counted:
            raise unknown_name("alternative", name, counted)
    layers = {name: _layers(model) for name, model in counted.items()}
    rows = []
    for cpu in cpus:
        for model in models:
            cycles: dict[str, float | None] = {}
            for name, layer_counts in layers.items():
                cost = estimate(layer_counts, cpu, model)
                cycles[name] = cost.cycles if cost.complete else None
            rows.append(RankRow(cpu.name, model, cycles, baseline))

    def order(row: RankRow) -> tuple[int, bool, float, str]:
        advantage = row.advantage(alternative)
        return (models.index(row.model), advantage is None, -(advantage or 0), row.hardware)

    return sorted(rows, key=order)


def _layers(model: CountedModel | Iterable[CountedLayer]) -> list[CountedLayer]:
    return list(model if isinstance(model, Iterable) else model.layers)
