"""Compares a network of convolutions with one of additions, by cost models and energy tables.

Every figure is a ratio: the cost of the network of convolutions / the cost of the other network. Above 1 the
other network is cheaper. Only convolution and linear layers are counted, as K multiply-adds an output, since
batch norms and activations are the same on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import estimate
from addercost.cost.formats import as_int8
from addercost.cost.layers import CountedLayer, kind_of
from addercost.cost.lowering import Lowerer, Lowering, operations_of
from addercost.cost.models import cost_model_named
from addercost.cost.target import Target
from addercost.counts.model import count
from addercost.hardware.schema.energy import EnergyTable
from addercost.trace.record import Trace

CONVENTION = "macs"
ACCUMULATOR = {"int8": "int32"}
"""The width at which accumulations of a number format are charged for energy."""


@dataclass(frozen=True, slots=True)
class Contest:
    """A comparison of a network of convolutions with one of `arithmetic`. name: the printed name."""

    name: str
    number_format: str
    arithmetic: Arithmetic

    @property
    def is_the_papers(self) -> bool:
        """Whether the paper applies its latency sum to this contest. It does so for floating-point additions
        only.
        """
        return self.number_format == "fp32" and self.arithmetic is Arithmetic.ADDER


CONTESTS = (
    Contest("fp32", "fp32", Arithmetic.ADDER),
    Contest("int8", "int8", Arithmetic.ADDER),
    Contest("binary", "fp32", Arithmetic.XNOR),
)
"""The contests. A binary network is compared with a network of convolutions in fp32."""


@dataclass(frozen=True, slots=True)
class PredictedRatio:
    """ratio: the cost of the network of convolutions / the cost of the other, None where a figure is missing.

    missing: the first missing figure. bounds: the bound that limits the most expensive layer, for either
    network. site_cycles: the latencies that add up to a site, for either network, as `(4 + 2) / (2 + 2)`.
    seconds: of either network, where a clock is known. interval: between its ends nine of ten such ratios are
    expected. notes: sentences of the cost model for the reader.
    """

    hardware: str
    model: str
    ratio: float | None
    missing: str = ""
    bounds: tuple[str, str] = ("", "")
    site_cycles: str = ""
    seconds: tuple[float, float] | None = None
    interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def contest_cycles(
    trace: Trace, contest: Contest, target: Target, model: str, keep_first_last: bool
) -> PredictedRatio:
    """The ratio of cycles by the cost model `model` on `target`."""
    sides = _sides(trace, contest, keep_first_last)
    costs = [estimate(layers, target, model) for layers in sides]
    missing = next((str(figure) for cost in costs for figure in cost.missing), "")
    first, other = (cost.cycles for cost in costs)
    bounds = [max(cost.layers, key=lambda layer: layer.cycles).bound if cost.layers else "" for cost in costs]
    whole = all(cost.complete for cost in costs) and other > 0
    ratio = first / other if whole else None
    terms = _site_cycles(sides, contest, target) if whole and cost_model_named(model).is_serial else ""
    seconds = [cost.seconds for cost in costs if cost.seconds is not None]
    both = (seconds[0], seconds[1]) if whole and len(seconds) == 2 else None
    return PredictedRatio(target.name, model, ratio, missing, (bounds[0], bounds[1]), terms, both)


def _site_cycles(sides: Sequence[Sequence[CountedLayer]], contest: Contest, target: Target) -> str:
    """The latencies that add up to a site, in the first layer that uses the contest's arithmetic; "" where no
    layer does.
    """
    lowerer = Lowerer(target, Lowering.PAPER)
    for layers in zip(*sides, strict=True):
        if getattr(layers[1], "arithmetic", None) is contest.arithmetic:
            sites = getattr(layers[1], "mac_sites", 0)
            first, other = (
                " + ".join(
                    f"{instruction.latency_cycles or 0:g}"
                    for instruction, n in lowerer.lower(operations_of(kind_of(layer))).executions
                    for _ in range(round(n / sites))
                )
                for layer in layers
            )
            return f"({first}) / ({other})"
    return ""


def contest_energy(
    trace: Trace, contest: Contest, table: EnergyTable, keep_first_last: bool
) -> PredictedRatio:
    """The ratio of energies, of the arithmetic alone without memory."""
    width = ACCUMULATOR.get(contest.number_format)
    sides = _sides(trace, contest, keep_first_last)
    energies = [estimate_energy(layers, table, accumulator_format=width) for layers in sides]
    missing = next((str(figure) for energy in energies for figure in energy.missing), "")
    first, other = (energy.total_j for energy in energies)
    whole = all(energy.complete for energy in energies) and other > 0
    return PredictedRatio(table.name, "energy", first / other if whole else None, missing)


def _sides(trace: Trace, contest: Contest, keep_first_last: bool) -> list[Sequence[CountedLayer]]:
    """(the layers as convolutions, the layers in the contest's arithmetic), both in the contest's number
    format.
    """
    sides: list[Sequence[CountedLayer]] = []
    for arithmetic in (Arithmetic.MAC, contest.arithmetic):
        counts = count(trace, CONVENTION, arithmetic=arithmetic, keep_first_last=keep_first_last)
        layers: Sequence[CountedLayer] = counts.layers
        sides.append(as_int8(layers) if contest.number_format == "int8" else layers)
    return sides
