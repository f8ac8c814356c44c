"""`make gpu-check`: parts with time limits, what a killed part leaves, and the report. Without a GPU."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from addercost.measure.store import Heading, journal_path, open_journal
from addercost.report.measurements import MeasuredRow

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
        pytest.param("import time; time.sleep(60)", 2, "late", "", id="late"),
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
    journal = open_journal(Heading("resnet18", {}, {"cuda": "Fake"}, {}, ()), document)
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

    outcomes = tool.check(tmp_path, 8.0, "NVIDIA H200", "", carry)
    text = (tmp_path / "nvidia-h200" / "README.md").read_text()
    assert len(outcomes) == 2 + 2 * len(tool.NETWORKS)
    assert "| vgg-small-whole |" in text
    assert "| failed | 3 | a \\| b |" in text
    assert text.startswith("# NVIDIA H200\n")


def test_it_runs_where_optional_packages_are_missing() -> None:
    """Everything that the parts import, in a process that has none of the packages a GPU machine lacks."""
    code = (
        "import sys\n"
        "for name in ('halide', 'fvcore', 'pydantic', 'llvmlite', 'duckdb', 'pyarrow', 'dask', 'scipy',\n"
        "             'torchvision', 'sklearn', 'openpyxl', 'playwright', 'transformers', 'hypothesis'):\n"
        "    sys.modules[name] = None\n"
        "import addercost.measure.cuda, addercost.measure.session, addercost.measure.whole_model\n"
        "import addercost.measure.own_kernels, addercost.measure.vendor_kernels\n"
        "import addercost.report.bench_table\n"
        "from addercost.api import trace_spec\n"
        "from addercost.arithmetic import Arithmetic\n"
        "from addercost.measure.session import BenchSettings, model_uses\n"
        "settings = BenchSettings(device='cuda', dtypes=('fp32', 'fp16', 'bf16', 'int8'), cpus=())\n"
        "uses, notes = model_uses(trace_spec('zoo:lenet5-bn'), settings)\n"
        "assert len(uses) == 5, uses\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
