"""A profile: counts and estimated costs of a model's layers. Writes and reads its JSON document.

Reading a written document gives an equal profile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from addercost.arithmetic import OpClass, OpCounts
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.cost.energy import LayerEnergy, ModelEnergy
from addercost.cost.estimate import LayerEstimate, MissingFigure, ModelCost
from addercost.counts.conventions import CountingConvention, convention_named
from addercost.counts.model import LayerCounts, ModelCounts, UncountedOp
from addercost.counts.peak_memory import ModelMemory
from addercost.counts.runs import LayerRuns, Run
from addercost.errors import ArgumentError, DataError
from addercost.reading import read_as
from addercost.results.document import Document, advising, checked_fields
from addercost.results.plain import to_plain
from addercost.results.profile_fields import (
    CostFields,
    EnergyFields,
    InputFields,
    IntervalFields,
    LayerCostFields,
    LayerEnergyFields,
    LayerFields,
    MissingFields,
    ProfileFields,
    RunFields,
    RunsFields,
    UncountedFields,
)
from addercost.text import harmless_json
from addercost.trace.record import TensorSpec

SCHEMA = "addercost/profile/1"


@dataclass(frozen=True, slots=True)
class Profile:
    """Counts and estimates of the same layers in order, with a cost for each processor and cost model, and
    energies. memory: None where a what-if changes the network's tensors, and where the tracer does not record
    memory.
    """

    counts: ModelCounts
    costs: tuple[ModelCost, ...] = ()
    keep_first_last: bool = False
    energies: tuple[ModelEnergy, ...] = ()
    memory: ModelMemory | None = None
    accelerators: tuple[AcceleratorCost, ...] = ()

    @property
    def estimates(self) -> tuple[ModelCost | ModelEnergy, ...]:
        return (*self.costs, *self.energies)

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON document as plain data."""
        return {"schema": SCHEMA, **to_plain(_written(self))}

    def to_json(self) -> str:
        return harmless_json(json.dumps(self.to_dict(), indent=1, allow_nan=False)) + "\n"


def profile_from_data(data: Any, source: str = "profile", where: str = "") -> Profile:
    """Reads plain data that `Profile.to_dict` made. Raises DataError, which names `source`, for anything
    else.

    where: the path of the profile inside the document `source`, for messages.
    """
    fields = checked_fields(data, SCHEMA, f"{source}, {where}" if where else source)
    with advising("make it again with `addercost profile … --format json`"):
        return _Reading(source, where).profile(read_as(ProfileFields, fields, source, where))


DOCUMENT = Document(SCHEMA, "a profile", Profile, profile_from_data)


def _written(profile: Profile) -> ProfileFields:
    counts = profile.counts
    return ProfileFields(
        model=counts.model,
        convention=counts.convention.name,
        mac_sites=counts.mac_sites,
        arithmetic=counts.arithmetic,
        what_if=counts.what_if,
        keep_first_last=profile.keep_first_last,
        tracer=counts.tracer,
        complete=counts.complete,
        uncounted=tuple(UncountedFields(item.op, item.calls, item.paths) for item in counts.uncounted),
        inputs=tuple(InputFields(spec.shape, spec.dtype) for spec in counts.inputs),
        parameters=counts.parameters,
        unused_parameters=counts.unused_parameters,
        notes=counts.notes,
        totals=counts.total.by_class(),
        totals_by_format=counts.total.by_format(),
        layers=tuple(map(_written_layer, counts.layers)),
        cost=tuple(map(_written_cost, profile.costs)),
        energy=tuple(map(_written_energy, profile.energies)),
        memory=profile.memory,
        accelerators=profile.accelerators,
    )


def _written_layer(layer: LayerCounts) -> LayerFields:
    return LayerFields(
        path=layer.path,
        type=layer.type,
        op=layer.op,
        ops=layer.ops,
        output_shape=layer.output_shape,
        parameters=layer.parameters,
        mac_sites=layer.mac_sites,
        arithmetic=layer.arithmetic,
        bytes_read=layer.bytes_read,
        bytes_written=layer.bytes_written,
        counts=layer.counts.by_class(),
        counts_by_format=layer.counts.by_format(),
        runs=_written_runs(layer.runs) if layer.runs else None,
        calls=layer.module_calls,
        output_shapes=layer.call_shapes,
        nodes=layer.nodes,
    )


def _written_runs(runs: LayerRuns) -> RunsFields:
    eager, fused = (RunFields(run.calls, run.n_bytes) for run in runs)
    return RunsFields(eager, fused)


def _written_cost(cost: ModelCost) -> CostFields:
    return CostFields(
        hardware=cost.hardware,
        model=cost.model,
        lowering=cost.lowering,
        cycles=cost.cycles,
        seconds=cost.seconds,
        complete=cost.complete,
        missing=_written_missing(cost.missing),
        assumptions=cost.assumptions,
        layers=tuple(
            LayerCostFields(
                layer.path, layer.cycles, layer.bound, layer.complete, _written_ends(layer.interval_s)
            )
            for layer in cost.layers
        ),
        interval=_written_ends(cost.interval_s),
    )


def _written_ends(ends: tuple[float, float] | None) -> IntervalFields | None:
    return None if ends is None else IntervalFields(*ends)


def _read_ends(read: IntervalFields | None) -> tuple[float, float] | None:
    return None if read is None else (read.low_s, read.high_s)


