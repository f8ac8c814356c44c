"""Runs a whole benchmark by its settings, for `addercost bench`, `verdict` and `addercost.measure_model`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from addercost.arithmetic import Arithmetic
from addercost.cost.matrix_units import matrix_unit_lines
from addercost.cost.models import cost_model_named
from addercost.cost.target_registry import load_target
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.errors import ArgumentError, unknown_name
from addercost.measure.bench import Said, TimeRow, run, timed_row
from addercost.measure.case import CaseUse, LayerCase, cases_of
from addercost.measure.contenders.contender import DTYPES, Place
from addercost.measure.devices.device import TimingDevice, expect_noise
from addercost.measure.devices.exclusive import exclusive
from addercost.measure.environment import environment
from addercost.measure.journal import JournalHeading, open_journal
from addercost.measure.layer_predictions import PredictLayer, layer_predictor, why_no_kernels
from addercost.measure.noise import is_slow, refuse_noise, time_slow_rows_again
from addercost.measure.plan import RowPlan, layer_rows
from addercost.measure.predictions import (
    Predict,
    checked_models,
    default_cpus,
    of_compiled,
    of_eager,
    other_processor,
    predictor,
    refuse_other_processor,
)
from addercost.measure.runner import Effort
from addercost.measure.separate_rows import SeparateRows
from addercost.measure.whole_model import COMPILED, EAGER, TRAINING, model_rows
from addercost.results.measurements import NO_ESTIMATES, Measurements
from addercost.trace.input_shapes import InputShape
from addercost.trace.inputs import ModelInputs, without_data
from addercost.trace.record import Trace

LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """The settings of a benchmark: which rows it has and how they are timed.

    threads, clock: for a CPU; see `CpuDevice`. precision: a row is finished when half the width of its 95 %
    interval is within this share of its figure. cpus: the names of the tables for estimates; None for this
    machine's own, if it was calibrated. Raises ArgumentError for names that do not exist.
    """

    arithmetics: tuple[Arithmetic, ...] = WITH_LAYERS
    dtypes: tuple[str, ...] = ("fp32",)
    device: str = "cpu"
    threads: int = 1
    clock: str | None = None
    cold: bool = False
    batch: int = 1
    layout: str = "channels-last"
    precision: float = 0.01
    time_limit_s: float = 3.0
    end_to_end: bool = False
    training: bool = False
    keep_first_last: bool = False
    cpus: tuple[str, ...] | None = None
    cost_models: tuple[str, ...] = ()
    hardware_path: Path | None = None

    def __post_init__(self) -> None:
        for names, known, kind in (
            (self.dtypes, DTYPES, "number format"),
            ((self.device,), DEVICES, "device"),
            ((self.layout,), LAYOUTS, "layout"),
            (() if self.clock is None else (self.clock,), ("cpu", "wall"), "clock"),
        ):
            for name in names:
                if name not in known:
                    raise unknown_name(kind, name, known)
        checked_models(self.cost_models)
        if self.batch < 1 or self.precision <= 0 or self.time_limit_s <= 0:
            raise ArgumentError("batch, precision and time limit must be positive")

    def lines(self) -> dict[str, str]:
        """The settings as texts by name. They are written to files, and compared to see whether two runs are
        alike.
        """
        return {
            "arithmetics": ",".join(self.arithmetics),
            "dtypes": ",".join(self.dtypes),
            "device": self.device,
            "cache": self.cache,
            "batch": str(self.batch),
            "layout": self.layout,
            "precision": f"{self.precision:g}",
            "time_limit_s": f"{self.time_limit_s:g}",
            "end_to_end": str(self.end_to_end),
            "training": str(self.training),
            "keep_first_last": str(self.keep_first_last),
            "cpus": ",".join(self.estimate_cpus) or "none",
        }

    @property
    def cache(self) -> str:
        return "cold" if self.cold else "warm"

    @property
    def effort(self) -> Effort:
        """The effort for one row."""
        return Effort(self.precision, self.time_limit_s, self.cold)

    @property
    def estimate_cpus(self) -> tuple[str, ...]:
        """The tables for estimates. There are none unless one core of a CPU is timed, since estimates are for
        one core.
        """
        if self.device != "cpu" or self.threads != 1:
            return ()
        return default_cpus(self.hardware_path) if self.cpus is None else self.cpus


def open_device(settings: BenchSettings) -> TimingDevice:
    """The device to time on. Raises ArgumentError where there is none, with the driver's own message."""
    if settings.device == "cpu":
        from addercost.measure.devices.cpu import CpuDevice

        return CpuDevice(settings.threads, settings.clock)
    from addercost.measure.devices.cuda import CudaDevice
    from addercost.measure.devices.cuda_availability import why_no_gpu

    if not torch.cuda.is_available():
        raise ArgumentError(f"no GPU to time on: {why_no_gpu()}", "leave --device out to time on the CPU")
    return CudaDevice()


