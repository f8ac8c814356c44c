"""`make gpu-check`: parts with time limits, what a killed part leaves, and the report. Without a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from addercost.arithmetic import Arithmetic
from addercost.measure.journal import JournalHeading, journal_path, open_journal
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements, measurements_to_json

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "gpu_check.py"


@pytest.fixture(scope="module")
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = ModuleType("gpu_check")
    module.__spec__, module.__file__ = spec, str(SCRIPT)
    sys.modules["gpu_check"] = module
    sys.path.insert(0, str(SCRIPT.parent))  # as for a script: it finds what lies beside it
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    yield module
    del sys.modules["gpu_check"]


def part(tool: Any, code: str, limit_s: float = 60) -> Any:
    return tool.Part("some-part", "what it does", limit_s, (sys.executable, "-c", code))


def test_dry_run_needs_no_gpu_and_names_every_network(tool: Any) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--dry-run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for network in tool.NETWORKS:
        assert f"{network.name}-whole" in done.stdout
        assert f"{network.name}-layers" in done.stdout
    assert "tests" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--folder", tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gpu-check: no GPU to time on: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "limit_s", "state", "said"),
    [
        pytest.param("print('fine')", 60, "done", "", id="done"),
        pytest.param("print('x'); raise SystemExit('no memory')", 60, "failed", "no memory", id="failed"),
        pytest.param("import time; time.sleep(60)", 2, "late", "KeyboardInterrupt", id="late"),
        pytest.param(
            "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)",
            2,
            "late",
            "",
            id="late and deaf",
        ),
    ],
)
def test_what_came_of_a_part(
    tool: Any, tmp_path: Path, code: str, limit_s: float, state: str, said: str
) -> None:
    outcome = tool.carry_out(part(tool, code, limit_s), tmp_path, 100.0)
    assert (outcome.state, outcome.said) == (state, said)
    assert (tmp_path / "some-part.log").exists() == (state != "done")


def test_a_part_for_which_no_time_is_left_is_not_run(tool: Any, tmp_path: Path) -> None:
    assert tool.carry_out(part(tool, "1"), tmp_path, 0.5).state == "not run"


def test_what_a_killed_part_had_measured_is_kept(tool: Any, tmp_path: Path) -> None:
    document = tmp_path / "resnet18-layers.json"
    journal = open_journal(JournalHeading("resnet18", {}, {"cuda": "Fake"}, {}, ()), document)
    row = MeasuredRow("conv1", "mac", (1e-5, 1.1e-5, 1.2e-5), "torch", case="1,3,8,8,4,3,1,1", sites=1000)
    journal.add("first", row)
    with journal_path(document).open("a") as file:
        file.write('{"key": "second", "row": {"pa')  # the row in flight
    tool.keep_what_was_measured(tmp_path)
    assert not journal_path(document).exists()
    assert [r["path"] for r in json.loads(document.read_text())["rows"]] == ["conv1"]
    (text,) = tool.write_tables(tmp_path)
    assert "resnet18-layers" in text
    assert "conv1" in (tmp_path / "resnet18-layers.md").read_text()


def test_the_report_names_parts_that_failed(tool: Any, tmp_path: Path) -> None:
    def carry(one: Any, folder: Path, left_s: float) -> Any:
        state = "failed" if one.name == "vgg-small-whole" else "done"
        return tool.Outcome(one, state, 3.0, "a | b" if state == "failed" else "")

    outcomes = tool.check(tmp_path, time.monotonic() + 480, "NVIDIA H200", "", carry)
    text = (tmp_path / "nvidia-h200" / "README.md").read_text()
    assert len(outcomes) == 2 + 2 * len(tool.NETWORKS)
    assert "| vgg-small-whole |" in text
    assert "| failed | 3 | a \\| b |" in text
    assert text.startswith("# NVIDIA H200\n")


def document(folder: Path, name: str, date: str = "2026-01-02") -> Path:
    """A document that a part would write, with one row."""
    file = folder / f"{name}.json"
    row = MeasuredRow("conv1", "mac", (1e-5, 1.1e-5, 1.2e-5), "torch", case="1,3,8,8,4,3,1,1", sites=1000)
    file.write_text(measurements_to_json(Measurements(name, {"cuda": "Fake", "date": date}, (row,))))
    return file


@pytest.mark.parametrize(("planned", "whole"), [(2, True), (24, False)], ids=["finished", "stopped"])
def test_a_stopped_run_has_no_sums(tool: Any, tmp_path: Path, planned: int, whole: bool) -> None:
    """It knows the two shapes it came to, not how many layers there are."""
    rows = tuple(
        MeasuredRow(f"conv{c}", "mac", (1e-5, 1.1e-5, 1.2e-5), "torch", case=f"1,{c},8,8,4,3,1,1", sites=9)
        for c in (3, 4)
    )
    made = Measurements("resnet18", {"cuda": "Fake"}, rows, settings={"rows": str(planned)})
    (tmp_path / "resnet18-layers.json").write_text(measurements_to_json(made))
    (text,) = tool.write_tables(tmp_path)
    assert ("sum of medians" in text) is whole
    assert ("The run was stopped: 22 of its 24 rows are missing." in text) is not whole


def test_the_report_is_there_whatever_ends_the_run(tool: Any, tmp_path: Path) -> None:
    def carry(one: Any, folder: Path, left_s: float) -> Any:
        if one.name == "resnet20-cifar-whole":
            raise KeyboardInterrupt
        if one.name == "resnet18-whole":
            document(folder, one.name)
        return tool.Outcome(one, "done", 3.0, "")

    with pytest.raises(KeyboardInterrupt):
        tool.check(tmp_path, time.monotonic() + 480, "GPU", "", carry)
    text = (tmp_path / "gpu" / "README.md").read_text()
    assert "| resnet18-whole |" in text and "## resnet18-whole\n" in text


def test_an_earlier_runs_document_is_not_shown_as_this_ones(tool: Any, tmp_path: Path) -> None:
    folder = tmp_path / "gpu"
    folder.mkdir()
    os.utime(document(folder, "resnet18-layers", "2025-12-24"), (1e9, 1e9))
    (folder / "resnet50-layers.json").write_text("{}")
    (folder / "vgg-small-layers.json.journal").write_text("")

    def carry(one: Any, folder: Path, left_s: float) -> Any:
        if one.name == "lenet5-bn-whole":
            document(folder, one.name)
        return tool.Outcome(one, "done" if one.name == "lenet5-bn-whole" else "late", 3.0, "")

    tool.check(tmp_path, time.monotonic() + 480, "GPU", "", carry)
    text = (folder / "README.md").read_text()
    assert "## resnet18-layers (of an earlier run, 2025-12-24)\n" in text
    assert "## lenet5-bn-whole\n" in text
    assert "## resnet50-layers\n\nCannot be read: " in text
    assert not list(folder.glob("*.journal"))


def test_a_part_whose_gpu_was_lost_goes_on_in_another_process(tool: Any, tmp_path: Path) -> None:
    """Each run gets a row further, as a part with a journal does; the same row twice is the end."""
    code = (
        "import os, pathlib, sys\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(n))\n"
        f"print('row', min(n, LAST), flush=True)\n"
        f"os._exit({tool.LOST} if n < ENDS else 0)\n"
    )
    goes_on = tool.carry_out(part(tool, code.replace("LAST", "9").replace("ENDS", "3")), tmp_path, 100.0)
    assert (goes_on.state, goes_on.said) == ("done", "the GPU was lost 2 times, at row 2")
    (tmp_path / "count").unlink()
    ends = tool.carry_out(part(tool, code.replace("LAST", "2").replace("ENDS", "99")), tmp_path, 100.0)
    assert (ends.state, ends.said) == ("failed", "the GPU was lost 2 times, at row 2")
    assert (tmp_path / "count").read_text() == "3"


@pytest.mark.parametrize("lost", [True, False])
def test_a_row_that_took_the_gpu_with_it_ends_the_process(
    tool: Any, lost: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []

    def synchronize() -> None:
        if lost:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(tool.os, "_exit", codes.append)
    plan = SimpleNamespace(key="conv1 | adder | addercost layer | fp32")
    failed = FailedRow("conv1", "adder", "addercost layer", "fp32", "out of resources")
    tool.leave_a_lost_gpu(1, plan, None)
    assert codes == []
    tool.leave_a_lost_gpu(1, plan, failed)
    assert codes == ([tool.LOST] if lost else [])
    assert capsys.readouterr().out == (
        f"{plan.key}: CUDA error: an illegal memory access was encountered\n" if lost else ""
    )


def test_training_steps_are_timed_before_what_would_be_missed_less(tool: Any) -> None:
    from addercost.measure.session import BenchSettings

    settings = BenchSettings(
        arithmetics=(Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR),
        dtypes=("fp32", "bf16"),
        device="cuda",
    )
    rows = [plan.row for plan in tool.whole_rows(tool.NETWORKS[-1], settings)]
    found = [(row.implementation, row.arithmetic, row.dtype) for row in rows]
    assert len(set(found)) == len(found) == 2 * 3 + 2
    assert found[2:4] == [("training step", "mac", "fp32"), ("training step", "adder", "fp32")]


def test_it_runs_where_optional_packages_are_missing() -> None:
    """Everything that the parts import, in a process that has none of the packages a GPU machine lacks."""
    code = (
        "import sys\n"
        "for name in ('halide', 'fvcore', 'pydantic', 'llvmlite', 'duckdb', 'pyarrow', 'dask', 'scipy',\n"
        "             'torchvision', 'sklearn', 'openpyxl', 'playwright', 'transformers', 'hypothesis'):\n"
        "    sys.modules[name] = None\n"
        "import addercost.measure.devices.cuda, addercost.measure.session, addercost.measure.whole_model\n"
        "import addercost.measure.contenders.own, addercost.measure.contenders.vendor\n"
        "import addercost.report.tables.timings\n"
        "from addercost.api import trace_spec\n"
        "from addercost.arithmetic import Arithmetic\n"
        "from addercost.measure.session import BenchSettings, model_uses\n"
        "settings = BenchSettings(device='cuda', dtypes=('fp32', 'fp16', 'bf16', 'int8'), cpus=())\n"
        "uses, notes = model_uses(trace_spec('zoo:lenet5-bn'), settings)\n"
        "assert len(uses) == 5, uses\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
