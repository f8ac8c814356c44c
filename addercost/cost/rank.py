"""On which targets additions are cheaper: one network in several arithmetics, estimated on every target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from addercost.cost.estimate import estimate
from addercost.cost.layers import CountedLayer, CountedModel, layers_of
from addercost.cost.models import ONE_CORE_MODELS
from addercost.cost.target import Target
from addercost.errors import unknown_name


@dataclass(frozen=True, slots=True)
class RankRow:
    """The estimates for one target by one cost model. cycles: of each alternative; None where a figure is
    missing.

    A lower bound cannot be ranked: it would favour the target of which the least is known.
    """

    hardware: str
    model: str
    cycles: Mapping[str, float | None]
    baseline: str

    def advantage(self, alternative: str) -> float | None:
        """The baseline's cycles / the cycles of `alternative`; None where either is unknown."""
        base, other = self.cycles[self.baseline], self.cycles[alternative]
        return base / other if base and other else None


def rank_processors(
    counted: Mapping[str, CountedModel | Iterable[CountedLayer]],
    targets: Iterable[Target],
    alternative: str = "adder",
    baseline: str = "mac",
    models: Sequence[str] = ONE_CORE_MODELS,
) -> list[RankRow]:
    """One row for each target and cost model. Rows are sorted by model, in the order given, then by falling
    advantage of `alternative`.

    counted: one network, counted in each arithmetic (`mac`, `adder`, `xnor`, `int8 mac`, …). Targets of which
    the advantage is unknown come last, by name. Raises ArgumentError for an unknown
    alternative or model.
    """
    for name in (baseline, alternative):
        if name not in counted:
            raise unknown_name("alternative", name, counted)
    layers = {name: layers_of(model) for name, model in counted.items()}
    rows = []
    for target in targets:
        for model in models:
            cycles: dict[str, float | None] = {}
            for name, layer_counts in layers.items():
                cost = estimate(layer_counts, target, model)
                cycles[name] = cost.cycles if cost.complete else None
            rows.append(RankRow(target.name, model, cycles, baseline))

    return ordered(rows, alternative, models)


def ordered(rows: Iterable[RankRow], alternative: str, models: Sequence[str]) -> list[RankRow]:
    """The rows sorted by model, in the order given, then by falling advantage; rows without an advantage come
    last, by name.
    """

    def order(row: RankRow) -> tuple[int, bool, float, str]:
        advantage = row.advantage(alternative)
        return (models.index(row.model), advantage is None, -(advantage or 0), row.hardware)

    return sorted(rows, key=order)
