"""Accuracies of trained networks over seeds, and paired differences between them.

The results document, made by `tools/train_digits.py` and kept beside this file:

    {"schema": "addercost/accuracies/1", "dataset": "digits", "labels": "0123…", "environment": {…},
     "runs": [{"method": "adder", "seed": 0, "model": "zoo:lenet5-bn:adder", "predicted": "0123…"}, …],
     "tuning": [{"method": "full-ilr", "increase": 3.0, "accuracy_percent": 80.2}, …], "settings": {…}}

labels, predicted: the class of each test image, one digit each.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from addercost.errors import DataError
from addercost.reading import json_data, read_as
from addercost.results.document import checked_fields

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
"""The methods by their short names, in the order of the paper's claims."""


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
    """The result of a tried setting, on training images that were set aside for tuning."""

    method: str
    increase: float
    accuracy_percent: float


@dataclass(frozen=True, slots=True)
class Accuracies:
    """All runs on one data set. settings: the settings that all runs share."""

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
        """The runs of a method; None where there are none."""
        runs = sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)
        return MethodResult(method, self.labels, tuple(runs)) if runs else None


@dataclass(frozen=True, slots=True)
class MethodResult:
    """The runs of one method in the order of their seeds."""

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
        """The standard deviation over seeds; 0 for a single one."""
        return statistics.stdev(self.by_seed) if len(self.runs) > 1 else 0.0

    @property
    def by_image(self) -> tuple[float, ...]:
        """For each test image, the percentage of seeds whose network classifies it correctly."""
        hits = [_hits(run.predicted, self.labels) for run in self.runs]
        return tuple(100 * statistics.fmean(column) for column in zip(*hits, strict=True))

    @property
    def standard_error(self) -> float:
        """The standard error of the mean accuracy for other test images, computed from the spread over these
        images.
        """
        return standard_error(self.by_image)


@dataclass(frozen=True, slots=True)
class Difference:
    """first - second, in points of accuracy, on the same test images.

    image_error: the standard error of the difference for other test images, with images paired. seed_p: the
    p-value of an exact permutation test over seeds: the probability of means at least so far apart if runs
    were assigned to the two methods at random.
    """

    first: str
    second: str
    points: float
    image_error: float
    seed_p: float

    @property
    def verdict(self) -> str:
        """ "above" or "below" if neither the choice of test images nor that of seeds explains the
        difference.
        """
        if abs(self.points) <= 2 * self.image_error or self.seed_p > SIGNIFICANT:
            return "cannot tell"
        return "above" if self.points > 0 else "below"


SIGNIFICANT = 0.05


def paired(first: MethodResult, second: MethodResult) -> Difference:
    """The difference of two methods, paired image by image, and tested over their seeds."""
    images = [a - b for a, b in zip(first.by_image, second.by_image, strict=True)]
    return Difference(
        first.method,
        second.method,
        statistics.fmean(images),
        standard_error(images),
        permutation_p(first.by_seed, second.by_seed),
    )


def permutation_p(first: Sequence[float], second: Sequence[float]) -> float:
    """The p-value: among all ways to divide the values into groups of these sizes, the share with means at
    least so far apart.

    The test is exact and assumes no distribution: accuracies over seeds are not Gaussian, since some runs
    fail.
    """
    values = [*first, *second]
    total, found = math.fsum(values), abs(statistics.fmean(first) - statistics.fmean(second))
    n, m = len(first), len(second)
    as_far = dealt = 0
    for chosen in itertools.combinations(values, n):
        part = math.fsum(chosen)
        dealt += 1
        as_far += abs(part / n - (total - part) / m) >= found - 1e-9
    return as_far / dealt


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean of independent values; 0 for a single one."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def accuracies_from_data(data: Any, source: str) -> Accuracies:
    """Reads the document above from plain data. Raises DataError."""
    return read_as(Accuracies, checked_fields(data, SCHEMA, source), source)


@cache
def digits_accuracies() -> Accuracies:
    """The accuracies on scikit-learn's digits that `make training-report` measured."""
    return accuracies_from_data(json_data(RESULTS.read_text(encoding="utf-8"), RESULTS.name), RESULTS.name)


def _hits(predicted: str, labels: str) -> list[int]:
    return [int(a == b) for a, b in zip(predicted, labels, strict=True)]
