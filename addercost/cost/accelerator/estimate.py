"""Cycles, seconds, and joules by level of memory, of a network's matrix products on an accelerator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from addercost.arithmetic import Arithmetic
from addercost.cost.accelerator.element import Element, element_of
from addercost.cost.accelerator.product import ELEMENTS, ProductCost, product_cost
from addercost.counts.matrix_products import MatrixProduct
from addercost.errors import ArgumentError
from addercost.hardware.schema.accelerator import Accelerator
from addercost.hardware.schema.energy import EnergyTable
from addercost.reading import Amount, Count
from addercost.units import si

LEAKAGE = "leakage"
PJ = 1e-12


LayerProducts = tuple[str, Sequence[MatrixProduct]]
"""A layer's path and the products that it computes."""


@dataclass(frozen=True, slots=True)
class Mapper:
    """A way to compute what a product costs on an array. name: "" for the closed forms of `product_cost`.
    assumes: assumptions that it makes beyond those of the closed forms.
    """

    name: str
    cost: Callable[[MatrixProduct, Accelerator, Element], ProductCost]
    assumes: tuple[str, ...] = ()


CLOSED_FORMS = Mapper("", product_cost)


@dataclass(frozen=True, slots=True)
class LayerOnAccelerator:
    """One layer's cycles, and the joules of everything but leakage."""

    path: str
    cycles: Amount
    energy_j: Amount


@dataclass(frozen=True, slots=True)
class AcceleratorCost:
    """The estimate for a network. energy_j: joules of `ELEMENTS`, of each level of memory and of `LEAKAGE`,
    in that order.

    utilization: the sites divided by elements × cycles. complete: False where sites are left out or an
    element has no figure. Cycles and joules are lower bounds then, and `missing` says why.
    """

    hardware: str
    rows: Count
    columns: Count
    cycles: Amount
    compute_cycles: Amount
    seconds: Amount
    energy_j: Mapping[str, Amount]
    utilization: Amount
    complete: bool
    missing: tuple[str, ...]
    assumptions: tuple[str, ...]
    layers: tuple[LayerOnAccelerator, ...] = ()

    @property
    def total_j(self) -> float:
        return sum(self.energy_j.values())


def estimate_accelerator(
    layers: Iterable[LayerProducts],
    accelerator: Accelerator,
    table: EnergyTable,
    unplaced_sites: int = 0,
    leakage_w: float = 0.0,
    mapper: Mapper = CLOSED_FORMS,
) -> AcceleratorCost:
    """Estimates a network, layer after layer. A layer runs on elements of its own arithmetic, in the
    accelerator's number formats. Everything but matrix products (activations, norms, pooling) is left out.

    unplaced_sites: how many sites belong to no known matrix product. They make the estimate a lower bound.
    leakage_w: the power that the whole chip takes at rest, charged for as long as the network runs. mapper:
    computes what a product costs; its name becomes part of the hardware's name.
    """
    elements = {kind: element_for(kind, accelerator, table) for kind in Arithmetic}
    known: dict[MatrixProduct, ProductCost] = {}
    used: dict[Arithmetic, None] = {}
    cycles = compute = 0.0
    sites = 0
    energy = dict.fromkeys((ELEMENTS, *(memory.memory for memory in accelerator.memories)), 0.0)
    by_layer = []
    for path, products in layers:
        layer_cycles = layer_pj = 0.0
        for product in products:
            kind = product.arithmetic
            used[kind] = None
            if product not in known:
                known[product] = mapper.cost(product, accelerator, elements[kind])
            cost = known[product]
            layer_cycles += cost.cycles
            layer_pj += sum(cost.energy_pj.values())
            compute += cost.compute_cycles
            sites += product.sites
            for level, picojoules in cost.energy_pj.items():
                energy[level] += picojoules * PJ
        cycles += layer_cycles
        by_layer.append(LayerOnAccelerator(path, layer_cycles, layer_pj * PJ))
    seconds = cycles / accelerator.clock_hz
    if leakage_w:
        energy[LEAKAGE] = leakage_w * seconds
    missing = [text for kind in used for text in elements[kind].missing if "energy" in text]
    if unplaced_sites:
        missing.append(f"a matrix product for {unplaced_sites:,} sites")
    places = accelerator.rows * accelerator.columns
    return AcceleratorCost(
        hardware=f"{accelerator.name} by {mapper.name}" if mapper.name else accelerator.name,
        rows=accelerator.rows,
        columns=accelerator.columns,
        cycles=cycles,
        compute_cycles=compute,
        seconds=seconds,
        energy_j=energy,
        utilization=sites / (cycles * places) if cycles else 0.0,
        complete=not missing,
        missing=tuple(dict.fromkeys(missing)),
        assumptions=tuple(
            dict.fromkeys(
                (*_assumptions(accelerator, [elements[kind] for kind in used], leakage_w), *mapper.assumes)
            )
        ),
        layers=tuple(by_layer),
    )


def _assumptions(accelerator: Accelerator, used: Sequence[Element], leakage_w: float) -> Iterator[str]:
    yield f"computed in {accelerator.number_format}, summed in {accelerator.accumulator_format}"
    yield "matrix products alone, no activations and norms"
    yield from doubtful_figures(accelerator)
    for element in used:
        yield from (text for text in element.assumptions if "area" not in text)
    if len(used) > 1:
        kinds = " and ".join(element.kind for element in used)
        yield f"elements for {kinds} beside each other, of which one kind works"
    if leakage_w:
        yield f"{si(leakage_w, 'W')} of leakage, whatever the number of elements"


def doubtful_figures(accelerator: Accelerator) -> Iterator[str]:
    """The figures of a table that do not come from a source that was read: one sentence for each kind."""
    if accelerator.unconfirmed:
        named = accelerator.in_words(accelerator.unconfirmed)
        yield f"unconfirmed of {accelerator.name}, remembered and not read in a source: {named}"
    if accelerator.assumed:
        yield f"assumed of {accelerator.name}, without a source: {accelerator.in_words(accelerator.assumed)}"


def element_for(kind: Arithmetic, accelerator: Accelerator, table: EnergyTable) -> Element:
    return element_of(kind, accelerator.number_format, accelerator.accumulator_format, table)


def equal_area(
    accelerator: Accelerator,
    table: EnergyTable,
    used: Sequence[Arithmetic],
    base: Arithmetic = Arithmetic.MAC,
) -> Accelerator:
    """The array of `used` elements whose logic takes the same area as that of the given array of `base`
    elements.

    Rows and columns grow by one factor and are rounded down, so that the area is not exceeded. Memories and
    their bandwidths stay. Raises ArgumentError where the table has no area for an element.
    """
    areas = []
    for kind in (base, *used):
        element = element_for(kind, accelerator, table)
        if element.area_um2 is None:
            lacking = ", ".join(text for text in element.missing if "area" in text)
            raise ArgumentError(
                f"no equal area on {accelerator.name}: {table.name} has no figure for {lacking}",
                "leave --equal-area out, or name another accelerator",
            )
        areas.append(element.area_um2)
    of_base, of_used = areas[0], sum(areas[1:]) or areas[0]
    places = accelerator.rows * accelerator.columns * of_base / of_used
    # A vector has one row; the sides of an array grow by the same factor.
    rows = max(1, int(accelerator.rows * math.sqrt(of_base / of_used)))
    if accelerator.structure == "vector":
        rows = 1
    return replace(accelerator, rows=rows, columns=max(1, int(places / rows)))
