"""The subjects of a report: a model counted as several arithmetics, with costs, energies and rooflines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from addercost.analysis.accelerators import NO_ACCELERATORS, WantedAccelerators
from addercost.analysis.advantage import compared_counts, ranked
from addercost.analysis.estimate_ratio import gap_cycles, gaps
from addercost.analysis.rooflines import drawn_roofline
from addercost.analysis.sensitivity import report_sensitivities
from addercost.arithmetic import Arithmetic
from addercost.cost.energy import estimate_energy
from addercost.cost.estimate import MissingFigure, ModelCost, estimate
from addercost.cost.models import COST_MODELS, ONE_CORE_MODELS
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.counts.model import LayerCounts, ModelCounts, count
from addercost.counts.peak_memory import memory_of
from addercost.errors import ArgumentError
from addercost.hardware import load_energy
from addercost.hardware.loader import PAPER_CPU
from addercost.results.profile import Profile
from addercost.results.report import (
    EnergyEstimated,
    Estimated,
    HardwareNote,
    Ranked,
    Sensitivity,
    Subject,
    arithmetic_of,
    network_name,
)
from addercost.trace.record import Trace

COMPARED = (Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR)
CPUS = (PAPER_CPU, "intel-skylake-x")
"""The default processors: the paper's, and one with vector instructions and a known memory bandwidth, for a
roofline.
"""
ENERGY_TABLES = ("45nm", "7nm")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The estimates that a report should have. cpus, energy: names of hardware tables.

    ranked: the arithmetics, among `arithmetics`, for which all processors are ranked. what_ifs: changed
    networks, each given as one change or several joined by +. cost_models: the models for estimates, by
    default all of one core. layers_by: the model for cycles of layers; by default the first of cost_models,
    else each processor's best. hardware_path, kernels, accumulator_format, memories: as in
    `addercost.profile`.
    """

    convention: str = "full"
    arithmetics: tuple[Arithmetic, ...] = COMPARED
    keep_first_last: bool = False
    cpus: tuple[str, ...] = ()
    energy: tuple[str, ...] = ENERGY_TABLES
    ranked: tuple[Arithmetic, ...] = (Arithmetic.ADDER,)
    what_ifs: tuple[str, ...] = ()
    accelerators: WantedAccelerators = NO_ACCELERATORS
    cost_models: tuple[str, ...] = ()
    hardware_path: Path | None = None
    kernels: Path | None = None
    layers_by: str | None = None
    accumulator_format: str | None = None
    memories: tuple[str, ...] = ()

    @property
    def targets(self) -> list[Target]:
        """The targets of all processors. Raises ArgumentError for an unknown one."""
        return [load_target(name, self.hardware_path, self.kernels) for name in self.cpus]

    def cost(self, counts: ModelCounts, target: Target) -> ModelCost:
        """The cost model for the cycles of a network's layers on a target."""
        return estimate(counts, target, self.layers_by or next(iter(self.cost_models), None))


def subject_from_trace(spec: str, trace: Trace, wanted: Wanted) -> Subject:
    """The subject of a trace: the model as it is, then in every other wanted arithmetic, and with every
    wanted change.
    """
    own = Profile(count(trace, wanted.convention), memory=memory_of(trace))
    others = [arithmetic for arithmetic in wanted.arithmetics if arithmetic is not arithmetic_of(own)]
    counted = [
        Profile(
            count(trace, wanted.convention, arithmetic=arithmetic, keep_first_last=wanted.keep_first_last),
            keep_first_last=wanted.keep_first_last,
        )
        for arithmetic in others
    ]
    for changes in wanted.what_ifs:
        counts = count(
            trace, wanted.convention, what_if=changes.split("+"), keep_first_last=wanted.keep_first_last
        )
        counted.append(Profile(counts, keep_first_last=wanted.keep_first_last))
    # Without a weighted layer there is nothing to replace.
    has_sites = any(layer.mac_sites and layer.arithmetic for layer in own.counts.layers)
    subject = subject_from_profiles(spec, [own, *(counted if has_sites else [])], wanted)
    if not has_sites:
        return subject
    rankings: list[Ranked] = []
    swings: list[Sensitivity] = []
    for arithmetic in (a for a in wanted.arithmetics if a in wanted.ranked):
        sites = compared_counts(trace, arithmetic, wanted.keep_first_last)
        rankings += ranked(sites, arithmetic)
        swings += report_sensitivities(sites, arithmetic, wanted.targets)
    return replace(subject, ranked=tuple(rankings), sensitivities=tuple(swings))


