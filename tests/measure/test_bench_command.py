"""`addercost bench` from its arguments to its files, on a device whose clock is a script."""

from __future__ import annotations

import csv
import json
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from bench_runs import SHAPE, bench
from scripted_device import ScriptedDevice

from addercost.cli import run as run_cli
from addercost.errors import ArgumentError
from addercost.measure import session
from addercost.measure.journal import read_measurements
from addercost.measure.session import BenchSettings, open_device
from addercost.report.tables.timings import bench_table
from addercost.results.journal_lines import journal_path
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements


def test_a_shape_in_every_arithmetic(device: ScriptedDevice, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.json"
    assert bench("--conv", SHAPE, "--dtype", "fp32,int8", "-o", str(out), "--format", "csv", "-q") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {row["arithmetic"] for row in rows} == {"mac", "adder", "xnor", "shift"}
    assert {row["dtype"] for row in rows} == {"fp32", "int8"}
    found = read_measurements(out)
    assert [row.implementation for row in found.rows] == [row["implementation"] for row in rows]
    assert not journal_path(out).exists()
    assert found.limits == {"memory": 1e10}
    assert found.settings["cache"] == "warm"


def test_a_model_with_one_row_a_shape(device: ScriptedDevice, tmp_path: Path, capsys) -> None:
    """Three layers of two shapes."""
    out, chrome = tmp_path / "out.json", tmp_path / "out.trace.json"
    (tmp_path / "m.py").write_text(
        "from torch import nn, zeros\n"
        "model = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=p, groups=4) for p in (0, 1, 1)))\n"
        "example_inputs = zeros(1, 4, 8, 8)\n"
    )
    assert bench(
        str(tmp_path / "m.py"), "--arithmetic", "mac", "-o", str(out), "--chrome-trace", str(chrome),
        "--cpu", "amd-zen4", "-q",
    ) == 0  # fmt: skip
    found = read_measurements(out)
    torch_rows = [row for row in found.rows if row.implementation == "torch"]
    assert [row.times for row in torch_rows] == [1, 2]
    assert len({row.case for row in torch_rows}) == len(torch_rows)
    assert "3 layers together" in capsys.readouterr().out
    events = json.loads(chrome.read_text())["traceEvents"]
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    measured = next(key for key, name in tracks.items() if name == "mac torch fp32")
    layers = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == measured]
    assert len(layers) == 3
    assert all(a["ts"] + a["dur"] == pytest.approx(b["ts"]) for a, b in pairwise(layers))
    assert any("throughput on amd-zen4" in name for (process, _), name in tracks.items() if process == 2)
    assert not any("throughput" in name for (process, _), name in tracks.items() if process == 1)


@pytest.mark.parametrize("command", ["report", "plot"])
def test_report_and_plot_read_it(device: ScriptedDevice, command: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.json"
    assert bench("--conv", SHAPE, "--cpu", "amd-zen4", "-o", str(out), "-q") == 0
    if command == "report":
        assert run_cli(["report", str(out), "--format", "markdown"]) == 0
        assert "addercost kernel" in capsys.readouterr().out
    else:
        target = tmp_path / "p.svg"
        assert run_cli(["plot", "predicted-vs-measured", str(out), "-o", str(target)]) == 0
        assert target.stat().st_size > 1000


@pytest.mark.parametrize(("rows", "named"), [(2, True), (9, False)])
def test_what_did_not_converge_is_counted_and_few_are_named(rows: int, named: bool) -> None:
    """A verdict is one word, so that a script can compare it."""
    made = [
        MeasuredRow(
            f"layer{i}", "adder", (2e-3,) * 24, "addercost layer", reference="torch fp32",
            reference_samples_s=(1e-3,) * 24, converged=i == 0,
        )
        for i in range(rows)
    ]  # fmt: skip
    table = bench_table(Measurements("net", {"cpu": "c"}, tuple(made), settings={"precision": "0.01"}))
    assert [row["verdict"] for row in table.rows] == ["slower"] * rows
    assert [row["converged"] for row in table.rows] == ["yes"] + ["no"] * (rows - 1)
    (note,) = (note for note in table.notes if "unconverged" in note)
    assert note.startswith(f"{rows - 1} of {rows} rows") and ("layer1" in note) == named


def test_a_killed_run_goes_on(device: ScriptedDevice, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "out.json"
    arguments = ("--conv", SHAPE, "--arithmetic", "mac,adder", "-o", str(out))
    plain, left = device.sample, [300]

    def sample(*given):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(device, "sample", sample)
    assert bench(*arguments) == 130
    assert journal_path(out).exists() and not out.exists()
    before = len(read_measurements(journal_path(out)).rows)
    # The document's own name finds it, too.
    assert before == len(read_measurements(out).rows) > 0
    capsys.readouterr()
    left[0] = 0
    assert bench(*arguments) == 0
    after = len(read_measurements(out).rows)
    assert capsys.readouterr().err.count("\n") == after - before
    assert bench(*arguments) == 5


def test_force_starts_again(device: ScriptedDevice, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.json"
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "-o", str(out), "-q") == 0
    journal_path(out).write_text("of another program\n")
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "-o", str(out), "-q") == 6
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "-o", str(out), "-q", "--force") == 0


@pytest.mark.usefixtures("either_kernel")
def test_a_layer_that_no_kernel_takes_is_marked_and_the_rest_goes_on(
    device: ScriptedDevice, tmp_path: Path, capsys
) -> None:
    (tmp_path / "m.py").write_text(
        "from torch import nn\nimport torch\n"
        "model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ConvTranspose2d(4, 4, 3))\n"
        "example_inputs = torch.zeros(1, 4, 8, 8)\n"
    )
    assert bench(str(tmp_path / "m.py"), "--arithmetic", "mac,adder", "-q") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "not timed: 1: no kernel for transposed convolutions" in text
    assert "not timed: 0 adder unfold + cdist fp32: unfold + cdist has no groups" in text
    assert "addercost layer" in text


