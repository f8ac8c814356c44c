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
from addercost.measure.journal import JournalHeading, open_journal, read_measurements
from addercost.results.journal_lines import journal_path
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
    sys.path.insert(0, str(SCRIPT.parent))  # as for a script, whose folder is on the path
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    yield module
    for name in ("gpu_check", "gpu_parts", "gpu_report", "limited_run"):
        sys.modules.pop(name, None)


@pytest.fixture
def parts(tool: Any) -> Any:
    """The module that `gpu_check` imports its parts from."""
    return sys.modules["gpu_parts"]


@pytest.fixture
def report(tool: Any) -> Any:
    """The module that `gpu_check` imports its report from."""
    return sys.modules["gpu_report"]


def part(tool: Any, script: str, limit_s: float = 60) -> Any:
    return tool.CheckPart("some-part", "what it does", limit_s, ("sh", "-c", script))


def test_dry_run_needs_no_gpu_and_names_every_network(parts: Any) -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--dry-run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for network in parts.NETWORKS:
        assert f"{network.name}-whole" in done.stdout
        assert f"{network.name}-layers" in done.stdout
    assert "tests" in done.stdout


@pytest.mark.exhaustive
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--folder", tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gpu-check: no GPU to time on: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("script", "limit_s", "state", "said"),
    [
        pytest.param("echo fine", 60, "done", "", id="done"),
        pytest.param("echo x; echo no memory >&2; exit 1", 60, "failed", "no memory", id="failed"),
        pytest.param(
            "trap 'echo interrupted; exit 1' INT; sleep 60 & wait", 3, "late", "interrupted", id="late"
        ),
        pytest.param("trap '' INT; sleep 60", 3, "late", "", id="late and deaf"),
    ],
)
def test_what_came_of_a_part(
    tool: Any, tmp_path: Path, script: str, limit_s: float, state: str, said: str
) -> None:
    outcome = tool.carry_out(part(tool, script, limit_s), tmp_path, 100.0)
    assert (outcome.state, outcome.said) == (state, said)
    assert (tmp_path / "some-part.log").exists() == (state != "done")


def test_a_part_for_which_no_time_is_left_is_not_run(tool: Any, tmp_path: Path) -> None:
    assert tool.carry_out(part(tool, "1"), tmp_path, 0.5).state == "not run"


def test_what_a_killed_part_had_measured_is_kept(report: Any, tmp_path: Path) -> None:
    document = tmp_path / "resnet18-layers.json"
    journal = open_journal(JournalHeading("resnet18", {}, {"cuda": "Fake"}, {}, ()), document)
    row = MeasuredRow("conv1", "mac", (1e-5, 1.1e-5, 1.2e-5), "torch", case="1,3,8,8,4,3,1,1", sites=1000)
    journal.add("first", row)
    with journal_path(document).open("a") as file:
        file.write('{"key": "second", "row": {"pa')  # the row in flight
    report.keep_what_was_measured(tmp_path)
    assert not journal_path(document).exists()
    assert [r["path"] for r in json.loads(document.read_text())["rows"]] == ["conv1"]
    (text,) = report.sections(tmp_path)
    assert "resnet18-layers" in text
    assert "conv1" in (tmp_path / "resnet18-layers.md").read_text()


def test_the_report_names_parts_that_failed(tool: Any, parts: Any, tmp_path: Path) -> None:
    def carry(one: Any, folder: Path, left_s: float) -> Any:
        state = "failed" if one.name == "vgg-small-whole" else "done"
        return tool.Outcome(one, state, 3.0, "a | b" if state == "failed" else "")

    outcomes = tool.check(tmp_path, time.monotonic() + 480, "NVIDIA H200", "", carry)
    text = (tmp_path / "nvidia-h200" / "README.md").read_text()
    assert len(outcomes) == 2 + 2 * len(parts.NETWORKS)
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
def test_a_stopped_run_has_no_sums(report: Any, tmp_path: Path, planned: int, whole: bool) -> None:
    """It knows the two shapes it came to, not how many layers there are."""
    rows = tuple(
        MeasuredRow(f"conv{c}", "mac", (1e-5, 1.1e-5, 1.2e-5), "torch", case=f"1,{c},8,8,4,3,1,1", sites=9)
        for c in (3, 4)
    )
    made = Measurements("resnet18", {"cuda": "Fake"}, rows, settings={"rows": str(planned)})
    (tmp_path / "resnet18-layers.json").write_text(measurements_to_json(made))
    (text,) = report.sections(tmp_path)
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
    count = tmp_path / "count"
    script = (
        f"n=$(cat {count} 2>/dev/null || echo 0); n=$((n + 1)); echo $n > {count}\n"
        "echo row $((n < LAST ? n : LAST))\n"
        f"[ $n -ge ENDS ] || exit {tool.LOST}\n"
    )
    goes_on = tool.carry_out(part(tool, script.replace("LAST", "9").replace("ENDS", "3")), tmp_path, 100.0)
    assert (goes_on.state, goes_on.said) == ("done", "the GPU was lost 2 times, at row 2")
    count.unlink()
    ends = tool.carry_out(part(tool, script.replace("LAST", "2").replace("ENDS", "99")), tmp_path, 100.0)
    assert (ends.state, ends.said) == ("failed", "the GPU was lost 2 times, at row 2")
    assert count.read_text() == "3\n"


