"""A report in every format, opened again by what reads that format."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import made_models
import pytest
import sample_data
from hostile_report import PATHS, report, text_in

from addercost.cli import run
from addercost.errors import ArgumentError
from addercost.report.formats.report_format import ReportFormat, render_report, report_format
from addercost.results.report import Report


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(chosen, marks=pytest.mark.exhaustive if chosen is ReportFormat.HTML else ())
        for chosen in ReportFormat
    ],
)
def test_same_input_same_bytes(chosen: ReportFormat) -> None:
    """Few figures, each of which takes most of a second."""
    subjects = made_models.report(["a", *made_models.HOSTILE[:2]], cpus=()).subjects
    made = Report("made-up <title>", subjects, report().measurements)
    assert render_report(made, chosen) == render_report(made, chosen)


def test_csv_has_every_layer_of_every_arithmetic() -> None:
    rows = list(csv.DictReader(io.StringIO(text_in(ReportFormat.CSV))))
    assert len(rows) == 3 * len(PATHS)
    assert sum(int(row["mul"]) for row in rows if row["arithmetic"] == "CNN") == sum(
        1000 + i for i in range(len(PATHS))
    )
    assert all(not row["path"].startswith(("=", "+", "@")) for row in rows)


def test_json_is_the_document() -> None:
    assert json.loads(text_in(ReportFormat.JSON)) == report().to_dict()


def test_markdown_tables_are_even_and_hostile_names_stay_text() -> None:
    text = text_in(ReportFormat.MARKDOWN)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 4
    for lines in tables:
        # An escaped bar is no border.
        borders = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(borders) == 1, lines[0]
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "---:" in text


@pytest.mark.parametrize(
    ("named", "file", "expected"),
    [
        (None, "r.html", ReportFormat.HTML),
        (None, "r.MD", ReportFormat.MARKDOWN),
        (None, "r.tex", ReportFormat.LATEX),
        ("csv", "r.txt", ReportFormat.CSV),
        ("json", None, ReportFormat.JSON),
    ],
)
def test_format_by_suffix(named: str | None, file: str | None, expected: ReportFormat) -> None:
    assert report_format(named, Path(file) if file else None) is expected


@pytest.mark.parametrize(
    ("named", "file", "words"),
    [
        (None, None, "no file and no format"),
        (None, "r.doc", "'.doc' is no format"),
        ("html", None, "goes into a file"),
        ("xlsx", None, "goes into a file"),
    ],
)
def test_no_format(named: str | None, file: str | None, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        report_format(named, Path(file) if file else None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.json").write_text(made_models.profile(["a"]).to_json())
    full = made_models.Profile(made_models.counts(["a"], convention="full", model="other"))
    (tmp_path / "full.json").write_text(full.to_json())
    (tmp_path / "empty.json").write_text(made_models.profile([]).to_json())
    (tmp_path / "t.json").write_text(json.dumps(sample_data.training()))
    (tmp_path / "r.html").write_text("there already")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["p.json", "full.json", "-o", "x.html"], 2, "full and macs", id="conventions differ"),
        pytest.param(
            ["p.json", "--convention", "full", "-o", "x.html"], 2, "full and macs", id="not as asked"
        ),
        pytest.param(["empty.json", "-o", "x.html"], 2, "has no layers", id="empty profile"),
        pytest.param(["p.json", "t.json", "-o", "x.html"], 2, "is a training record", id="mixed kinds"),
        pytest.param(["p.json", "-o", "r.html"], 5, "--force", id="exists"),
        pytest.param(["p.json", "-o", "no/r.html"], 5, "mkdir -p", id="no folder"),
        # The page is made before the folder is found to be so.
        pytest.param(
            ["p.json", "-o", "/proc/r.html"],
            5,
            "/proc",
            id="read-only folder",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(["p.json", "-o", "x.doc"], 2, "no format of a report", id="unknown suffix"),
        pytest.param(["gone.json", "-o", "x.html"], 6, "does not exist", id="no such file"),
        pytest.param(["gone.html", "-o", "x.html"], 6, "does not exist", id="no such page"),
        pytest.param(["p.json", "--as", "ader", "-o", "x.html"], 2, "did you mean adder", id="arithmetic"),
        pytest.param(["p.json", "--energy", "4nm", "-o", "x.html"], 2, "unknown energy table", id="energy"),
        pytest.param(["p.json", "--cpu", "vianano", "-o", "x.html"], 2, "did you mean via-nano", id="CPU"),
    ],
)
def test_bad_input(
    arguments: list[str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    assert run(["report", *arguments]) == code
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_two_profiles_of_one_model_become_one_subject(folder: Path) -> None:
    adder = made_models.profile(["a"], 1000, made_models.Arithmetic.ADDER)
    (folder / "adder.json").write_text(adder.to_json())
    assert run(["report", "p.json", "adder.json", "--cpu", "via-nano-2000", "-o", "x.json"]) == 0
    (subject,) = json.loads((folder / "x.json").read_text())["subjects"]
    assert [e["cycles"] for e in subject["estimates"] if e["model"] == "latency-sum"] == [6000, 4000]


def test_changed_networks_stand_beside_the_arithmetics(tmp_path: Path) -> None:
    """Half the channels kept: a convolution between two others keeps a quarter of its sites. Needs torch."""
    file = tmp_path / "r.json"
    options = ["--what-if", "prune=0.5", "--as", "adder", "--convention", "macs", "--energy", "none"]
    assert run(["report", "zoo:vgg-small", *options, "-o", str(file)]) == 0
    (subject,) = json.loads(file.read_text())["subjects"]
    assert {e["arithmetic"] for e in subject["estimates"]} == {"CNN", "adder", "prune=0.5"}
    whole, pruned = subject["profiles"][0], subject["profiles"][-1]
    middle = {layer["path"]: layer["mac_sites"] for layer in whole["layers"]}
    quarters = [layer for layer in pruned["layers"] if layer["mac_sites"] * 4 == middle[layer["path"]] > 0]
    assert len(quarters) >= 4


def test_a_network_of_matrix_products_is_no_cnn() -> None:
    from dataclasses import replace

    from addercost.results.report import network_name

    made = made_models.profile(["stem", "a", "b"])
    layers = (made.counts.layers[0], *(replace(layer, op="addmm") for layer in made.counts.layers[1:]))
    assert network_name(made) == "CNN"
    assert network_name(replace(made, counts=replace(made.counts, layers=layers))) == "MAC"
