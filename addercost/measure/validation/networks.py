"""Times networks and layers on this machine, and compares them with the predictions of the cost models."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.cost.calibrated.codes import CODES
from addercost.cost.calibrated.usual_speed import at_usual_speed
from addercost.cost.target import Target
from addercost.counts.model import count
from addercost.errors import AddercostError, ArgumentError
from addercost.hardware import kernel_times
from addercost.hardware.matching import this_processor
from addercost.hardware.this_machine import cpu_model
from addercost.measure.bench import Said, run
from addercost.measure.case import CaseUse, LayerCase, cases_of, read_case
from addercost.measure.compilation import compiled
from addercost.measure.contenders.contender import TENSOR_DTYPES, Place
from addercost.measure.devices.device import Call, expect_noise
from addercost.measure.devices.exclusive import exclusive
from addercost.measure.environment import environment
from addercost.measure.journal import Journal, JournalHeading, open_journal
from addercost.measure.layer_predictions import PredictLayer, layer_predictor
from addercost.measure.noise import is_slow, refuse_noise, time_slow_rows_again
from addercost.measure.plan import RowPlan, layer_rows
from addercost.measure.separate_rows import SeparateRows
from addercost.measure.session import LAYOUTS, BenchSettings, open_device
from addercost.measure.speed.reference import WITHIN
from addercost.measure.validation.kept_traces import KeptTraces
from addercost.measure.validation.layer_groups import layer_family, layer_kind
from addercost.measure.validation.predictions import network_row
from addercost.measure.validation.quantized import INT8, quantized, same_engine
from addercost.measure.whole_model import COMPILED, EAGER, filled
from addercost.results.measurements import MeasuredRow, Measurements
from addercost.results.validation import NETWORKS, RowPrediction, SkippedRow, Validation, ValidationRow
from addercost.sources.build import build, build_real
from addercost.sources.kind import LoadedModel, TraceRequest
from addercost.sources.torchvision_operators import why_not_timed
from addercost.sources.tracing import trace_loaded
from addercost.trace.inputs import ModelInputs
from addercost.trace.record import Trace

INCLUDES = {
    mode: f"a forward of the whole network without gradients (torch.no_grad), {mode}, inputs in NCHW"
    for mode in (EAGER, COMPILED)
}


@dataclass(frozen=True, slots=True)
class ValidationNetwork:
    """A network to time. make: builds it with all of its weights. inputs: the arguments of one forward,
    without data. dtype: the format of its weights and inputs; in `int8` the network is statically quantised.
    mode: `EAGER` or `COMPILED`.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Tensor, ...]
    dtype: str = "fp32"
    mode: str = EAGER

    def traced(self) -> Trace:
        if self.dtype == INT8:
            # Codes need values, so the network is made with them.
            made, data = quantized(self.make, self.inputs)
            loaded = LoadedModel(self.name, made, rebuild=lambda: made)
            return trace_loaded(loaded, ModelInputs(data), TraceRequest())
        make = self.make if self.dtype == "fp32" else self._made_in_its_format
        inputs = (x.to(TENSOR_DTYPES[self.dtype]) if x.is_floating_point() else x for x in self.inputs)
        with same_engine():
            loaded = LoadedModel(self.name, build(make, self.name), rebuild=make)
            return trace_loaded(loaded, ModelInputs(tuple(inputs)), TraceRequest(tracer="blocks"))

    def _made_in_its_format(self) -> nn.Module:
        return self.make().to(TENSOR_DTYPES[self.dtype])


