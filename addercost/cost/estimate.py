"""What a counted model costs on a CPU, by a named cost model. Predicted cycles, never measured ones.

`latency-sum`: Σ executions × latency, the AdderNet paper's rule, as if every instruction waited for the one
before. `throughput`: per layer the largest of the limits in `addercost.cost.bounds`, as if nothing waited.
`roofline`: per layer the larger of `throughput` and the time its bytes take through the memory's bandwidth.

A total is the sum of its layers. The truth for a real kernel lies between the first two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from addercost.arithmetic import OpCounts
from addercost.cost.bounds import Bound, ThroughputLimits, Work
from addercost.cost.lowering import Lowerer, Lowering
from addercost.errors import CheckFailedError, unknown_name
from addercost.hardware.schema import Cpu, Instruction
from addercost.hardware.vocabulary import Form, Quality
from addercost.units import si


class CountedLayer(Protocol):
    """What costing needs of a layer. Read where present: `arithmetic`, `mac_sites`, `bytes_read`,
    `bytes_written`.
    """

    @property
    def path(self) -> str: ...
    @property
    def counts(self) -> OpCounts: ...


class CountedModel(Protocol):
    @property
    def layers(self) -> Sequence[CountedLayer]: ...


@dataclass(frozen=True, slots=True)
class MissingFigure:
    """A figure the hardware's table lacks: `count` operations are not in the cycles, which are then a lower
    bound.
    """

    figure: str
    hardware: str
    count: int

    def __str__(self) -> str:
        return f"{self.hardware} has no figure for {self.figure}: {self.count:,} not charged"


@dataclass(frozen=True, slots=True)
class LayerEstimate:
    """Cycles of one layer, the limit that set them, and whether every operation was charged."""

    path: str
    cycles: float
    bound: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ModelCost:
    """An estimate. `cycles` is the sum over `layers`; a lower bound where `complete` is False.

    `seconds` is None where no clock is known. `assumptions` says what stood in for figures the table lacks.
    """

    hardware: str
    model: str
    lowering: str
    cycles: float
    seconds: float | None
    complete: bool
    missing: tuple[MissingFigure, ...]
    assumptions: tuple[str, ...]
    layers: tuple[LayerEstimate, ...]


def _latency_sum(limits: ThroughputLimits, work: Work, layer: CountedLayer) -> Bound:
    # Whole counts times whole latencies stay whole numbers.
    return Bound("latency", sum(n * (latency_cycles(limits.cpu, row) or 0) for row, n in work))


def _throughput(limits: ThroughputLimits, work: Work, layer: CountedLayer) -> Bound:
    return limits.binding(work)


def _roofline(limits: ThroughputLimits, work: Work, layer: CountedLayer) -> Bound:
    cpu, compute = limits.cpu, limits.binding(work)
    bandwidth = bandwidth_bytes_per_s(cpu)
    if bandwidth is None or cpu.clock_hz is None:
        return compute
    memory = Bound("memory bandwidth", bytes_moved(layer) / bandwidth * cpu.clock_hz)
    return memory if memory.cycles > compute.cycles else compute


def latency_cycles(cpu: Cpu, row: Instruction) -> float | None:
    """The row's latency, or that of the same instruction in another row of the table, or None."""
    if row.latency_cycles is not None:
        return row.latency_cycles
    alike = [r for r in cpu.rows(row.op, (row.form,)) if r.latency_cycles is not None]
    return min(alike, key=lambda r: abs(r.vector_bits - row.vector_bits)).latency_cycles if alike else None


def _nothing_missing(cpu: Cpu, work: Work, layer: CountedLayer) -> dict[str, float]:
    return {}


def _missing_latencies(cpu: Cpu, work: Work, layer: CountedLayer) -> dict[str, float]:
    return {f"the latency of {row.op}": n for row, n in work if latency_cycles(cpu, row) is None}


def _missing_bandwidth(cpu: Cpu, work: Work, layer: CountedLayer) -> dict[str, float]:
    if bandwidth_bytes_per_s(cpu) is not None and cpu.clock_hz is not None:
        return {}
    return {"bytes through memory (bandwidth or clock)": bytes_moved(layer)}


_Rule = Callable[[ThroughputLimits, Work, CountedLayer], Bound]
_MODELS: dict[str, tuple[_Rule, Lowering]] = {
    "latency-sum": (_latency_sum, Lowering.PAPER),
    "throughput": (_throughput, Lowering.SIMD),
    "roofline": (_roofline, Lowering.SIMD),
}
_MISSING: dict[str, Callable[[Cpu, Work, CountedLayer], dict[str, float]]] = {
    "latency-sum": _missing_latencies,
    "throughput": _nothing_missing,
    "roofline": _missing_bandwidth,
}
COST_MODELS = tuple(_MODELS)
"""The names `estimate` knows."""