def model_uses(trace: Trace, settings: BenchSettings) -> tuple[tuple[CaseUse, ...], tuple[str, ...]]:
    """(the shapes of a traced model's layers, a remark for every layer that cannot be timed)."""
    cases = cases_of(trace, settings.batch)
    return cases.uses, tuple(f"not timed: {path or '(model)'}: {why}" for path, why in cases.skipped)


def case_uses(cases: Sequence[LayerCase], batch: int = 1) -> tuple[CaseUse, ...]:
    """Uses of shapes from the command line, each as if it were a layer of a model."""
    return tuple(
        CaseUse(case.with_batch(batch), (case.text,), (i,)) for i, case in enumerate(dict.fromkeys(cases))
    )


def whole_model_rows(
    model: nn.Module | str,
    inputs: ModelInputs | tuple[InputShape, ...] | None,
    settings: BenchSettings,
    trace: Trace,
) -> list[RowPlan]:
    """The rows of the whole model, if the settings ask for any. inputs: the arguments of its forward or their
    shapes; None for those of the SPEC.

    Raises ArgumentError for a saved trace, which has no model in it, and for operators that cannot be timed.
    """
    from addercost.sources.torchvision_operators import why_not_timed

    modes = (*((EAGER, COMPILED) if settings.end_to_end else ()), *((TRAINING,) if settings.training else ()))
    if not modes:
        return []
    if why := why_not_timed(call.op for call in trace.calls):
        raise ArgumentError(
            f"{trace.model} cannot be timed: {why}", "install a torchvision that is built for this torch"
        )
    rebuild, given = _rebuilding(model, inputs)
    if given is None or given.kwargs or not all(isinstance(x, Tensor) for x in given.args):
        raise ArgumentError(
            "whole models are timed on tensors given in order", "name each with --input, without a name"
        )
    batched = [_batched(x, settings.batch) for x in given.args]
    return list(
        model_rows(
            rebuild,
            batched,
            settings.arithmetics,
            settings.dtypes,
            modes,
            torch.device(settings.device),
            settings.cache,
            settings.keep_first_last,
            predict_for(settings) if settings.batch == 1 else {},
            trace,
        )
    )


def _batched(x: Tensor, batch: int) -> Tensor:
    return x.repeat(batch, *(1,) * (x.dim() - 1)) if x.dim() else x


def _rebuilding(
    model: nn.Module | str, inputs: ModelInputs | tuple[InputShape, ...] | None
) -> tuple[Callable[[], nn.Module], ModelInputs | None]:
    """(a function that makes the model with its weights, the inputs of its forward)."""
    if isinstance(inputs, tuple):
        inputs = without_data(inputs)
    if isinstance(model, nn.Module):
        return partial(copy.deepcopy, model), inputs
    from addercost.sources.loading import load_model
    from addercost.sources.registry import kind_of

    if kind_of(model).load_model is None:
        raise ArgumentError(f"{model} is a trace: there is no model in it to run", "name the model")

    loaded = load_model(model)
    return loaded.rebuild or partial(copy.deepcopy, loaded.model), inputs or loaded.inputs


