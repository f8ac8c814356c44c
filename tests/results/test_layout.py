"""Documents are strict JSON, and two versions of one differ in the lines of what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import made_models
import pytest
import sample_data

from addercost.results.language_model import LanguageModelReport, TokenTime
from addercost.results.measurements import measurements_from_data, measurements_to_json
from addercost.results.report import Report
from addercost.results.trace import trace_to_json
from addercost.results.validation import RowPrediction, Validation, ValidationRow, validation_to_json
from tests.results.test_damaged_files import small_trace

ROWS = tuple(ValidationRow(f"net{i}", 1.0, (RowPrediction("roofline", 2.0),)) for i in range(3))
MEASURED = measurements_from_data(sample_data.measurements(rows=3, samples=6), "made-up")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda: made_models.profile(["a", "b"]).to_json(), id="profile"),
        pytest.param(lambda: made_models.report(["a"]).to_json(), id="report"),
        pytest.param(lambda: LanguageModelReport("m", 1, 4, 1, 1, 1, ()).to_json(), id="language model"),
    ],
)
def test_each_value_has_a_line_and_each_level_one_blank(text: Callable[[], str]) -> None:
    written = text()
    assert written == json.dumps(json.loads(written), indent=1) + "\n"


@pytest.mark.parametrize(
    ("text", "name", "rows"),
    [
        pytest.param(lambda: measurements_to_json(MEASURED), "rows", 6, id="measurements"),
        pytest.param(
            lambda: validation_to_json(Validation("made", "none", {}, ROWS)), "rows", 3, id="validation"
        ),
        pytest.param(lambda: trace_to_json(small_trace()), "calls", 2, id="trace"),
    ],
)
def test_each_row_has_a_line(text: Callable[[], str], name: str, rows: int) -> None:
    """The other values have one each, after one blank."""
    written = text()
    assert written.endswith("\n}\n")
    lines = written.splitlines()
    assert lines[1].startswith(' "schema": ')
    first = lines.index(f' "{name}": [') + 1
    assert [json.loads(line.rstrip(",")) for line in lines[first : first + rows]] == json.loads(written)[name]
    assert all(line.startswith("  {") for line in lines[first : first + rows])
    assert lines[first + rows].startswith(" ]")


NAN = float("nan")
SUBJECT = made_models.subject(["a"])
COST = replace(SUBJECT.profiles[0].costs[0], cycles=NAN)
PROFILE = replace(SUBJECT.profiles[0], costs=(COST,))
LANGUAGE_MODEL = LanguageModelReport(
    "m", 1, 4, 1, 1, 1, (), token_times=(TokenTime(1, 1, "cpu", "roofline", NAN),)
)
UNKNOWN = ValidationRow("net", 1.0, (RowPrediction("roofline", NAN),))


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda: PROFILE.to_json(), id="profile"),
        pytest.param(
            lambda: Report("made-up", (replace(SUBJECT, profiles=(PROFILE,)),)).to_json(), id="report"
        ),
        pytest.param(lambda: LANGUAGE_MODEL.to_json(), id="language model"),
        pytest.param(
            lambda: measurements_to_json(
                replace(MEASURED, rows=(replace(MEASURED.rows[0], samples_s=(NAN,)),))
            ),
            id="samples",
        ),
        pytest.param(lambda: measurements_to_json(replace(MEASURED, limits={"memory": NAN})), id="limits"),
        pytest.param(lambda: validation_to_json(Validation("made", "none", {}, (UNKNOWN,))), id="validation"),
    ],
)
def test_what_is_no_number_is_not_written(write: Callable[[], str]) -> None:
    """JSON has no word for it."""
    with pytest.raises(ValueError, match="JSON"):
        write()
