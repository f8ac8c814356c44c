"""tools/machine_report.py: its figures are those of the timings beside them, made up and as committed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from addercost.hardware import matching
from addercost.measure.journal import JournalHeading, open_journal, read_measurements, rescued
from addercost.results.journal_lines import journal_path
from addercost.results.measurements import MeasuredRow, Measurements

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "machine_report.py"


@pytest.fixture(scope="module")
def report() -> ModuleType:
    spec = importlib.util.spec_from_file_location("machine_report", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(SCRIPT.parent))  # as for a script, whose folder is on the path
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    return module


def row(path: str, arithmetic: str, implementation: str, own_s: float, reference_s: float) -> MeasuredRow:
    return MeasuredRow(
        path, arithmetic, (own_s,) * 24, implementation, "fp32", paths=(path,) if path else (),
        positions=(0,), reference="torch fp32", reference_samples_s=(reference_s,) * 24,
    )  # fmt: skip


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_processors_of_one_name_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers call their processors AMD EPYC; LLVM knows their cores apart, but not every core."""
    monkeypatch.setattr(matching, "cpu_model", lambda: "AMD EPYC")
    found = []
    for core in ("znver3", "znver4", "a core without a table"):
        monkeypatch.setattr(matching, "core_name", lambda core=core: core)
        found.append(matching.this_processor())
    assert found == ["amd-zen3", "amd-zen4", "amd-epyc"]


def test_ratios_of_layers_and_of_whole_models(report: ModuleType) -> None:
    """A layer of 4 ms against 1 ms is 0.25 of the CNN's speed; a step of 2 ms against 6 ms three times it."""
    rows = (
        row("conv1", "adder", "addercost layer", 4e-3, 1e-3),
        row("", "xnor", "training step", 2e-3, 6e-3),
    )
    timings = Measurements("net", {"cpu": "c|pu"}, rows, settings={"batch": "8"})
    text = "\n".join(report.index({"cpu": "c|pu"}, {"net": timings}, ["bench other: stopped"]))
    first, second = table(text.partition("\n## ")[0])
    assert first[0] == "net, batch 8" and first[3].startswith("0.250") and first[4] == "slower"
    assert second[1] == "fp32: xnor, whole model" and second[3].startswith("3.000") and second[4] == "faster"
    assert "c\\|pu" in text and "- bench other: stopped" in text


def test_rows_of_a_stopped_run_are_kept(tmp_path: Path) -> None:
    document = tmp_path / "net.json"
    assert not rescued(document)
    heading = JournalHeading("net", {}, {"cpu": "c"}, {})
    open_journal(heading, document).add("key", row("conv1", "adder", "addercost layer", 4e-3, 1e-3))
    assert rescued(document) and not journal_path(document).exists()
    assert [item.path for item in read_measurements(document).rows] == ["conv1"]


def test_timings_that_are_there_get_the_tables_estimates(
    report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be older than the table."""
    asked: list[list[str]] = []
    monkeypatch.setattr(
        report.Progress, "run", lambda self, arguments, what, limit_s: asked.append(list(arguments)) or True
    )
    (tmp_path / "lenet5-bn.json").touch()
    tables = ("--cpu", "host", "--hardware-path", str(tmp_path))
    report.measure("lenet5-bn", tmp_path, tables, 0.1, 60.0, report.Progress(0.0))
    show = asked[0]
    assert show[:3] == ["bench", "show", str(tmp_path / "lenet5-bn.json")]
    assert set(tables) < set(show) and show[-2:] == ["-o", str(tmp_path / "lenet5-bn.json")]
    assert not any(arguments[:2] == ["bench", "zoo:lenet5-bn"] for arguments in asked)


def test_a_dry_run_measures_nothing(
    report: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--dry-run"])
    monkeypatch.delattr(report.Progress, "run")
    report.main()
    out = capsys.readouterr().out
    assert out.count("batch") == len(report.BATCHES) and "resnet50" in out


COMMITTED = sorted(
    path.parent
    for path in (ROOT / "reports").glob("*/README.md")
    if "machine_report.py" in path.read_text("utf-8")
)


@pytest.mark.exhaustive
@pytest.mark.parametrize("folder", COMMITTED, ids=[path.name for path in COMMITTED])
def test_committed_figures_are_those_of_the_committed_samples(report: ModuleType, folder: Path) -> None:
    text = (folder / "README.md").read_text("utf-8")
    found = {
        name: read_measurements(folder / f"{name}.json")
        for name in report.BATCHES
        if (folder / f"{name}.json").exists()
    }
    again = "\n".join(report.index({"cpu": folder.name}, found, []))
    assert table(again.partition("\n## ")[0]) == table(text.partition("\n## ")[0])