def test_a_reason_of_many_rows_is_said_once() -> None:
    failed = [
        FailedRow(f"conv{i}", "adder", "addercost layer", "fp32", "halide is not installed") for i in range(5)
    ]
    rare = FailedRow("conv9", "adder", "unfold + cdist", "fp32", "no groups")
    notes = bench_table(Measurements("net", {}, (), failed=(*failed, rare))).notes
    assert [note for note in notes if note.startswith("not timed")] == [
        "not timed: 5 rows: halide is not installed",
        "not timed: conv9 adder unfold + cdist fp32: no groups",
    ]


def test_out_of_memory_says_what_would_fit(device: ScriptedDevice, capsys) -> None:
    device.free = 300_000
    assert bench("--conv", "8,64,14,14,64,3,1,1", "--arithmetic", "adder", "-q") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "out of memory: it takes" in text and "of its 8 images would fit" in text


def test_rows_are_timed_while_no_other_measurement_uses_the_device(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, plain = [], device.sample

    @contextmanager
    def exclusive(name: str):
        locked.append(name)
        yield
        locked.clear()

    def sample(*given):
        assert locked == ["cpu"]
        return plain(*given)

    monkeypatch.setattr(session, "exclusive", exclusive)
    monkeypatch.setattr(device, "sample", sample)
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "-q") == 0
    assert device.order and not locked


def test_hostile_names_do_nothing(device: ScriptedDevice, tmp_path: Path, capsys) -> None:
    """Names out of a file: escapes for a terminal, cells for Markdown, formulas for a spreadsheet."""
    out = tmp_path / "out.json"
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "-o", str(out), "-q") == 0
    capsys.readouterr()
    data = json.loads(out.read_text())
    evil = "=cmd()|<script>\x1b[31m\n"
    data["model"] = evil
    for row in data["rows"]:
        row |= {"path": evil, "paths": [evil], "implementation": evil, "warnings": [evil], "includes": evil}
    data["failed"] = [{**dict.fromkeys(("path", "arithmetic", "implementation", "dtype", "reason"), evil)}]
    out.write_text(json.dumps(data))
    chrome = tmp_path / "t.json"
    for name, bad in (("table", "\x1b"), ("markdown", "<script>"), ("csv", "\n=cmd"), ("json", "\x1b")):
        assert (
            run_cli(["bench", "show", str(out), "--format", name, "--chrome-trace", str(chrome), "--force"])
            == 0
        )
        assert bad not in capsys.readouterr().out
    assert "\x1b" not in chrome.read_text() and "\\u001b" not in chrome.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param((), 2, "Usage", id="nothing"),
        pytest.param(("-q",), 2, "nothing to time", id="no spec"),
        pytest.param(("zoo:lenet5-bn", "--conv", SHAPE), 2, "give one of the two", id="both"),
        pytest.param(("--conv", "1,2"), 2, "write it as N,C,H,W", id="a short shape"),
        pytest.param(("zoo:lenet5-bn", "--arithmetic", "mult"), 2, "unknown arithmetic", id="arithmetic"),
        pytest.param(("zoo:lenet5-bn", "--dtype", "fp8"), 2, "unknown number format", id="format"),
        pytest.param(("zoo:lenet5-bn", "--device", "tpu"), 2, "unknown device 'tpu'", id="device"),
        pytest.param(("zoo:lenet5-bn", "--layout", "x"), 2, "unknown layout", id="layout"),
        pytest.param(("zoo:lenet5-bn", "--precision", "0"), 2, "write it as 1%", id="precision"),
        pytest.param(("zoo:lenet5-bn", "--cost-model", "x"), 2, "unknown cost model", id="cost model"),
        pytest.param(("zoo:lenet5-bn", "--cpu", "nothing"), 2, "unknown CPU", id="processor"),
        pytest.param(("zoo:lenet5-bn", "-o", "x.txt"), 2, "is no format", id="suffix"),
        pytest.param(("zoo:lenet5-bn", "-o", "a.json", "-o", "b.json"), 2, "two documents", id="documents"),
        pytest.param(("zoo:lenet5-bn", "-o", "no/x.json"), 5, "does not exist", id="folder"),
        pytest.param(("--conv", SHAPE, "--end-to-end"), 2, "names no model", id="whole shape"),
        pytest.param(
            ("--self-check", "3", "--conv", SHAPE), 2, "times nothing else", id="self-check and more"
        ),
        pytest.param(("no_such_file.py",), 3, "does not exist", id="model"),
        pytest.param(("show", "nothing.json"), 6, "does not exist", id="nothing to show"),
        pytest.param(("diff", "nothing.json", "nothing.json"), 6, "does not exist", id="nothing to compare"),
    ],
)
def test_bad_arguments(
    device: ScriptedDevice, arguments: tuple[str, ...], code: int, words: str, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench(*arguments) == code
    found = capsys.readouterr()
    assert words in found.err + found.out
    assert "Traceback" not in found.err
    if arguments:
        assert found.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_no_gpu_is_one_line_in_the_words_of_torch(monkeypatch) -> None:
    monkeypatch.setattr(session.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(session.torch.version, "cuda", "13.0")

    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).\nUpdate it")

    monkeypatch.setattr(session.torch.cuda, "init", too_old)
    with pytest.raises(ArgumentError, match="no GPU to time on: The NVIDIA driver on your system is too old"):
        open_device(BenchSettings(device="cuda"))


def test_too_many_threads() -> None:
    with pytest.raises(ArgumentError, match="100000 threads on"):
        open_device(BenchSettings(threads=100000))