def _written_energy(energy: ModelEnergy) -> EnergyFields:
    return EnergyFields(
        hardware=energy.hardware,
        total_j=energy.total_j,
        arithmetic_j=energy.arithmetic_j,
        complete=energy.complete,
        missing=_written_missing(energy.missing),
        assumptions=energy.assumptions,
        layers=tuple(
            LayerEnergyFields(layer.path, layer.arithmetic_j, dict(layer.memory_j), layer.complete)
            for layer in energy.layers
        ),
    )


def _written_missing(missing: Sequence[MissingFigure]) -> tuple[MissingFields, ...]:
    return tuple(MissingFields(item.figure, item.count) for item in missing)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The document and the path of the profile that is being read, for messages."""

    source: str
    where: str

    def damaged(self, what: str) -> DataError:
        return DataError(f"{self.source}{f', {self.where}' if self.where else ''}: {what}")

    def profile(self, read: ProfileFields) -> Profile:
        counts = ModelCounts(
            model=read.model,
            convention=self.convention(read.convention),
            arithmetic=read.arithmetic,
            layers=tuple(self.layer(layer) for layer in read.layers),
            uncounted=tuple(UncountedOp(item.op, item.calls, item.paths) for item in read.uncounted),
            parameters=read.parameters,
            unused_parameters=read.unused_parameters,
            tracer=read.tracer,
            inputs=tuple(TensorSpec(spec.shape, spec.dtype, "input") for spec in read.inputs),
            notes=read.notes,
            what_if=read.what_if,
        )
        self.check_totals(counts, read)
        return Profile(
            counts,
            tuple(map(_read_cost, read.cost)),
            read.keep_first_last,
            tuple(map(_read_energy, read.energy)),
            read.memory,
            read.accelerators,
        )

    def convention(self, name: str) -> CountingConvention:
        try:
            return convention_named(name)
        except ArgumentError as error:
            raise self.damaged(str(error)) from None

    def layer(self, read: LayerFields) -> LayerCounts:
        counts = {}
        for number_format, by_class in read.counts_by_format.items():
            for name, n in by_class.items():
                if name not in list(OpClass):
                    raise self.damaged(f"layer {read.path!r} counts {name!r}, which is no class of operation")
                counts[OpClass(name), number_format] = n
        return LayerCounts(
            path=read.path,
            type=read.type,
            op=read.op,
            ops=read.ops,
            output_shape=read.output_shape,
            parameters=read.parameters,
            counts=OpCounts.from_mapping(counts),
            mac_sites=read.mac_sites,
            arithmetic=read.arithmetic,
            bytes_read=read.bytes_read,
            bytes_written=read.bytes_written,
            runs=LayerRuns(_read_run(read.runs.eager), _read_run(read.runs.fused)) if read.runs else None,
            module_calls=read.calls,
            call_shapes=read.output_shapes,
            nodes=read.nodes,
        )

    def check_totals(self, counts: ModelCounts, read: ProfileFields) -> None:
        """Raises DataError where two fields of the document contradict each other."""
        for layer, layer_read in zip(counts.layers, read.layers, strict=True):
            if layer.counts.by_class() != layer_read.counts:
                raise self.damaged(f"the counts of layer {layer.path!r} differ from those by format")
        totals = (counts.total.by_class(), counts.total.by_format(), counts.mac_sites)
        if totals != (read.totals, read.totals_by_format, read.mac_sites):
            raise self.damaged("the layers do not sum to its totals")
        if counts.complete != read.complete:
            raise self.damaged(
                f"complete is {read.complete} with {len(counts.uncounted)} operators uncounted"
            )
        paths = [layer.path for layer in counts.layers]
        estimated = [(cost.hardware, [layer.path for layer in cost.layers]) for cost in read.cost]
        estimated += [(item.hardware, [layer.path for layer in item.layers]) for item in read.accelerators]
        estimated += [(energy.hardware, [layer.path for layer in energy.layers]) for energy in read.energy]
        if read.memory is not None and [layer.path for layer in read.memory.layers] != paths:
            raise self.damaged("the layers of its memory are not those counted")
        for hardware, its_paths in estimated:
            if its_paths != paths:
                raise self.damaged(f"the layers estimated on {hardware!r} are not those counted")


def _read_run(read: RunFields) -> Run:
    return Run(read.kernel_calls, read.bytes)


def _read_cost(read: CostFields) -> ModelCost:
    return ModelCost(
        hardware=read.hardware,
        model=read.model,
        lowering=read.lowering,
        cycles=read.cycles,
        seconds=read.seconds,
        complete=read.complete,
        missing=_read_missing(read.missing, read.hardware),
        assumptions=read.assumptions,
        layers=tuple(
            LayerEstimate(layer.path, layer.cycles, layer.bound, layer.complete, _read_ends(layer.interval))
            for layer in read.layers
        ),
        interval_s=_read_ends(read.interval),
    )


def _read_energy(read: EnergyFields) -> ModelEnergy:
    return ModelEnergy(
        hardware=read.hardware,
        total_j=read.total_j,
        arithmetic_j=read.arithmetic_j,
        complete=read.complete,
        missing=_read_missing(read.missing, read.hardware),
        assumptions=read.assumptions,
        layers=tuple(
            LayerEnergy(layer.path, layer.arithmetic_j, tuple(layer.memory_j.items()), layer.complete)
            for layer in read.layers
        ),
    )


FORM = ProfileFields
"""The class whose fields are those of the document. The JSON Schema is made from it."""


def _read_missing(missing: Sequence[MissingFields], hardware: str) -> tuple[MissingFigure, ...]:
    return tuple(MissingFigure(item.figure, hardware, item.count) for item in missing)
