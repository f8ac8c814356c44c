"""The cost of a counted network on a target by a named cost model. All cycles are predicted, none measured.

A network's total is the sum over its layers. By `latency-sum` every instruction waits for the one before, and
by `throughput` nothing waits. The arithmetic of a real kernel takes between these two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from addercost.cost.bounds import binding
from addercost.cost.cost_model import CostModel, Seconds
from addercost.cost.engine import Costed, Engine
from addercost.cost.layers import (
    CountedLayer,
    CountedModel,
    LayerKind,
    Parts,
    kernels_of,
    kind_of,
    layers_of,
    moved_by,
)
from addercost.cost.lowering import Lowering, operations_of
from addercost.cost.models import cost_model_named, default_model
from addercost.cost.shared_layers import TOO_SMALL
from addercost.cost.target import Target, target_of
from addercost.errors import CheckFailedError, unknown_name
from addercost.hardware.schema.cpu import Cpu
from addercost.hardware.vocabulary import Form
from addercost.units import si


@dataclass(frozen=True, slots=True)
class MissingFigure:
    """A figure that the hardware's table lacks. `count` operations are left out of the cycles for it, which
    makes the cycles a lower bound.
    """

    figure: str
    hardware: str
    count: int

    def __str__(self) -> str:
        return f"{self.hardware} has no figure for {self.figure}: {self.count:,} not charged"


@dataclass(frozen=True, slots=True)
class LayerEstimate:
    """Cycles of one layer, the name of the largest bound, and whether every operation was charged.
    interval_s: the seconds between which the cost model expects nine of ten such layers; None where it gives
    no interval.
    """

    path: str
    cycles: float
    bound: str
    complete: bool = True
    interval_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ModelCost:
    """An estimate. `cycles` is the sum over `layers`. It is a lower bound where `complete` is False.

    `seconds` is None where no clock is known. `assumptions` says what stood in for figures that the table
    lacks. interval_s: the seconds between which the cost model expects nine of ten such networks; None where
    it gives no interval.
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
    interval_s: tuple[float, float] | None = None

    @property
    def seconds_per_cycle(self) -> float | None:
        """Seconds of a cycle, to convert a layer's cycles; None where no clock is known or the network takes
        no time.
        """
        return self.seconds / self.cycles if self.seconds and self.cycles else None


def estimate(
    model_counts: CountedModel | Iterable[CountedLayer],
    target: Target | Cpu,
    model: str | None = None,
    lowering: str | None = None,
    strict: bool = False,
) -> ModelCost:
    """The cost of counted layers on `target`: on one core, or on as many as the target's settings and the
    cost model say.

    model: a name among `addercost.cost.models.COST_MODELS`; by default the best that the target has figures
    for, without `calibrated`. lowering: `paper`, `scalar`, `simd` or `kernels`; the model's own when None.
    Raises ArgumentError for an unknown name, and CheckFailedError for a missing figure when `strict`.
    """
    target = target_of(target)
    cost_model = cost_model_named(model or default_model(target))
    if lowering is not None and lowering not in list(Lowering):
        raise unknown_name("lowering", lowering, list(Lowering))
    how = cost_model.lowering if lowering is None else Lowering(lowering)
    if cost_model.predict is not None and not cost_model.unusable(target):
        return _predicted(cost_model, layers_of(model_counts), target, how, strict)
    engine = Engine(target, cost_model, how)
    parts = Parts(products=target.multiprocessors is not None)
    known: dict[LayerKind, tuple[Costed, str]] = {}
    estimates = []
    missing: dict[str, float] = {}
    assumptions: dict[str, None] = {}
    for layer in layers_of(model_counts):
        kind = kind_of(layer, parts)
        if kind not in known:
            moved = moved_by(kind, target.multiprocessors)
            costed = engine.cost(engine.lower(operations_of(kind)), moved)
            known[kind] = costed, binding(costed.bounds).name
            assumptions |= costed.assumptions
        costed, bound = known[kind]
        for figure, n in costed.missing.items():
            missing[figure] = missing.get(figure, 0) + n
        estimates.append(LayerEstimate(layer.path, whole(costed.cycles), bound, not costed.missing))
    figures = missing_figures(missing, target.name, strict)
    alone = sum(estimated.bound == TOO_SMALL for estimated in estimates)
    if alone:
        verb, them = ("is", "it") if alone == 1 else ("are", "them")
        assumptions[
            f"{alone} of {len(estimates)} layers {verb} too small to share: one core computes {them}"
        ] = None
    cycles = whole(sum(e.cycles for e in estimates))
    clock = target.clock_hz
    return ModelCost(
        hardware=target.name,
        model=cost_model.name,
        lowering=how.value,
        cycles=cycles,
        seconds=None if clock is None else cycles / clock,
        complete=not figures,
        missing=figures,
        assumptions=(*assumptions, *_assumptions(target, cost_model, how)),
        layers=tuple(estimates),
    )


def _predicted(
    model: CostModel, layers: list[CountedLayer], target: Target, lowering: Lowering, strict: bool
) -> ModelCost:
    """The estimate by a model that predicts the network as a whole."""
    assert model.predict is not None and target.clock_hz is not None
    clock = target.clock_hz
    found = model.predict(target, [kernels_of(layer) for layer in layers])
    missing: dict[str, float] = {}
    for of_layer in found.missing:
        for figure, n in of_layer.items():
            missing[figure] = missing.get(figure, 0) + n
    figures = missing_figures(missing, target.name, strict)
    rows = zip(layers, found.layers, found.main_kinds, found.missing, strict=True)
    return ModelCost(
        hardware=target.name,
        model=model.name,
        lowering=lowering.value,
        cycles=round(found.total.value * clock),
        seconds=found.total.value,
        complete=not figures,
        missing=figures,
        assumptions=(*found.notes, *_assumptions(target, model, lowering)),
        layers=tuple(
            LayerEstimate(layer.path, round(s.value * clock), kind, not lacking, _ends(s))
            for layer, s, kind, lacking in rows
        ),
        interval_s=_ends(found.total),
    )


def _ends(seconds: Seconds) -> tuple[float, float]:
    return seconds.low, seconds.high


def missing_figures(missing: dict[str, float], hardware: str, strict: bool) -> tuple[MissingFigure, ...]:
    """The figures that are missing, as records. Raises CheckFailedError where there are any and `strict` is
    true.
    """
    figures = tuple(MissingFigure(figure, hardware, math.ceil(n)) for figure, n in missing.items())
    if strict and figures:
        raise CheckFailedError(
            "; ".join(map(str, figures)), "leave --strict out to take the rest as a lower bound"
        )
    return figures


def whole(value: float) -> float:
    """The value as an int where it is a whole number, so that exact sums are printed and compared exactly."""
    return int(value) if float(value).is_integer() else value


def _assumptions(target: Target, model: CostModel, lowering: Lowering) -> Iterator[str]:
    if target.clock_hz is not None:
        yield f"clock: {si(target.clock_hz, 'Hz')}, {target.clock}"
    if lowering is Lowering.PAPER and target.preferred_float_form is not Form.SCALAR:
        yield f"floating point in the {target.preferred_float_form} form, which the table prefers"
    yield from target.made_of
    yield from model.assumes(target)
