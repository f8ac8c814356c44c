"""`addercost validate --measured` as a user runs it, and what it says of files that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addercost.cli import run
from addercost.results.journal_lines import journal_path
from addercost.results.validation import read_validation

NETWORKS = ("lenet5-bn", "lenet++", "resnet20-cifar", "resnet32-cifar")
HEAD = "model,ms,rate,batch,size,layout\n"
FILE = HEAD + "".join(
    f"{name},{2.0 * (i + 1)},{500 / (i + 1)},1,{32},nchw\n" for i, name in enumerate(NETWORKS)
)
OPTIONS = ("--prefix", "zoo:", "--cpu", "via-nano-2000")


def validate(folder: Path, text: str, *arguments: str) -> int:
    file = folder / "timings.csv"
    file.write_text(text)
    return run(["validate", "--measured", str(file), *OPTIONS, *arguments, "-q"])


def test_scores_of_the_rows_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In milliseconds in the file, in seconds in the result; the anchor sets a factor of its own."""
    folder = tmp_path / "found"
    assert validate(tmp_path, FILE, "--column", "ms", "-o", str(folder), "--anchor", "lenet++") == 0
    capsys.readouterr()
    found = read_validation(folder / "validation.json")
    assert [row.name for row in found.rows] == list(NETWORKS)
    assert [row.measured_s for row in found.rows] == pytest.approx([0.002, 0.004, 0.006, 0.008])
    assert {score.scaled_by for score in found.scores} == {"", "lenet++"}
    assert (folder / "validation.svg").read_text().startswith("<?xml")
    assert "validation.svg" in (folder / "validation.md").read_text()
    assert not journal_path(folder / "validation.json").exists()


@pytest.mark.usefixtures("undrawn_validation")
def test_a_rate_is_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """500 samples a second at batch 1 are 2 ms; and at batch 4, 8 ms."""
    folder = tmp_path / "found"
    text = FILE.replace("lenet5-bn,2.0,500.0,1", "lenet5-bn,2.0,500.0,4")
    arguments = ("--column", "rate", "--unit", "samples/s", "--batch-column", "batch", "-o", str(folder))
    assert validate(tmp_path, text, *arguments) == 0
    first, second, *_ = read_validation(folder / "validation.json").rows
    assert (first.name, first.measured_s) == ("lenet5-bn batch 4", pytest.approx(0.008))
    assert second.measured_s == pytest.approx(0.004)


@pytest.mark.usefixtures("undrawn_validation")
def test_batch_and_size_decide_the_trace(tmp_path: Path) -> None:
    """Sites grow with the batch and with the pixels, over which the network ends in a mean."""
    folder = tmp_path / "found"
    shapes = ((1, 32), (3, 32), (1, 64))
    text = HEAD + "".join(f"resnet20-cifar,1,1,{batch},{size},n\n" for batch, size in shapes)
    arguments = ("--column", "ms", "--batch-column", "batch", "--size-column", "size", "-o", str(folder))
    assert validate(tmp_path, text, *arguments) == 0
    one, three, larger = (row.mac_sites for row in read_validation(folder / "validation.json").rows)
    assert three == 3 * one
    assert larger == 4 * (one - 640) + 640, "the last layer, 64 to 10, sees one mean a channel"


def test_unknown_networks_are_listed_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(tmp_path, FILE + "lenet6,1,1,1,32,n\n", "--column", "ms") == 0
    out = capsys.readouterr().out
    assert "1 timings skipped: lenet6 (unknown zoo model 'lenet6')" in " ".join(out.split())


@pytest.mark.usefixtures("undrawn_validation")
def test_scores_only_keeps_no_row(tmp_path: Path) -> None:
    folder = tmp_path / "found"
    assert validate(tmp_path, FILE, "--column", "ms", "-o", str(folder), "--scores-only") == 0
    found = read_validation(folder / "validation.json")
    assert found.rows == () and found.scores


@pytest.mark.usefixtures("undrawn_validation")
def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.measure.validation import published

    folder, traced = tmp_path / "found", published.traced
    seen: list[str] = []

    def dies_at_the_third(spec: str, *others: object) -> object:
        seen.append(spec)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return traced(spec, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(published, "traced", dies_at_the_third)
    arguments = ("--column", "ms", "-o", str(folder))
    assert validate(tmp_path, FILE, *arguments) == 130
    assert validate(tmp_path, FILE, *arguments) == 0
    assert seen == [f"zoo:{name}" for name in (*NETWORKS[:3], *NETWORKS[2:])]


@pytest.mark.parametrize(
    ("text", "arguments", "code", "words"),
    [
        pytest.param(FILE, [], 2, "--column", id="no column named"),
        pytest.param(FILE, ["--column", "m"], 2, "has no column 'm'; did you mean ms?", id="no such column"),
        pytest.param(
            FILE, ["--column", "ms", "--batch-column", "b"], 2, "has no column 'b'", id="no batch column"
        ),
        pytest.param(FILE, ["--column", "ms", "--unit", "hours"], 2, "unknown unit 'hours'", id="unit"),
        pytest.param(FILE, ["--column", "ms", "--dtype", "fp12"], 2, "unknown number format", id="format"),
        pytest.param(FILE, ["--column", "ms", "--where", "layout"], 2, "is no condition", id="condition"),
        pytest.param(FILE, ["--column", "ms", "--where", "layout=x"], 6, "has no row", id="no row fits"),
        pytest.param(FILE, ["--column", "ms", "--anchor", "vgg"], 2, "anchor vgg is not among", id="anchor"),
        pytest.param(FILE, ["--column", "ms", "--cpu", "z80"], 2, "unknown CPU 'z80'", id="processor"),
        pytest.param(
            FILE, ["--column", "ms", "--prefix", "zoo:no-"], 2, "none of the 4 networks", id="no network"
        ),
        pytest.param("", ["--column", "ms"], 6, "has no heading", id="empty"),
        pytest.param(HEAD, ["--column", "ms"], 6, "has no row", id="no rows"),
        pytest.param(FILE.replace("2.0,", "x,", 1), ["--column", "ms"], 6, "line 2: ms = 'x'", id="a text"),
        pytest.param(FILE.replace("2.0,", "-1,", 1), ["--column", "ms"], 6, "above 0", id="a negative time"),
        pytest.param(FILE.replace("2.0,", "nan,", 1), ["--column", "ms"], 6, "above 0", id="no number"),
        pytest.param(FILE.replace("lenet5-bn", " "), ["--column", "ms"], 6, "model is empty", id="no name"),
        pytest.param(HEAD + "lenet5-bn\n", ["--column", "ms"], 6, "line 2: ms = ''", id="a short row"),
    ],
)
def test_bad_input_is_one_line(
    text: str,
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert validate(tmp_path, text, *arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and "fault of ours" not in line


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.csv")
    assert run(["validate", "--measured", missing, "--column", "ms", *OPTIONS]) == 6
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn_validation")
def test_what_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    folder = tmp_path / "found"
    arguments = ("--column", "ms", "-o", str(folder))
    assert validate(tmp_path, FILE, *arguments) == 0
    assert validate(tmp_path, FILE, *arguments) == 5
    assert validate(tmp_path, FILE, *arguments, "--force") == 0
    assert json.loads((folder / "validation.json").read_text())["source"] == "timings.csv"
