"""Accuracy against estimated cost, of networks in the paper and of networks that were trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from addercost.analysis.front import pareto_front
from addercost.analysis.published import PUBLISHED_ACCURACIES
from addercost.arithmetic import Arithmetic
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import estimate
from addercost.cost.models import PAPER_MODEL, default_model
from addercost.cost.target_registry import load_target
from addercost.counts.model import ModelCounts, count
from addercost.errors import ArgumentError, unknown_name
from addercost.hardware import load_energy
from addercost.hardware.loader import PAPER_CPU
from addercost.results.profile import Profile
from addercost.results.report import network_name
from addercost.results.training import TrainingRun
from addercost.trace.record import Trace

CONVENTION = "macs"
DEFAULT_BASIS = f"cycles@{PAPER_CPU}"
"""The default cost: cycles on the paper's processor, by the paper's rule unless a cost model is named."""

TraceSpec = Callable[[str], Trace]
"""A function that returns the trace of a SPEC."""


@dataclass(frozen=True, slots=True)
class Point:
    """One network. cost: estimated cycles or joules, or operations; None where a figure is missing."""

    label: str
    arithmetic: str
    accuracy_percent: float
    cost: float | None
    published: bool


@dataclass(frozen=True, slots=True)
class Pareto:
    """The networks of one data set. quantity, unit: what `cost` is."""

    dataset: str
    quantity: str
    unit: str
    points: tuple[Point, ...]


def pareto(
    runs: Sequence[TrainingRun],
    trace_spec: TraceSpec,
    basis: str | None,
    dataset: str | None,
    cost_model: str | None = None,
    hardware_path: Path | None = None,
) -> Pareto:
    """The paper's networks on a data set and the runs on it that have an accuracy.

    basis: `cycles@CPU`, `energy@TABLE` or `operations`. cost_model: for cycles. By default it is the best
    that the processor has figures for, or the paper's rule where no basis is named. Raises ArgumentError for
    an unknown name.
    """
    known = list(dict.fromkeys([run.dataset for run in runs] + [p.dataset for p in PUBLISHED_ACCURACIES]))
    chosen = dataset or known[0]
    if chosen not in known:
        raise unknown_name("data set", chosen, known)
    if basis is None and cost_model is None:
        cost_model = PAPER_MODEL
    cost, quantity, unit = _cost_rule(basis or DEFAULT_BASIS, cost_model, hardware_path)
    points = []
    traces: dict[str, Trace] = {}

    def counted(spec: str, arithmetic: Arithmetic | None, keep: bool) -> ModelCounts:
        if spec not in traces:
            traces[spec] = trace_spec(spec)
        return count(traces[spec], CONVENTION, arithmetic=arithmetic, keep_first_last=keep)

    for entry in PUBLISHED_ACCURACIES:
        if entry.dataset == chosen:
            counts = counted(f"zoo:{entry.zoo}", entry.arithmetic, entry.keep_first_last)
            name = network_name(Profile(counts))
            points.append(Point(entry.network, name, entry.accuracy_percent, cost(counts), True))
    for run in runs:
        if run.dataset == chosen and run.accuracy_percent is not None:
            counts = counted(run.model, None, False)
            name = _main_arithmetic(counts)
            points.append(Point(run.name, name, run.accuracy_percent, cost(counts), False))
    return Pareto(chosen, quantity, unit, tuple(points))


def front(points: Sequence[Point]) -> list[Point]:
    """The Pareto front: points that no other point beats in both accuracy and cost, the cheapest first."""
    known = [point for point in points if point.cost is not None]
    return pareto_front(known, lambda point: (point.cost or 0.0, point.accuracy_percent))


def _main_arithmetic(counts: ModelCounts) -> str:
    """The arithmetic of most sites. (The first and last layer of an adder network are convolutions.)"""
    sites: dict[Arithmetic, int] = {}
    for layer in counts.layers:
        if layer.arithmetic is not None:
            sites[layer.arithmetic] = sites.get(layer.arithmetic, 0) + layer.mac_sites
    main = max(sites, key=lambda arithmetic: sites[arithmetic], default=None)
    return network_name(Profile(replace(counts, arithmetic=main)))


def _cost_rule(
    basis: str, cost_model: str | None, hardware_path: Path | None
) -> tuple[Callable[[ModelCounts], float | None], str, str]:
    kind, _, name = basis.partition("@")
    if kind == "operations" and not name:
        return (lambda counts: counts.total.total), "operations", ""
    if kind == "cycles" and name:
        cpu = load_target(name, hardware_path)
        model = cost_model or default_model(cpu)

        def cycles(counts: ModelCounts) -> float | None:
            made = estimate(counts, cpu, model)
            return made.cycles if made.complete else None

        return cycles, f"estimated cycles on {name}, {model} model", ""
    if kind == "energy" and name:
        table = load_energy(name, hardware_path)

        def joules(counts: ModelCounts) -> float | None:
            made = estimate_energy(counts, table)
            return made.total_j if made.complete else None

        return joules, f"estimated arithmetic energy at {name}", "J"
    raise ArgumentError(f"unknown cost {basis!r}", "give operations, cycles@CPU or energy@TABLE")