def subject_from_profiles(spec: str, profiles: Sequence[Profile], wanted: Wanted) -> Subject:
    """The subject of profiles of one model. Costs that the profiles already have are kept."""
    if not profiles or not profiles[0].counts.layers:
        raise ArgumentError(f"{spec} has no layers", "profile a model whose forward computes something")
    targets = wanted.targets
    costed = [
        replace(
            profile,
            costs=profile.costs or tuple(wanted.cost(profile.counts, t) for t in targets),
            accelerators=profile.accelerators or wanted.accelerators.costs(profile.counts),
        )
        for profile in profiles
    ]
    return Subject(
        spec=spec,
        profiles=tuple(costed),
        hardware=tuple(_notes(targets, wanted)),
        estimates=tuple(_estimates(costed, targets, wanted.cost_models)),
        energies=tuple(_energies(costed, wanted)),
        rooflines=tuple(drawn_roofline(costed, t) for t in targets if t.has_memory_rate),
    )


def _estimates(
    profiles: Sequence[Profile], targets: Sequence[Target], named: tuple[str, ...]
) -> Iterator[Estimated]:
    for target in targets:
        # A whole GPU runs networks in these two modes. Of a CPU, a report shows one core.
        every = (*ONE_CORE_MODELS, *(("eager", "fused") if target.device_class == "gpu" else ()))
        for model in named or [name for name in every if not COST_MODELS[name].unusable(target)]:
            first: list[LayerCounts] | None = None
            for profile in profiles:
                cost = estimate(profile.counts, target, model)
                own = gaps(profile, cost)
                first = own if first is None else first
                yield Estimated(
                    arithmetic=network_name(profile),
                    hardware=target.name,
                    model=model,
                    cycles=cost.cycles,
                    seconds=cost.seconds,
                    complete=cost.complete and profile.counts.complete,
                    charged=_charged(profile, cost.missing),
                    missing=tuple(map(str, cost.missing)),
                    assumptions=cost.assumptions,
                    same_gaps=profile.counts.complete and own == first,
                    gap_cycles=gap_cycles(cost) if profile.counts.complete else 0.0,
                    interval_s=cost.interval_s,
                )


def _charged(profile: Profile, missing: Sequence[MissingFigure]) -> float:
    """The share of the operations for which the table has figures. Bytes do not count as operations."""
    operations = profile.counts.total.total
    lacking = sum(item.count for item in missing if not item.figure.startswith("bytes"))
    return max(1 - lacking / operations, 0.0) if operations else 1.0


def _notes(targets: Sequence[Target], wanted: Wanted) -> Iterator[HardwareNote]:
    for target in targets:
        yield HardwareNote(target.name, target.title, target.clock_hz, target.sources)
    for table in (load_energy(name, wanted.hardware_path) for name in wanted.energy):
        sources = tuple(source.title for source in table.sources.values())
        yield HardwareNote(table.name, table.title, None, sources)


def _energies(profiles: Sequence[Profile], wanted: Wanted) -> Iterator[EnergyEstimated]:
    for name in wanted.energy:
        table = load_energy(name, wanted.hardware_path)
        for profile in profiles:
            energy = estimate_energy(
                profile.counts, table, wanted.memories, accumulator_format=wanted.accumulator_format
            )
            yield EnergyEstimated(
                arithmetic=network_name(profile),
                table=name,
                joules=energy.total_j,
                complete=energy.complete and profile.counts.complete,
                charged=_charged(profile, energy.missing),
                missing=tuple(map(str, energy.missing)),
                assumptions=energy.assumptions,
                memories=tuple(wanted.memories),
            )