def measure(
    model: str,
    uses: Sequence[CaseUse],
    settings: BenchSettings,
    device: TimingDevice,
    output: Path | None = None,
    extra: Sequence[RowPlan] = (),
    notes: Sequence[str] = (),
    said: Said = lambda number, plan, entry: None,
    planned: list[RowPlan] | None = None,
    accept_noise: bool = False,
) -> Measurements:
    """Times every way to compute the `uses`, and the `extra` rows. On one core of a CPU, each of the `extra`
    rows has a process of its own. Each row is written at once to a journal beside `output`. Rows of a killed
    run with the same settings are not timed again, except that rows which were timed while the machine was
    slow are timed once more.

    planned: a list to which the plans of all rows are added before the first row is timed. accept_noise:
    moments count as quiet that are nearly as fast as this machine often is, and rows of slow moments are
    kept. Raises DataError where the journal beside `output` belongs to another run, and CheckFailedError
    where more than half of the rows were timed while the machine was slow.
    """
    place = Place(torch.device(settings.device), LAYOUTS[settings.layout])
    predict = layer_predict_for(settings)
    plans = [
        *layer_rows(uses, settings.arithmetics, settings.dtypes, place, settings.cache, predict),
        *extra,
    ]
    if planned is not None:
        planned += plans
    bandwidth = device.limit("memory")
    heading = JournalHeading(
        model,
        {**settings.lines(), "rows": str(len(plans))},
        environment(device.facts),
        {} if bandwidth is None else {"memory": bandwidth},
        (*notes, *_estimate_notes(settings)),
    )
    journal = open_journal(heading, output)
    expect_noise(device, accept_noise)
    with ExitStack() as stack:
        time_row: TimeRow = partial(timed_row, device=device, effort=settings.effort)
        if settings.device == "cpu" and settings.threads == 1 and extra:
            time_row = _separately(stack, device, settings, accept_noise, extra, time_row)
        stack.enter_context(exclusive(settings.device))
        slow = {plan.key: plan for plan in plans if is_slow(journal.entries.get(plan.key))}
        run(plans, time_row, journal, said)
        time_slow_rows_again(slow, device, journal, time_row)
    if not accept_noise:
        how = "; --accept-noise shows them as they are"
        refuse_noise(journal.entries.values(), journal.path, "-o FILE.json", how)
    return journal.measurements()


def _separately(
    stack: ExitStack,
    device: TimingDevice,
    settings: BenchSettings,
    accept_noise: bool,
    plans: Sequence[RowPlan],
    time_others: TimeRow,
) -> TimeRow:
    """A function that times each of some rows in a process of its own, and all others in this one. This is
    for one thread: this process may have computed with several.
    """
    alone = {plan.key: plan for plan in plans}
    rows = SeparateRows(
        device, settings.threads, settings.effort, accept_noise, lambda row: alone[RowPlan.key_of(row)]
    )
    stack.callback(rows.close)
    return lambda plan: (rows.time if plan.key in alone else time_others)(plan)


def layer_predict_for(settings: BenchSettings) -> PredictLayer | None:
    cpus = settings.estimate_cpus
    refuse_other_processor(cpus, settings.hardware_path)
    return layer_predictor(*_estimated_by(settings)) if cpus else None


def _estimated_by(
    settings: BenchSettings,
) -> tuple[tuple[str, ...], tuple[str, ...], Path | None, str, str]:
    """The arguments of `layer_predictor`."""
    models = checked_models(settings.cost_models)
    return settings.estimate_cpus, models, settings.hardware_path, settings.layout, settings.cache


def predict_for(settings: BenchSettings) -> Mapping[str, Predict]:
    """The estimates of whole models by the modes in which they run."""
    cpus, named = settings.estimate_cpus, settings.cost_models
    refuse_other_processor(cpus, settings.hardware_path)
    if not cpus:
        return {}
    of_modes = {EAGER: of_eager(checked_models(named)), COMPILED: of_compiled(named)}
    return {mode: predictor(cpus, models, settings.hardware_path) for mode, models in of_modes.items()}


def _estimate_notes(settings: BenchSettings) -> tuple[str, ...]:
    return (*_notes_on_layers(settings), *_notes_on_modes(settings))


def _notes_on_modes(settings: BenchSettings) -> Iterator[str]:
    """Notes that name the modes of whole models that no cost model estimates."""
    if settings.estimate_cpus and settings.end_to_end:
        targets = [load_target(name, settings.hardware_path) for name in settings.estimate_cpus]
        for target in targets:
            for name in of_compiled(settings.cost_models):
                if why := cost_model_named(name).unusable(target):
                    yield f"no estimates of torch.compile by {name}: {why}"
    if settings.estimate_cpus and settings.training:
        yield "training steps have no estimates: the cost models estimate a forward"


def _notes_on_layers(settings: BenchSettings) -> tuple[str, ...]:
    if settings.device == "cpu" and settings.threads > 1:
        return (f"{NO_ESTIMATES}: they are of one core",)
    if settings.device == "cpu" and not settings.estimate_cpus and settings.cpus is None:
        try:
            why = other_processor(settings.hardware_path)
        except ArgumentError:
            why = ""
        how = "run `addercost calibrate` first, or name a --cpu; `bench show` adds them, too"
        return (f"{NO_ESTIMATES}: {f'{why}; ' * bool(why)}{how}",)
    targets = [load_target(name, settings.hardware_path) for name in settings.estimate_cpus]
    units = matrix_unit_lines(targets, settings.dtypes) if Arithmetic.ADDER in settings.arithmetics else ()
    return (*why_no_kernels(*_estimated_by(settings)), *units)