@pytest.mark.parametrize("lost", [True, False])
def test_a_row_that_took_the_gpu_with_it_ends_the_process(
    parts: Any, lost: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []

    def synchronize() -> None:
        if lost:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(parts.os, "_exit", codes.append)
    plan = SimpleNamespace(key="conv1 | adder | addercost layer | fp32")
    failed = FailedRow("conv1", "adder", "addercost layer", "fp32", "out of resources")
    parts.leave_a_lost_gpu(1, plan, None)
    assert codes == []
    parts.leave_a_lost_gpu(1, plan, failed)
    assert codes == ([parts.LOST] if lost else [])
    assert capsys.readouterr().out == (
        f"{plan.key}: CUDA error: an illegal memory access was encountered\n" if lost else ""
    )


def test_training_steps_are_timed_before_what_would_be_missed_less(parts: Any) -> None:
    from addercost.measure.session import BenchSettings

    settings = BenchSettings(
        arithmetics=(Arithmetic.MAC, Arithmetic.ADDER, Arithmetic.XNOR),
        dtypes=("fp32", "bf16"),
        device="cuda",
    )
    rows = [plan.row for plan in parts.whole_rows(parts.NETWORKS[-1], settings)]
    found = [(row.implementation, row.arithmetic, row.dtype) for row in rows]
    assert len(set(found)) == len(found) == 2 * 3 + 2
    assert found[2:4] == [("training step", "mac", "fp32"), ("training step", "adder", "fp32")]


LACKING = (
    "halide", "fvcore", "msgspec", "pynvml", "llvmlite", "duckdb", "pyarrow", "dask", "scipy", "torchvision",
    "sklearn", "openpyxl", "playwright", "transformers", "hypothesis",
)  # fmt: skip
"""Packages that a machine with a GPU may lack."""


def without_packages(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code where importing any of `LACKING` fails."""
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({LACKING!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", hidden + code, *arguments], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.exhaustive
def test_the_gpu_path_runs_where_packages_are_missing() -> None:
    """Everything that the parts import, and the shapes of a network."""
    done = without_packages(
        "import addercost.measure.devices.cuda, addercost.measure.devices.nvml, addercost.measure.session\n"
        "import addercost.measure.whole_model, addercost.measure.journal\n"
        "import addercost.measure.contenders.own, addercost.measure.contenders.vendor\n"
        "import addercost.kernels.gpu.limits, addercost.report.tables.timings\n"
        "from addercost.api import trace_spec\n"
        "from addercost.arithmetic import Arithmetic\n"
        "from addercost.measure.session import BenchSettings, model_uses\n"
        "settings = BenchSettings(device='cuda', dtypes=('fp32', 'fp16', 'bf16', 'int8'), cpus=())\n"
        "uses, notes = model_uses(trace_spec('zoo:lenet5-bn'), settings)\n"
        "assert len(uses) == 5, uses\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_report_is_written_where_packages_are_missing(tmp_path: Path) -> None:
    """A part writes its tables itself, since reading documents takes msgspec. The rows of a part that was
    stopped are kept under another name, and a line of the report says why."""
    code = (
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "from pathlib import Path\n"
        "import gpu_check\n"
        "from addercost.measure import journal\n"
        "from addercost.results.measurements import MeasuredRow, Measurements, measurements_to_json\n"
        "row = MeasuredRow('conv1', 'mac', (1e-5, 1.1e-5, 1.2e-5), case='1,3,8,8,4,3,1,1', sites=9)\n"
        "def carry(part, folder, left_s):\n"
        "    if part.name == 'resnet18-whole':\n"
        "        file = folder / 'resnet18-whole.json'\n"
        "        result = Measurements('resnet18', {'cuda': 'Fake'}, (row,))\n"
        "        file.write_text(measurements_to_json(result))\n"
        "        gpu_check.write_tables(result, file)\n"
        "    if part.name == 'resnet18-layers':\n"
        "        file = folder / 'resnet18-layers.json'\n"
        "        heading = journal.JournalHeading('resnet18', {}, {'cuda': 'Fake'}, {})\n"
        "        journal.open_journal(heading, file).add('row', row)\n"
        "    return gpu_check.Outcome(part, 'done', 3.0, '')\n"
        "gpu_check.check(Path(sys.argv[1]), 1e9, 'GPU', 'resnet18-', carry)\n"
    )
    done = without_packages(code, str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "gpu" / "README.md").read_text()
    whole = text.partition("## resnet18-whole\n")[2]
    assert "Not summed up: reading JSON and TOML needs the package msgspec; install it: pip install" in whole
    assert "| conv1 |" in whole
    assert (
        "resnet18-layers.json.unread has the rows of a part that was stopped: reading JSON and TOML needs"
        in text
    )
    unread = tmp_path / "gpu" / "resnet18-layers.json.unread"
    rows = read_measurements(unread.rename(journal_path(unread.with_suffix("")))).rows
    assert [row.path for row in rows] == ["conv1"]


def test_no_import_of_the_check_needs_a_missing_package(tmp_path: Path) -> None:
    """Up to the line that says there is no GPU, or to the parts where there is one."""
    done = without_packages(
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "import gpu_check\n"
        "sys.argv = ['gpu_check.py', '--dry-run']\n"
        "raise SystemExit(gpu_check.main())\n"
    )
    assert done.returncode == 0, done.stderr
    assert "resnet18-layers" in done.stdout
