"""Networks and layers timed on this machine beside what the cost models predict of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.cost.target import Target
from addercost.errors import AddercostError, ArgumentError
from addercost.measure.bench import Said
from addercost.measure.case import CaseUse, LayerCase, cases_of, read_case
from addercost.measure.contenders.contender import Place
from addercost.measure.devices.device import Call
from addercost.measure.plan import RowPlan, layer_rows
from addercost.measure.session import LAYOUTS, BenchSettings, measure, open_device, predict_for
from addercost.measure.validation.predictions import network_row
from addercost.measure.whole_model import EAGER, filled
from addercost.results.measurements import MeasuredRow, Measurements
from addercost.results.validation import (
    Prediction,
    SkippedRow,
    Validation,
    ValidationRow,
)
from addercost.sources.build import build, build_real
from addercost.sources.kind import LoadedModel, TraceRequest
from addercost.sources.tracing import trace_loaded
from addercost.trace.inputs import ModelInputs
from addercost.trace.record import Trace

INCLUDES = "a forward of the whole network in inference mode, eager, inputs in NCHW"


@dataclass(frozen=True, slots=True)
class Network:
    """make: builds it with all of its weights. inputs: of one forward, without data."""

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]

    def traced(self) -> Trace:
        loaded = LoadedModel(self.name, build(self.make, self.name), rebuild=self.make)
        return trace_loaded(loaded, ModelInputs(self.inputs), TraceRequest(tracer="blocks"))


@dataclass(frozen=True, slots=True)
class Planned:
    """Networks that can be timed, each with its row but for the time; the shapes of their layers."""

    rows: Mapping[str, ValidationRow]
    plans: tuple[RowPlan, ...]
    uses: tuple[CaseUse, ...]
    skipped: tuple[SkippedRow, ...]


def planned(
    networks: Sequence[Network], target: Target, models: Sequence[str], most_sites: float, layers: int
) -> Planned:
    """Traces and costs the networks. Those of more than `most_sites` MAC sites are skipped.

    layers: so many of the shapes of their layers are timed, drawn by a hash. Raises ArgumentError where not
    one network can be timed.
    """
    rows: dict[str, ValidationRow] = {}
    plans, skipped = [], []
    shapes: dict[LayerCase, list[str]] = {}
    for network in networks:
        try:
            trace = network.traced()
            row = network_row(trace, network.name, 1.0, target, models)
            found = cases_of(trace, 1)
        except AddercostError as error:
            skipped.append(SkippedRow(network.name, error.message))
            continue
        if row.mac_sites > most_sites:
            skipped.append(SkippedRow(network.name, f"more than {most_sites:.3g} MAC sites"))
            continue
        rows[network.name] = row
        plans.append(_plan(network, row))
        for use in found.uses:
            shapes.setdefault(use.case, []).append(f"{network.name} {use.paths[0]}")
    if not rows:
        raise ArgumentError(
            f"none of the {len(networks)} networks can be timed: {skipped[0].name}: {skipped[0].reason}",
            "name others with --models",
        )
    chosen = sorted(shapes, key=lambda case: hashlib.sha256(case.text.encode()).digest())[:layers]
    uses = tuple(CaseUse(case, (shapes[case][0],), (0,)) for case in chosen)
    return Planned(rows, tuple(plans), uses, tuple(skipped))


def _plan(network: Network, row: ValidationRow) -> RowPlan:
    empty = MeasuredRow(
        path=network.name,
        arithmetic=Arithmetic.MAC.value,
        samples_s=(),
        implementation=EAGER,
        cache="warm",
        includes=INCLUDES,
        sites=row.mac_sites,
        bytes_moved=row.bytes_moved,
    )
    return RowPlan(empty, partial(_made, network))


def _made(network: Network, free_bytes: int | None) -> tuple[Call, Call | None]:
    torch.manual_seed(0)
    model = build_real(network.make).eval()
    data = [filled(x, torch.float32, torch.device("cpu")) for x in network.inputs]
    return partial(model, *data), None


def timed(
    name: str, plan: Planned, settings: BenchSettings, output: Path | None = None, said: Said | None = None
) -> Measurements:
    """Times the layers and the networks of a plan. Rows are kept in a journal beside `output`."""
    device = open_device(settings)
    try:
        every = said or (lambda number, row, entry: None)
        plans = (*plan.plans, *_layer_plans(plan.uses, settings))
        return measure(name, (), settings, device, output, plans, said=every)
    finally:
        device.close()


def _layer_plans(uses: Sequence[CaseUse], settings: BenchSettings) -> Iterator[RowPlan]:
    """Every way to compute the layers that the cost models estimate."""
    place = Place(torch.device(settings.device), LAYOUTS[settings.layout])
    arithmetics, predict = settings.arithmetics, predict_for(settings)
    for plan in layer_rows(uses, arithmetics, settings.dtypes, place, settings.cache, predict):
        if plan.row.predicted:
            yield plan


def validation_of(
    measurements: Measurements, plan: Planned, source: str, patterns: str, target: Target
) -> Validation:
    """The timings beside the predictions. Layers are grouped by what computed them."""
    rows = [row for row in map(partial(_row, plan), measurements.rows) if row is not None]
    failed = tuple(SkippedRow(f"{row.path} {row.arithmetic}", row.reason) for row in measurements.failed)
    kept = ("cpu", "threads", "torch", "clock", "date")
    conditions = {key: value for key, value in measurements.environment.items() if key in kept}
    return Validation(
        source,
        target.name,
        {**conditions, "networks": patterns, "a network's time": INCLUDES},
        tuple(rows),
        skipped=(*plan.skipped, *failed),
        notes=measurements.notes,
    )


def _row(plan: Planned, row: MeasuredRow) -> ValidationRow | None:
    if row.path in plan.rows and not row.case:
        return replace(plan.rows[row.path], measured_s=row.median_s)
    if not row.predicted:
        return None
    case = read_case(row.case)
    return ValidationRow(
        name=f"{row.case} {row.arithmetic} {row.implementation} {row.dtype}",
        measured_s=row.median_s,
        predicted=tuple(Prediction(p.model, p.seconds) for p in row.predicted),
        group=f"layers, {row.arithmetic} {row.dtype}, {row.implementation}",
        family=layer_family(case),
        kind=layer_kind(case),
        mac_sites=row.sites,
        bytes_moved=row.bytes_moved,
    )


def layer_kind(case: LayerCase) -> str:
    """One of `analysis.network_kind.KINDS`."""
    if case.linear:
        return "matrix product"
    return "depthwise" if case.groups == case.filters > 1 else "convolution"


def layer_family(case: LayerCase) -> str:
    """Layers that kernels compute alike: `3x3`, `1x1`, `3x3 depthwise`, `3x3 grouped`, `linear`."""
    if case.linear:
        return "linear"
    r, s = case.filter_size
    grouped = " depthwise" if layer_kind(case) == "depthwise" else " grouped" if case.groups > 1 else ""
    strided = " strided" if case.stride != (1, 1) else ""
    return f"{r}x{s}{grouped}{strided}"
