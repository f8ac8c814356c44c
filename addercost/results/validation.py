"""A validation, which compares predictions with measured times: its rows, and the scores computed from them.

    {"schema": "addercost/validation/1", "source": "timings.csv, column ms", "hardware": "amd-zen4",
     "conditions": {"dtype": "fp32"},
     "rows": [{"name": "resnet50 224", "group": "networks", "family": "resnet", "kind": "convolution",
               "measured_s": 0.011, "mac_sites": 4089184256, "bytes_moved": 423000000,
               "predicted": [{"model": "roofline", "seconds": 0.02}]}],
     "skipped": [{"name": "…", "reason": "…"}], "scores": […], "notes": […]}

`rows` is empty for published timings whose terms forbid copies; only scores are kept then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from addercost.input_files import read_text
from addercost.reading import Count, NotNegative, Positive, Size, Text, json_data, read_as
from addercost.results.document import checked_fields
from addercost.results.plain import to_plain

SCHEMA = "addercost/validation/1"

NETWORKS = "networks"
"""The group of rows that are whole networks. Rows of layers have a group for each number format."""


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """The prediction of one predictor for a row.

    model: a cost model, or a baseline such as `MACs`, whose number has no unit. low_s, high_s: its 90 %
    interval, for models that have one. complete: False where a table lacked figures, which makes the
    prediction a lower bound. parts: for models that can be fitted, the terms in seconds; the prediction is a
    sum of the terms, each multiplied by a fitted number.
    """

    model: Text
    seconds: NotNegative
    low_s: NotNegative | None = None
    high_s: NotNegative | None = None
    complete: bool = True
    parts: tuple[NotNegative, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """A measured network or layer with its predictions.

    family: the name of networks that share a design, such as `resnet`. kind: the kind of layer that has most
    of its sites, one of `analysis.network_kind.KINDS`. bytes_moved: bytes that its operators read and write.
    """

    name: Text
    measured_s: Positive
    predicted: tuple[RowPrediction, ...]
    group: str = NETWORKS
    family: str = ""
    kind: str = ""
    mac_sites: Count = 0
    bytes_moved: Count = 0


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A measured row without a prediction, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class FamilyError:
    """The median error of one family."""

    family: str
    median: NotNegative
    rows: Size


@dataclass(frozen=True, slots=True)
class Score:
    """The errors of one predictor against the measured times of one group of rows.

    An error is |predicted / measured - 1|. scaled_by: how predictions were scaled: "" for not at all, the
    name of a network for the factor that makes it exact, "half" for the median ratio of one half of the
    networks, "fit" where the model's own numbers were fitted to that half. rows: the number of scored rows.
    Rows that set a factor or were fitted are not scored. median_error, p90_error; bias: the median of
    predicted / measured - 1; spread: exp of the standard deviation of log(predicted / measured). within_10,
    within_25: the share of rows whose error is at most 10 and 25 %. These are None for a predictor without a
    unit that nothing scaled. spearman, kendall: rank correlations of predicted with measured times. coverage:
    the share of rows inside their 90 % intervals.
    """

    group: str
    model: Text
    rows: Size
    spearman: float | None
    kendall: float | None
    spread: Positive
    scaled_by: str = ""
    median_error: NotNegative | None = None
    p90_error: NotNegative | None = None
    bias: float | None = None
    within_10: NotNegative | None = None
    within_25: NotNegative | None = None
    coverage: NotNegative | None = None
    lower_bounds: Size = 0
    worst: tuple[FamilyError, ...] = ()


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation. source: the source of the times. hardware: the table that the predictions came from.
    conditions: the conditions of the measurement and the prediction. skipped: measured networks without a
    row.
    """

    source: Text
    hardware: str
    conditions: Mapping[str, str]
    rows: tuple[ValidationRow, ...]
    scores: tuple[Score, ...] = ()
    skipped: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = field(default=())


def read_validation(path: Path) -> Validation:
    """The validation in a file. Raises DataError for a file that is missing, damaged, or another kind of
    document.
    """
    source = str(path)
    fields = checked_fields(json_data(read_text(path), source), SCHEMA, source)
    return read_as(Validation, fields, source)


def validation_to_json(validation: Validation) -> str:
    """The document as text, with one row on each line, so that files can be compared line by line."""
    data = {"schema": SCHEMA, **to_plain(validation)}
    listed = {
        name: ",\n".join(f"  {json.dumps(item, allow_nan=False)}" for item in data.pop(name))
        for name in ("rows", "scores", "skipped")
    }
    parts = ",\n".join(f' "{name}": [\n{text}\n ]' for name, text in listed.items())
    return f"{json.dumps(data, indent=1, allow_nan=False)[:-2]},\n{parts}\n}}\n"
