"""How predictions compare with measured times: the rows, and the scores that follow from them.

    {"schema": "addercost/validation/1", "source": "timings.csv, column ms", "hardware": "amd-zen4",
     "conditions": {"dtype": "fp32"},
     "rows": [{"name": "resnet50 224", "group": "networks", "family": "resnet", "kind": "convolution",
               "measured_s": 0.011, "mac_sites": 4089184256, "bytes_moved": 423000000,
               "predicted": [{"model": "roofline", "seconds": 0.02}]}],
     "skipped": [{"name": "…", "reason": "…"}], "scores": […], "notes": […]}

Timings of others whose terms forbid a copy leave `rows` empty: scores alone are kept.
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
"""The group of rows that are whole networks; rows of layers have one group a number format."""


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """What one predictor says of a row.

    model: a cost model, or a baseline such as `MACs`, whose number has no unit. low_s, high_s: its 90 %
    interval, for models that have one. complete: False where a table lacked figures, so that it is a lower
    bound. parts: seconds whose sum, each times a number of the machine, is the prediction, for models that
    can be fitted.
    """

    model: Text
    seconds: NotNegative
    low_s: NotNegative | None = None
    high_s: NotNegative | None = None
    complete: bool = True
    parts: tuple[NotNegative, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """One measured network or layer, and what was predicted for it.

    family: networks that share a design, such as `resnet`. kind: what its sites are in, one of
    `analysis.network_kind.KINDS`. bytes_moved: what its operators read and write.
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
    """A measured row without a prediction, and why."""

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
    """How far one predictor is from the measured times of one group of rows.

    An error is |predicted / measured - 1|. scaled_by: what set the factor that predictions were multiplied
    by: "" for none, the network that it makes exact, "half" for the median ratio of one half of the networks,
    "fit" where the model's own numbers are those nearest to that half. rows: those that the score is of; rows
    that set a factor or a number are not among them.
    median_error, p90_error; bias: the median of predicted / measured - 1; spread: exp of the standard
    deviation of log(predicted / measured). within_10, within_25: the share of rows whose error is at most 10
    and 25 %. These are None for a predictor without a unit that nothing scaled.
    spearman, kendall: rank correlations of predicted with measured times. coverage: the share of rows inside
    their 90 % intervals.
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
    """source: where the times are from. hardware: the table that predicted. conditions: how it was measured
    and predicted. skipped: what was measured and has no row."""

    source: Text
    hardware: str
    conditions: Mapping[str, str]
    rows: tuple[ValidationRow, ...]
    scores: tuple[Score, ...] = ()
    skipped: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = field(default=())


def read_validation(path: Path) -> Validation:
    """Raises DataError for a file that is missing, damaged, or something else."""
    source = str(path)
    fields = checked_fields(json_data(read_text(path), source), SCHEMA, source)
    return read_as(Validation, fields, source)


def validation_to_json(validation: Validation) -> str:
    """The document, one row a line so that files diff well."""
    data = {"schema": SCHEMA, **to_plain(validation)}
    listed = {
        name: ",\n".join(f"  {json.dumps(item, allow_nan=False)}" for item in data.pop(name))
        for name in ("rows", "scores", "skipped")
    }
    parts = ",\n".join(f' "{name}": [\n{text}\n ]' for name, text in listed.items())
    return f"{json.dumps(data, indent=1, allow_nan=False)[:-2]},\n{parts}\n}}\n"