class Plan:
    """The rows to time, which are made one after the other. A network is traced when its turn comes, and
    layers follow the networks. `rows` (by name, without times) and `skipped` have the networks that were
    planned so far.

    most_sites: networks with more sites are skipped. layers: how many of the shapes of their layers are
    timed; they are chosen by a hash. document: the path of the result, beside which traces are kept.
    """

    def __init__(
        self,
        networks: Sequence[ValidationNetwork],
        target: Target,
        models: Sequence[str],
        most_sites: float,
        layers: int,
        document: Path | None = None,
    ) -> None:
        self.document, self._traces = document, KeptTraces(document)
        self.networks, self.target, self.models = networks, target, models
        self.layer_target = target
        """The target in the layout and the state of the caches in which layers are timed."""
        self.most_sites, self.layers = most_sites, layers
        self.dtype = networks[0].dtype if networks else "fp32"
        self.mode = networks[0].mode if networks else EAGER
        self.rows: dict[str, ValidationRow] = {}
        self.layer_rows: dict[str, MeasuredRow] = {}
        self.skipped: list[SkippedRow] = []

    def row_plans(self, settings: BenchSettings, predict: PredictLayer) -> Iterator[RowPlan]:
        """The plans of all rows, one after the other. Raises ArgumentError where no network can be timed."""
        layout, caches = settings.layout, settings.cache
        self.layer_target = replace(self.target, kernel_layout=layout, kernel_caches=caches)
        shapes: dict[LayerCase, list[str]] = {}
        for network in self.networks:
            plan = self._network(network, shapes)
            if plan is not None:
                yield plan
        if not self.rows:
            first = self.skipped[0]
            raise ArgumentError(
                f"none of the {len(self.networks)} networks can be timed: {first.name}: {first.reason}",
                "name others with --models",
            )
        drawn = sorted(shapes, key=lambda case: hashlib.sha256(case.text.encode()).digest())[: self.layers]
        uses = tuple(CaseUse(case, (shapes[case][0],), (0,)) for case in drawn)
        for plan in _layer_rows(uses, settings, predict):
            if plan.row.predicted:
                self.layer_rows[plan.key] = plan.row
                yield plan

    def plan_of(self, settings: BenchSettings, row: MeasuredRow) -> RowPlan:
        """The plan of a row. `row_plans` need not have come to it."""
        if not row.case:
            network = next(network for network in self.networks if network.name == row.path)
            return RowPlan(row, partial(_made, network))
        uses = (CaseUse(read_case(row.case), row.paths, row.positions),)
        plans = _layer_rows(uses, settings)
        return RowPlan(row, next(plan.make for plan in plans if plan.key == RowPlan.key_of(row)))

    def _network(self, network: ValidationNetwork, shapes: dict[LayerCase, list[str]]) -> RowPlan | None:
        try:
            if network.dtype != "fp32":
                # In 8 bits a network is traced with its weights, and detection networks compute in every
                # format: in bf16 one of them took minutes. So it is counted in fp32 first.
                self._refuse_large(count(self._trace(replace(network, dtype="fp32"))).mac_sites)
            trace = self._trace(network)
            row = network_row(trace, network.name, 1.0, self.target, self.models)
            self._refuse_large(row.mac_sites)
            if why := why_not_timed(call.op for call in trace.calls):
                raise ArgumentError(why)
            found = cases_of(trace, 1)
        except AddercostError as error:
            self.skipped.append(SkippedRow(network.name, error.message))
            return None
        self.rows[network.name] = row
        for use in found.uses:
            shapes.setdefault(use.case, []).append(f"{network.name} {use.paths[0]}")
        return _plan(network, row)

    def _trace(self, network: ValidationNetwork) -> Trace:
        return self._traces.trace(f"{network.name} {network.dtype}", network.traced)

    def _refuse_large(self, mac_sites: int) -> None:
        if mac_sites > self.most_sites:
            raise ArgumentError(f"more than {self.most_sites:.3g} MAC sites")


def _plan(network: ValidationNetwork, row: ValidationRow) -> RowPlan:
    empty = MeasuredRow(
        path=network.name,
        arithmetic=Arithmetic.MAC.value,
        samples_s=(),
        implementation=network.mode,
        cache="warm",
        includes=INCLUDES[network.mode],
        dtype=network.dtype,
        sites=row.mac_sites,
        bytes_moved=row.bytes_moved,
    )
    return RowPlan(empty, partial(_made, network))


