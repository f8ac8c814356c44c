"""Training records as plain data, for the `curves`, `gradients`, `filters`, `histogram`, `features` and
`pareto` plots. `addercost train` writes one into the folder of its run.

The document; every field but the first four may be left out:

    {"schema": "addercost/training/1", "name": "adder, seed 0", "model": "zoo:lenet5-bn:adder",
     "dataset": "MNIST", "accuracy_percent": 99.4, "curves": {"test accuracy (%)": [97.1, …]},
     "filters": {"conv1": [[[…], …], …]}, "weights": {"conv1": [0.1, …]},
     "gradient_norms": {"conv1": [0.2, …]}, "features": {"x": […], "y": […], "label": […]}}

curves: one value for each epoch; a curve's name includes the unit. gradient_norms: for each layer, one norm
of its weights' gradient for each epoch. filters: [K][R][S] of one input channel. features: for each sample,
the two activations before the classifier, and its class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from addercost.errors import DataError
from addercost.reading import AnyNumber, read_as
from addercost.results.document import Document, checked_fields
from addercost.results.plain import to_plain

SCHEMA = "addercost/training/1"
RECORD = "training.json"
"""The record's name in the folder of a run."""


@dataclass(frozen=True, slots=True)
class Features:
    """The two activations and the class of each sample, as three lists of equal length."""

    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    label: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A trained network. NaN in a curve is a gap; in other fields it is refused."""

    name: str
    model: str
    dataset: str
    accuracy_percent: float | None = None
    curves: Mapping[str, tuple[AnyNumber, ...]] = field(default_factory=dict)
    gradient_norms: Mapping[str, tuple[AnyNumber, ...]] = field(default_factory=dict)
    filters: Mapping[str, tuple[tuple[tuple[float, ...], ...], ...]] = field(default_factory=dict)
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    features: Features = Features()

    def __post_init__(self) -> None:
        points = {len(self.features.x), len(self.features.y), len(self.features.label)}
        if len(points) > 1:
            raise DataError(f"{self.name}: features have {sorted(points)} values in x, y and label")
        if self.accuracy_percent is not None and not 0 <= self.accuracy_percent <= 100:
            raise DataError(f"{self.name}: {self.accuracy_percent} is no accuracy in percent")
        for layer, kernels in self.filters.items():
            if len({(len(kernel), len(row)) for kernel in kernels for row in kernel}) > 1:
                raise DataError(f"{self.name}: the filters of {layer} differ in size")

    def finite_curve(self, name: str) -> list[tuple[int, float]]:
        """(epoch from 1, value) of each point that is a number."""
        return [(i, v) for i, v in enumerate(self.curves[name], 1) if math.isfinite(v)]


def with_distinct_names(runs: Sequence[TrainingRun]) -> list[TrainingRun]:
    """The runs with distinct names for figures: runs with equal names are numbered."""
    seen: dict[str, int] = {}
    made = []
    for run in runs:
        seen[run.name] = seen.get(run.name, 0) + 1
        made.append(run if seen[run.name] == 1 else replace(run, name=f"{run.name} ({seen[run.name]})"))
    return made


def training_from_data(data: Any, source: str = "training record") -> TrainingRun:
    """Reads the document above. Raises DataError naming `source` and the field."""
    return read_as(TrainingRun, checked_fields(data, SCHEMA, source), source)


def training_to_json(run: TrainingRun) -> str:
    """The document above on one line. A gap in a curve is written as NaN, which Python's JSON reader
    accepts.
    """
    return json.dumps({"schema": SCHEMA, **to_plain(run)}, separators=(",", ":")) + "\n"


DOCUMENT = Document(SCHEMA, "a training record", TrainingRun, training_from_data)
