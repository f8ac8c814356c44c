"""Where additions are cheaper than multiply-adds: one network by the paper's rule, on CPUs, a GPU and
accelerators.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from addercost.analysis.accelerators import WantedAccelerators
from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.target_registry import load_target
from addercost.counts.model import ModelCounts, count
from addercost.hardware import list_hardware, load_accelerator
from addercost.trace.record import Trace

CONVENTION = "macs"
PROCESSORS = (
    ("via-nano-2000", "latency-sum", "the paper's rule: a sum of latencies"),
    ("via-nano-2000", "throughput", "one core, throughput"),
    ("amd-zen4", "throughput", "one core, throughput"),
    ("intel-sapphirerapids", "throughput", "one core, throughput"),
    ("neoverse-v1", "throughput", "one core, throughput"),
    ("cortex-a53", "throughput", "one core, throughput"),
    ("cortex-m7", "throughput", "one core, throughput"),
    ("rtx-3090", "fused", "a GPU, fused kernels"),
)


@dataclass(frozen=True, slots=True)
class Payoff:
    """The cost with multiply-adds / the cost with additions. Above 1 additions are cheaper. None where there
    is no figure, or where one of the two is a lower bound.

    time_ratio: of cycles. element_ratio: of the energy of the arithmetic, without memory. energy_ratio: of
    the energy with memory.
    """

    place: str
    rule: str
    time_ratio: float | None
    element_ratio: float | None = None
    energy_ratio: float | None = None


def payoffs(trace: Trace) -> tuple[Payoff, ...]:
    """A row for each piece of hardware, processors first. All layers are counted in one arithmetic and then
    in the other, by `CONVENTION`.
    """
    sides = [count(trace, CONVENTION, arithmetic=a) for a in (Arithmetic.MAC, Arithmetic.ADDER)]
    return (*_on_processors(sides), *_on_accelerators(sides))


def _on_processors(sides: Sequence[ModelCounts]) -> Iterator[Payoff]:
    for name, model, rule in PROCESSORS:
        target = load_target(name)
        mac, adder = (estimate(side, target, model) for side in sides)
        whole = mac.complete and adder.complete and adder.cycles
        yield Payoff(name, f"{rule}, fp32", float(mac.cycles / adder.cycles) if whole else None)


def _on_accelerators(sides: Sequence[ModelCounts]) -> Iterator[Payoff]:
    for file in list_hardware(kind="accelerator"):
        array = load_accelerator(file.name)
        for same_area, rule in ((False, "as many elements"), (True, "elements of equal area")):
            (mac,), (adder,) = (WantedAccelerators((file.name,), same_area).costs(side) for side in sides)
            yield Payoff(
                array.name,
                f"{rule}, {adder.rows} × {adder.columns}, {array.number_format}",
                mac.cycles / adder.cycles,
                mac.energy_j["elements"] / adder.energy_j["elements"],
                mac.total_j / adder.total_j,
            )