def estimate(
    model_counts: CountedModel | Iterable[CountedLayer],
    cpu: Cpu,
    model: str = "latency-sum",
    lowering: str | None = None,
    strict: bool = False,
) -> ModelCost:
    """The cost of counted layers on one core of `cpu`.

    `model` is one of `COST_MODELS`; `lowering` is `paper`, `scalar` or `simd`, and follows from the model
    when None. Raises ArgumentError for an unknown name, and CheckFailedError for a missing figure when
    `strict`.
    """
    if model not in _MODELS:
        raise unknown_name("cost model", model, COST_MODELS)
    rule, usual = _MODELS[model]
    if lowering is not None and lowering not in list(Lowering):
        raise unknown_name("lowering", lowering, list(Lowering))
    lowerer = Lowerer(cpu, usual if lowering is None else Lowering(lowering))
    limits = ThroughputLimits(cpu)
    layers = model_counts if isinstance(model_counts, Iterable) else model_counts.layers
    estimates = []
    missing: dict[str, float] = {}
    assumptions: dict[str, None] = {}
    for layer in layers:
        lowered = lowerer.lower(
            layer.counts, getattr(layer, "arithmetic", None), getattr(layer, "mac_sites", 0)
        )
        bound = rule(limits, lowered.work, layer)
        lacking = {f"{op_class} ({f})": float(n) for (op_class, f), n in lowered.missing.items()}
        lacking |= _MISSING[model](cpu, lowered.work, layer)
        for figure, n in lacking.items():
            missing[figure] = missing.get(figure, 0) + n
        assumptions |= lowered.assumptions
        if model != "latency-sum" and any(not row.ports for row, _ in lowered.work):
            assumptions[
                "ports of some instructions are unknown: those on like registers share one pool of units"
            ] = None
        estimates.append(LayerEstimate(layer.path, whole(bound.cycles), bound.name, not lacking))
    figures = [MissingFigure(figure, cpu.name, math.ceil(n)) for figure, n in missing.items()]
    if strict and figures:
        raise CheckFailedError(
            "; ".join(map(str, figures)), "leave --strict out to take the rest as a lower bound"
        )
    cycles = whole(sum(e.cycles for e in estimates))
    clock = cpu.clock_hz
    return ModelCost(
        hardware=cpu.name,
        model=model,
        lowering=lowerer.lowering.value,
        cycles=cycles,
        seconds=None if clock is None else cycles / clock,
        complete=not figures,
        missing=tuple(figures),
        assumptions=(*assumptions, *_model_assumptions(cpu, model, lowerer.lowering)),
        layers=tuple(estimates),
    )


def whole(value: float) -> float:
    """An int where the value is one, so that exact sums print and compare as exact."""
    return int(value) if float(value).is_integer() else value


def bandwidth_bytes_per_s(cpu: Cpu) -> float | None:
    """What one core can draw where that was measured, else the whole part's bandwidth, or None."""
    if cpu.part is None:
        return None
    return cpu.part.core_memory_bandwidth_bytes_per_s or cpu.part.memory_bandwidth_bytes_per_s


def bytes_moved(layer: CountedLayer) -> float:
    """Bytes a layer reads and writes: its `bytes`, or `bytes_read` + `bytes_written`, or 0 where it has
    neither.
    """
    moved = getattr(layer, "bytes", None)
    if moved is None:
        moved = getattr(layer, "bytes_read", 0) + getattr(layer, "bytes_written", 0)
    return float(moved)


def _model_assumptions(cpu: Cpu, model: str, lowering: Lowering) -> Iterator[str]:
    if cpu.part is not None and cpu.clock_hz is not None:
        which = "base" if cpu.part.base_clock_hz else "boost"
        which = "measured" if cpu.part.quality is Quality.MEASURED else which
        yield f"clock: {si(cpu.clock_hz, 'Hz')}, the {which} clock of {cpu.part.name}"
    if lowering is Lowering.PAPER and cpu.preferred_float_form is not Form.SCALAR:
        yield f"floating point in the {cpu.preferred_float_form} form, which the table prefers"
    if model != "latency-sum" and cpu.issue_width_uops is None:
        yield "the issue width is unknown and does not bind"
    if model == "roofline" and cpu.part is not None and bandwidth_bytes_per_s(cpu) is not None:
        if cpu.part.core_memory_bandwidth_bytes_per_s is None:
            yield "one core draws the whole part's memory bandwidth"
        yield "every byte read and written goes through memory: nothing stays in a cache between layers"
