"""Saved files with one damaged value: a command ends in one line and exit code 6, or takes it as it is."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import made_models
import pytest
import sample_data

from addercost.cli import run
from addercost.errors import DataError
from addercost.results.saved import saved_from_text
from addercost.results.trace import trace_to_json
from addercost.trace.record import OpCall, TensorSpec, Trace
from tests.results.document_places import places

BAD = (None, [], {}, "", "x", -1, 1.5, True, 10**400, float("nan"), float("inf"), [[]], {"tensor": [-1]})


def small_trace() -> Trace:
    """One 3×3 convolution of 2 to 4 channels on 8×8 pixels, then a ReLU."""
    inputs = TensorSpec((1, 2, 8, 8), "float32", "input")
    weight = TensorSpec((4, 2, 3, 3), "float32", "parameter", "conv.weight")
    middle = TensorSpec((1, 4, 6, 6), "float32")
    arguments = {
        "input": inputs,
        "weight": weight,
        "bias": None,
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "transposed": False,
        "output_padding": (0, 0),
        "groups": 1,
    }
    calls = (
        OpCall("aten.convolution.default", "conv", arguments, (middle,), 0),
        OpCall("aten.relu.default", "relu", {"self": middle}, (middle,), 1),
    )
    return Trace("small", calls, {"conv": "Conv2d", "relu": "ReLU"}, {"conv.weight": 72}, (inputs,))


def documents() -> dict[str, Any]:
    """One document of each kind as plain data."""
    report = made_models.report(["a", "b"])
    return {
        "trace": json.loads(trace_to_json(small_trace())),
        "profile": json.loads(report.subjects[0].first.to_json()),
        "report": json.loads(report.to_json()),
        "measurements": sample_data.measurements(rows=1, samples=6),
        "training": sample_data.training(),
    }


def with_value(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(data)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def without(data: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(data)
    place = changed
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return changed


def refused(text: str) -> bool:
    """Whether the document is refused, in one line that names it."""
    try:
        saved_from_text(text, "d.json")
    except DataError as error:
        assert str(error).startswith("d.json") and "\n" not in str(error) and len(str(error)) < 600
        return True
    return False


KINDS = ("trace", "profile", "report", "measurements", "training")


@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_value_is_a_fault_of_ours(kind: str) -> None:
    """Bad values in turn, one at each place of the document."""
    data = documents()[kind]
    for index, path in enumerate(places(data)):
        refused(json.dumps(with_value(data, path, BAD[index % len(BAD)])))
        refused(json.dumps(without(data, path)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_value_anywhere_is_a_fault_of_ours(kind: str) -> None:
    data = documents()[kind]
    for path in places(data):
        for value in BAD:
            refused(json.dumps(with_value(data, path, value)))


def test_a_document_that_is_whole_is_read() -> None:
    for data in documents().values():
        assert not refused(json.dumps(data))


LAYERS = ("cost", 0, "layers")


@pytest.mark.parametrize(
    ("kind", "path", "value", "words"),
    [
        pytest.param("profile", LAYERS, "", "cost[0].layers = ''", id="text-for-a-list"),
        pytest.param("profile", LAYERS, [], "are not those counted", id="no-estimated-layers"),
        pytest.param("profile", ("notes",), [1e400], "notes[0] = inf", id="number-for-a-note"),
        pytest.param("profile", ("model",), [], "model = []: expected text", id="list-for-a-name"),
        pytest.param("profile", ("parameters",), 10**400, "at most 308 digits", id="400-digits"),
        pytest.param("profile", ("colour",), "red", "colour = 'red': no such field", id="unknown-field"),
        pytest.param(
            "trace", ("calls", 0, "args", "weight"), [None], "calls[0] has arguments", id="no-tensor"
        ),
        pytest.param("trace", ("calls", 0, "args"), {}, "KeyError: 'input'", id="no-arguments"),
        pytest.param(
            "trace", ("calls", 0, "args", "groups"), 10**400, "args.groups = 1000", id="huge-argument"
        ),
        pytest.param("trace", ("parameters", "conv.weight"), 10**400, "at most 64 bits", id="huge-parameter"),
        pytest.param(
            "trace", ("inputs", 0, "tensor"), [2**40] * 4, "expected the shape of a tensor", id="huge-tensor"
        ),
        pytest.param("trace", ("inputs", 0, "tensor"), [-1], "tensor[0] = -1", id="negative-shape"),
        pytest.param("report", ("subjects",), 3, "subjects = 3: expected a list", id="no-subjects"),
        pytest.param("report", ("subjects", 0, "profiles"), {}, "profiles is not a list", id="no-profiles"),
        pytest.param(
            "report",
            ("subjects", 0, "profiles", 1, "layers", 0, "path"),
            [],
            "profiles[1].layers[0].path = []",
            id="deep-in-a-report",
        ),
    ],
)
@pytest.mark.parametrize("command", ["profile", "report", "diff", "plot"])
def test_commands_end_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    kind: str,
    path: tuple[Any, ...],
    value: Any,
    words: str,
) -> None:
    file = str(tmp_path / "damaged.json")
    Path(file).write_text(json.dumps(with_value(documents()[kind], path, value)))
    arguments = {
        "profile": [file],
        "report": [file, "-o", str(tmp_path / "r.html")],
        "diff": [file, file],
        "plot": ["breakdown", file, "-o", str(tmp_path / "p.svg")],
    }[command]
    assert run([command, *arguments]) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and "damaged.json" in line