def _made(network: ValidationNetwork, free_bytes: int | None) -> tuple[Call, Call | None]:
    if network.dtype == INT8:
        made, inputs = quantized(network.make, network.inputs)
        return partial(made, *inputs), None
    torch.manual_seed(0)
    dtype = TENSOR_DTYPES[network.dtype]
    model = build_real(network.make).eval()
    if dtype != torch.float32:
        model = model.to(dtype)
    data = [filled(x, dtype, torch.device("cpu")) for x in network.inputs]
    return partial(compiled(model) if network.mode == COMPILED else model, *data), None


def timed(
    plan: Plan,
    settings: BenchSettings,
    said: Said = lambda number, row, entry: None,
    again_s: float = 0.0,
    accept_noise: bool = False,
) -> Measurements:
    """Times the networks and layers of a plan. Rows are kept in a journal beside the plan's document. A run
    with other networks, layers or cost models may continue the journal; what the journal has is not timed or
    traced again.

    again_s: how long, in all, rows that were timed while the machine was slow are timed again at the end.
    accept_noise: moments count as quiet that are nearly as fast as this machine often is.
    Raises DataError where the journal is of another machine or of other settings. Raises CheckFailedError
    where more than half of the rows were timed while the machine was slow, unless that is accepted.
    """
    plan_of = partial(plan.plan_of, settings)
    with (
        closing(open_device(settings)) as device,
        # Made before anything runs, so that the processes of rows are copies of one in which nothing has.
        closing(SeparateRows(device, settings.threads, settings.effort, accept_noise, plan_of)) as rows,
    ):
        lines = {**settings.lines(), "cpus": "none"}
        heading = JournalHeading("validation", lines, environment(device.facts), {})
        journal = open_journal(heading, plan.document)
        expect_noise(device, accept_noise)
        predict = layer_predictor(
            settings.estimate_cpus, plan.models, settings.hardware_path, settings.layout, settings.cache
        )
        with exclusive(settings.device):
            plans: dict[str, RowPlan] = {}

            def kept() -> Iterator[RowPlan]:
                for row_plan in plan.row_plans(settings, predict):
                    plans[row_plan.key] = row_plan
                    yield row_plan

            run(kept(), rows.time, journal, said)
            time_slow_rows_again(plans, device, journal, rows.time, again_s)
        found = {key: entry for key, entry in journal.entries.items() if key in plans}
        if not accept_noise:
            refuse_noise(found.values(), journal.path, "-o DIR", "; --accept-noise scores all of them")
        return Journal(journal.heading, None, found).measurements()


def _layer_rows(
    uses: Sequence[CaseUse], settings: BenchSettings, predict: PredictLayer | None = None
) -> Iterator[RowPlan]:
    """The plans of every way to compute the layers."""
    place = Place(torch.device(settings.device), LAYOUTS[settings.layout])
    return layer_rows(uses, settings.arithmetics, settings.dtypes, place, settings.cache, predict)


