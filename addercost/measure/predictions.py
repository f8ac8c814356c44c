"""The estimates of the cost models for a shape, which are shown beside its timing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.models import COST_MODELS, ONE_CORE_MODELS, cost_model_named
from addercost.cost.target_registry import load_target
from addercost.counts.model import count
from addercost.errors import ArgumentError
from addercost.hardware import load_cpu
from addercost.hardware.loader import HOST
from addercost.hardware.this_machine import processor_id
from addercost.results.measurements import PredictedTime
from addercost.trace.record import Trace


def default_cpus(hardware_path: Path | None = None) -> tuple[str, ...]:
    """The name of this machine's own table if it was calibrated, else none."""
    try:
        load_target(HOST, hardware_path)
    except ArgumentError:
        return ()
    return () if other_processor(hardware_path) else (HOST,)


def other_processor(hardware_path: Path | None = None) -> str:
    """A clause that names the processor of the table `host` if that is not this machine's processor; "" if it
    is.

    They may differ because machines that share the user's folder share the table. Raises ArgumentError where
    there is no such table.
    """
    part = load_cpu(HOST, hardware_path).part
    if part is None or part.name == processor_id():
        return ""
    return f"the table {HOST} was measured on {part.name}, and this is {processor_id()}"


def refuse_other_processor(cpus: Sequence[str], hardware_path: Path | None) -> None:
    """Raises ArgumentError if the table `host` is of another processor, since timings of this machine do not
    belong beside its estimates. A table that is named by its path may be of any processor.
    """
    if HOST in cpus and (other := other_processor(hardware_path)):
        raise ArgumentError(
            other, "run `addercost calibrate` here, or name the table's file with --cpu to borrow it"
        )


def checked_models(names: Sequence[str]) -> tuple[str, ...]:
    """The names of cost models; all models of one core where `models` is empty. Raises ArgumentError for an
    unknown name.
    """
    for name in names:
        cost_model_named(name)
    return tuple(dict.fromkeys(names or ONE_CORE_MODELS))


Predict = Callable[[Trace, Arithmetic], tuple[PredictedTime, ...]]


def of_compiled(models: Sequence[str]) -> tuple[str, ...]:
    """Those of the cost models that predict compiled networks; all such models where `models` is empty."""
    return tuple(name for name in models or COST_MODELS if cost_model_named(name).compiled)


def of_eager(models: Sequence[str]) -> tuple[str, ...]:
    """Those of the cost models that predict what eager torch runs."""
    return tuple(name for name in models if not cost_model_named(name).compiled)


def predictor(cpus: Sequence[str], models: Sequence[str], hardware_path: Path | None) -> Predict:
    """A function of a trace and an arithmetic that returns the estimated seconds for each processor and cost
    model. Pairs that lack a figure are left out. Raises ArgumentError for an unknown processor.
    """
    targets = [load_target(name, hardware_path) for name in cpus]

    def predicted(trace: Trace, arithmetic: Arithmetic) -> tuple[PredictedTime, ...]:
        counts = count(trace, arithmetic=None if arithmetic is Arithmetic.MAC else arithmetic)
        costs = (estimate(counts, target, model) for target in targets for model in models)
        return tuple(
            PredictedTime(cost.hardware, cost.model, cost.seconds, *(cost.interval_s or (None, None)))
            for cost in costs
            if cost.complete and cost.seconds
        )

    return predicted
