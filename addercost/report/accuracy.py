"""Accuracies of trained networks over seeds, and paired differences between them.

The results document, made by `tools/train_digits.py` and kept beside this file:

    {"schema": "addercost/accuracies/1", "dataset": "digits", "labels": "0123…", "environment": {…},
     "runs": [{"method": "adder", "seed": 0, "model": "zoo:lenet5-bn:adder", "predicted": "0123…"}, …],
     "tuning": [{"method": "full-ilr", "increase": 3.0, "accuracy_percent": 80.2}, …], "settings": {…}}

labels, predicted: the class of each test image, one digit each.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from addercost.errors import DataError
from addercost.report.plain import from_plain
from addercost.trace.serialize import check_schema

SCHEMA = "addercost/accuracies/1"
RESULTS = Path(__file__).with_name("digits_accuracies.json")

METHODS = {
    "cnn": "CNN",
    "cnn-norms": "CNN, norms",
    "full-alr": "adder, full, ALR",
    "full-ilr": "adder, full, ILR",
    "sign-alr": "adder, sign, ALR",
    "sign-ilr": "adder, sign, ILR",
    "bnn": "BNN",
}
"""What is trained, in the order of the paper's claims."""


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One training run. predicted: the class of each test image, one digit each."""

    method: str
    seed: int
    model: str
    predicted: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """A setting that was tried, on a part of the training images held out for it."""

    method: str
    increase: float
    accuracy_percent: float


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Everything trained on one data set. settings: what all runs share."""

    dataset: str
    labels: str
    runs: tuple[SeedRun, ...]
    tuning: tuple[Tuned, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for run in self.runs:
            if len(run.predicted) != len(self.labels) or not self.labels:
                raise DataError(f"{run.method}, seed {run.seed}: {len(run.predicted)} predictions")
            if run.method not in METHODS:
                raise DataError(f"unknown method {run.method!r}")

    def of(self, method: str) -> MethodResult | None:
        """What the seeds of a method gave; None where it has none."""
        runs = sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)
        return MethodResult(method, self.labels, tuple(runs)) if runs else None


@dataclass(frozen=True, slots=True)
class MethodResult:
    """The runs of one method, by seed."""

    method: str
    labels: str
    runs: tuple[SeedRun, ...]

    @property
    def by_seed(self) -> tuple[float, ...]:
        """Accuracy of each seed, in percent."""
        return tuple(100 * statistics.fmean(_hits(run.predicted, self.labels)) for run in self.runs)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.by_seed)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 of a single one."""
        return statistics.stdev(self.by_seed) if len(self.runs) > 1 else 0.0

    @property
    def by_image(self) -> tuple[float, ...]:
        """The share of seeds that have each test image right, in percent."""
        hits = [_hits(run.predicted, self.labels) for run in self.runs]
        return tuple(100 * statistics.fmean(column) for column in zip(*hits, strict=True))

    @property
    def standard_error(self) -> float:
        """Of the mean, for other test images: from their spread."""
        return standard_error(self.by_image)


@dataclass(frozen=True, slots=True)
class Difference:
    """first - second, in points of accuracy, on the same seeds and the same test images.

    image_error, seed_error: standard errors of the difference from other test images and from other seeds.
    """

    first: str
    second: str
    points: float
    image_error: float
    seed_error: float

    @property
    def error(self) -> float:
        return math.hypot(self.image_error, self.seed_error)

    @property
    def verdict(self) -> str:
        """above or below where the difference is more than two standard errors, else cannot tell."""
        if abs(self.points) <= 2 * self.error:
            return "cannot tell"
        return "above" if self.points > 0 else "below"


def paired(first: MethodResult, second: MethodResult) -> Difference:
    """Image by image and seed by seed. Raises DataError where their seeds differ."""
    if [run.seed for run in first.runs] != [run.seed for run in second.runs]:
        raise DataError(f"{first.method} and {second.method} were trained with different seeds")
    images = [a - b for a, b in zip(first.by_image, second.by_image, strict=True)]
    seeds = [a - b for a, b in zip(first.by_seed, second.by_seed, strict=True)]
    return Difference(
        first.method, second.method, statistics.fmean(images), standard_error(images), standard_error(seeds)
    )


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of independent values; 0 of a single one."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def accuracies_from_data(data: Any, source: str) -> Accuracies:
    """Reads the document above. Raises DataError."""
    check_schema(data, SCHEMA, source)
    return from_plain(Accuracies, data, source)


@cache
def digits_accuracies() -> Accuracies:
    """Ours on scikit-learn's digits, as `make training-report` measured them."""
    return accuracies_from_data(json.loads(RESULTS.read_text(encoding="utf-8")), RESULTS.name)


def _hits(predicted: str, labels: str) -> list[int]:
    return [int(a == b) for a, b in zip(predicted, labels, strict=True)]