def validation_of(
    measurements: Measurements,
    plan: Plan,
    patterns: str,
    notes: Sequence[str],
    accept_noise: bool = False,
) -> Validation:
    """The document with timings and predictions. Layers are grouped by the contender that computed them. Rows
    that were timed while the machine was slow are skipped, and the reason says how slow it was.
    `accept_noise` keeps them.
    """
    noisy = [row for row in measurements.rows if is_slow(row)]
    slow = [] if accept_noise else noisy
    of_networks = _usual_factor(replace(plan.target, kernel_mode=KERNEL_MODES[plan.mode]), plan.dtype)
    of_layers = _usual_factor(plan.layer_target)
    rows = [
        _row(plan, row, of_layers if row.case else of_networks)
        for row in measurements.rows
        if accept_noise or not is_slow(row)
    ]
    skipped = [
        *plan.skipped,
        *(SkippedRow(f"{row.path} {row.arithmetic}", row.reason) for row in measurements.failed),
        *(SkippedRow(_label(row), _slowness(row)) for row in slow),
    ]
    left_out = (
        f"{len(slow)} of {len(measurements.rows)} timings are left out of the scores: a fixed reference took "
        f"more than {WITHIN} times as long beside them as on the quiet machine"
    )
    factors = [row.speed_factor for row in measurements.rows if row.speed_factor is not None]
    scored_too = (
        f"{len(noisy)} of {len(measurements.rows)} timings are of moments when a fixed reference took more "
        f"than {WITHIN} times as long as on the quiet machine; they are scored like the others; the "
        f"reference took {statistics.median(factors or [1.0]):.2f} times as long in the median of all timings"
    )
    scaled = (
        "a time is the median of runs at nearly the speed at which the kernels were timed, when the "
        f"reference took {of_networks or 1:.2f} times as long as on the quiet machine (layers: "
        f"{of_layers or 1:.2f}); the mean of runs at other speeds is brought to that one by the time of the "
        "reference beside them"
    )
    kept = ("cpu", "threads", "torch", "clock", "date")
    conditions = {key: value for key, value in measurements.environment.items() if key in kept}
    found = [row for row in rows if row is not None]
    layers = len({row.case for row in measurements.rows if row.case})
    return Validation(
        f"{sum(row.group == NETWORKS for row in found)} networks and {layers} layers",
        plan.target.name,
        {
            "machine": f"{cpu_model()} ({this_processor()})",
            **conditions,
            "networks": patterns,
            "dtype": plan.dtype,
            **({"mode": plan.mode} if plan.mode != EAGER else {}),
            "a network's time": INCLUDES[plan.mode],
        },
        tuple(found),
        skipped=tuple(skipped),
        notes=(
            *measurements.notes,
            *_remark(slow, left_out),
            *_remark(noisy if accept_noise else [], scored_too),
            *_remark(rows if accept_noise and of_networks else [], scaled),
            *notes,
        ),
    )


KERNEL_MODES = {EAGER: kernel_times.EAGER, COMPILED: kernel_times.COMPILED}
"""The modes of files of timed kernels, by the mode of a network."""

_TIMED_FORMATS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", INT8: CODES}
"""The formats of files of timed kernels, by the format of a network."""


def _usual_factor(target: Target, dtype: str = "") -> float | None:
    """The speed at which the kernels of the target were timed, those of the format if one is named."""
    from addercost.cost.calibrated.tables import usual_factor

    return usual_factor(target, _TIMED_FORMATS.get(dtype, ""))


def _remark(rows: Sequence[object], text: str) -> list[str]:
    return [text] if rows else []


def _slowness(row: MeasuredRow) -> str:
    return f"timed while the machine took {row.speed_factor:.2f} times as long as when quiet"


def _label(row: MeasuredRow) -> str:
    if not row.case:
        return row.path
    return f"{row.case} {row.arithmetic} {row.implementation} {row.dtype}"


def _row(plan: Plan, row: MeasuredRow, usual_factor: float | None) -> ValidationRow | None:
    """usual_factor: the machine's factor while the kernels were timed that predict the row."""
    measured_s = row.median_s
    if usual_factor is not None and row.speed_factor is not None:
        measured_s = at_usual_speed(row.samples_s, row.speed_factor, usual_factor)
    if not row.case:
        return replace(plan.rows[row.path], measured_s=measured_s)
    planned = plan.layer_rows[RowPlan.key_of(row)]
    case = read_case(row.case)
    return ValidationRow(
        name=_label(row),
        measured_s=measured_s,
        predicted=tuple(RowPrediction(p.model, p.seconds, p.low_s, p.high_s) for p in planned.predicted),
        group=f"layers, {row.arithmetic} {row.dtype}, {row.implementation}",
        family=layer_family(case),
        kind=layer_kind(case),
        mac_sites=row.sites,
        bytes_moved=row.bytes_moved,
    )
