"""The estimates for a layer as a contender computes it, which are shown beside its timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from addercost.arithmetic import Arithmetic
from addercost.cost.models import cost_model_named
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.measure.case import LayerCase
from addercost.measure.contenders.contender import Contender
from addercost.measure.kernel_times.contender_kernels import kernel_of
from addercost.measure.predictions import of_eager, predictor
from addercost.results.measurements import PredictedTime

PredictLayer = Callable[[LayerCase, Contender], tuple[PredictedTime, ...]]


def layer_predictor(
    cpus: Sequence[str], models: Sequence[str], hardware_path: Path | None, layout: str, caches: str
) -> PredictLayer:
    """A function that returns the estimates of a layer in seconds, for each processor and cost model. Pairs
    that lack a figure are left out.

    A cost model that predicts kernels estimates only contenders whose kernels `calibrate --kernels` times.
    A model of compiled networks estimates none. layout: the memory layout of images. caches: `warm` or
    `cold`. Raises ArgumentError for an unknown processor.
    """
    models = of_eager(models)
    by_work = predictor(cpus, [name for name in models if not predicts_kernels(name)], hardware_path)
    by_kernels = [
        (target, name)
        for target in kernel_targets(cpus, hardware_path, layout, caches)
        for name in models
        if predicts_kernels(name) and not cost_model_named(name).unusable(target)
    ]

    @cache
    def of_work(case: LayerCase, number_format: str, arithmetic: Arithmetic) -> tuple[PredictedTime, ...]:
        return by_work(case.trace(number_format), arithmetic)

    def predicted(case: LayerCase, contender: Contender) -> tuple[PredictedTime, ...]:
        found = of_work(case, contender.dtype, contender.arithmetic) if contender.estimated else ()
        return (*found, *(time for how in by_kernels for time in _by_kernel(case, contender, *how)))

    return predicted


def predicts_kernels(model: str) -> bool:
    return cost_model_named(model).predict is not None


def kernel_targets(cpus: Sequence[str], hardware_path: Path | None, layout: str, caches: str) -> list[Target]:
    """The targets of these processors, set to this layout of images and this state of the caches."""
    return [
        replace(load_target(name, hardware_path), kernel_layout=layout, kernel_caches=caches) for name in cpus
    ]


def why_no_kernels(
    cpus: Sequence[str], models: Sequence[str], hardware_path: Path | None, layout: str, caches: str
) -> Iterator[str]:
    """A line for each processor whose files of timed kernels cannot be used here, with the reason."""
    for target in kernel_targets(cpus, hardware_path, layout, caches):
        for name in of_eager(models):
            why = cost_model_named(name).unusable(target) if predicts_kernels(name) else ""
            if target.kernel_files and why:
                yield f"no estimates by {name}: {why}"


def _by_kernel(case: LayerCase, contender: Contender, target: Target, name: str) -> Iterator[PredictedTime]:
    kernel, predict = kernel_of(contender, case), cost_model_named(name).predict
    if kernel is None or predict is None:
        return
    found = predict(target, [(kernel,)])
    if not found.missing[0]:
        value, low, high = found.layers[0]
        yield PredictedTime(target.name, name, value, low, high)
