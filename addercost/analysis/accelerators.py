"""A network on accelerators: its calls as matrix products, and their costs on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from addercost.cost.accelerator.estimate import (
    CLOSED_FORMS,
    AcceleratorCost,
    LayerProducts,
    equal_area,
    estimate_accelerator,
)
from addercost.cost.accelerator.mapping_search import SEARCHED, require_zigzag
from addercost.cost.rank import RankRow, ordered
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.model import LayerCounts, ModelCounts
from addercost.errors import ArgumentError
from addercost.hardware import load_accelerator, load_energy


@dataclass(frozen=True, slots=True)
class WantedAccelerators:
    """Which accelerators to estimate, by name. same_area: change each array so that it takes the area that it
    has with multiply-add elements. leakage_w: the power that each chip takes at rest. mapper: a tool whose
    estimate is added after each of ours, `zigzag`, or "" for none.
    """

    names: tuple[str, ...] = ()
    same_area: bool = False
    leakage_w: float = 0.0
    mapper: str = ""

    def check(self, hardware_path: Path | None = None) -> None:
        """Raises ArgumentError or DataError for a table or a mapper that cannot be used."""
        if self.mapper:
            require_zigzag()
        for name in self.names:
            load_energy(load_accelerator(name, hardware_path).energy_table, hardware_path)

    def costs(
        self, counts: ModelCounts | Sequence[LayerCounts], hardware_path: Path | None = None
    ) -> tuple[AcceleratorCost, ...]:
        """One estimate for each accelerator, followed by the mapper's. Raises ArgumentError for the counts of
        a saved profile, which have no calls.
        """
        if not self.names:
            return ()
        layers, unplaced = products_of(counts)
        used = tuple(dict.fromkeys(product.arithmetic for _, of in layers for product in of))
        made = []
        for name in dict.fromkeys(self.names):
            accelerator = load_accelerator(name, hardware_path)
            table = load_energy(accelerator.energy_table, hardware_path)
            if self.same_area:
                accelerator = equal_area(accelerator, table, used)
            for mapper in (CLOSED_FORMS, SEARCHED) if self.mapper else (CLOSED_FORMS,):
                made.append(
                    estimate_accelerator(layers, accelerator, table, unplaced, self.leakage_w, mapper)
                )
        return tuple(made)


NO_ACCELERATORS = WantedAccelerators()
ARRAY = "array"
"""The text in place of a cost model's name for an accelerator."""


def accelerator_ranks(
    counted: Mapping[str, ModelCounts],
    alternatives: Sequence[str],
    wanted: WantedAccelerators,
    alternative: str,
    hardware_path: Path | None = None,
) -> list[RankRow]:
    """A row for each accelerator, by falling advantage of `alternative`.

    counted: one network in several arithmetics. `alternatives` that are not in `counted`, such as int8 on
    processors, have no cycles here, since an array computes in its own format.
    """
    costs = {name: wanted.costs(counts, hardware_path) for name, counts in counted.items()}
    rows = []
    for i, name in enumerate(dict.fromkeys(cost.hardware for of in costs.values() for cost in of)):
        found = {arithmetic: of[i].cycles if of[i].complete else None for arithmetic, of in costs.items()}
        rows.append(RankRow(name, ARRAY, {key: found.get(key) for key in alternatives}, "mac"))
    return ordered(rows, alternative, (ARRAY,))


def products_of(counts: ModelCounts | Sequence[LayerCounts]) -> tuple[Sequence[LayerProducts], int]:
    """(the matrix products of every layer, how many sites are in none of them). Raises ArgumentError for the
    counts of a saved profile.
    """
    layers: list[LayerProducts] = []
    unplaced = 0
    for layer in counts.layers if isinstance(counts, ModelCounts) else counts:
        if layer.calls is None:
            raise ArgumentError(
                "the counts have no calls: a saved profile keeps layers only",
                "count the model or its trace again",
            )
        products: list[MatrixProduct] = []
        for call in layer.calls:
            found, left_out = matrix_products(call)
            products += found
            unplaced += left_out
        layers.append((layer.path, products))
    return layers, unplaced
