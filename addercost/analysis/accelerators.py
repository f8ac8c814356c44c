"""A profile on accelerators: its calls as matrix products, and what these cost there."""

from __future__ import annotations

from collections.abc import Sequence

from addercost.cost.accelerator.element import kind_of_element
from addercost.cost.accelerator.estimate import AcceleratorCost, equal_area, estimate_accelerator
from addercost.counts.matrix_products import MatrixProduct, matrix_products
from addercost.counts.model import ModelCounts
from addercost.errors import ArgumentError
from addercost.hardware import Accelerator, EnergyTable


def accelerator_costs(
    counts: ModelCounts, accelerators: Sequence[tuple[Accelerator, EnergyTable]], same_area: bool = False
) -> tuple[AcceleratorCost, ...]:
    """One estimate an accelerator. same_area: each array has as many elements as fit in the area of its
    multiply-add elements.

    Raises ArgumentError for the counts of a saved profile, which keeps no calls.
    """
    products, unplaced = _products(counts)
    made = []
    for accelerator, table in accelerators:
        if same_area:
            used = tuple(dict.fromkeys(kind_of_element(product) for product in products))
            accelerator = equal_area(accelerator, table, used)
        made.append(estimate_accelerator(products, accelerator, table, unplaced))
    return tuple(made)


def _products(counts: ModelCounts) -> tuple[list[MatrixProduct], int]:
    products: list[MatrixProduct] = []
    unplaced = 0
    for layer in counts.layers:
        if layer.calls is None:
            raise ArgumentError(
                f"the counts of {counts.model} have no calls: a saved profile keeps layers only",
                "count the model or its trace again",
            )
        for call in layer.calls:
            found, left_out = matrix_products(call)
            products += found
            unplaced += left_out
    return products, unplaced
