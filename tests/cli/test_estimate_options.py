"""Options that name a processor, a folder of tables or a memory, where commands did not have them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from addercost.cli import run
from addercost.hardware import load_cpu
from addercost.hardware.loader import ENVIRONMENT_VARIABLE

MACS = ("--convention", "macs")


def test_cycles_of_one_processor(capsys: pytest.CaptureFixture[str]) -> None:
    """416,520 sites at 4 + 2 cycles."""
    named = ("check", "zoo:lenet5-bn", *MACS, "--cpu", "via-nano-2000", "--cost-model", "latency-sum")
    assert run([*named, "--max", f"cycles={416_520 * 6}"]) == 0
    assert run([*named, "--max", f"cycles={416_520 * 6 - 1}"]) == 1
    assert "cycles@via-nano-2000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--max", "cycles=1M"], "quantity", id="cycles-of-no-processor"),
        pytest.param(
            ["--max", "mul=1M", "--cpu", "amd-zen4"], "add --max cycles=1M", id="a-processor-for-nothing"
        ),
    ],
)
def test_check_says_what_is_missing(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "zoo:lenet5-bn", *options]) == 2
    assert words in capsys.readouterr().err


def test_sorted_by_cycles_on_one_processor(capsys: pytest.CaptureFixture[str]) -> None:
    """conv2 has 240,000 sites, conv1 117,600, fc1 48,000."""
    asked = ("profile", "examples/lenet5_bn.py", *MACS, "--sort", "cycles", "--format", "csv")
    assert run([*asked, "--cpu", "amd-zen4"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split(",")[0] for row in rows[:3]] == ["conv2", "conv1", "fc1"]
    assert run([*asked, "--cpu", "amd-zen4", "--cpu", "amd-zen3"]) == 2
    assert "cycles@amd-zen4, cycles@amd-zen3" in capsys.readouterr().err


def test_memory_of_a_report(tmp_path: Path) -> None:
    """DRAM at 45 nm adds its energy for every byte; a profile says the same."""
    file = tmp_path / "report.json"
    asked = ("--energy", "45nm", "--cpu", "none", "--as", "mac", "--memory", "dram")
    assert run(["report", "zoo:lenet5-bn", *MACS, *asked, "-o", str(file)]) == 0
    shown = tmp_path / "profile.json"
    options = (*MACS, "--cpu", "none", "--energy", "45nm", "--memory", "dram", "--format", "json")
    assert run(["profile", "zoo:lenet5-bn", *options, "-o", str(shown)]) == 0
    (energy,) = json.loads(shown.read_text())["energy"]
    (subject,) = json.loads(file.read_text())["subjects"]
    (in_report,) = subject["energies"]
    assert energy["total_j"] > energy["arithmetic_j"]
    assert in_report["joules"] == pytest.approx(energy["total_j"])


CAVEAT = load_cpu("via-nano-2000").caveats[0]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["profile", "zoo:lenet5-bn", "--cpu", "via-nano-2000"], id="profile"),
        pytest.param(["compare", "zoo:lenet5-bn", "--as", "mac"], id="compare"),
        pytest.param(["verdict", "zoo:lenet5-bn", "--no-measure", "--cpu", "amd-zen4"], id="verdict"),
    ],
)
def test_doubts_about_a_table_stand_below_its_figures(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert run([*command, *(MACS if command[0] != "verdict" else ())]) == 0
    assert f"caveat of via-nano-2000: {CAVEAT}" in capsys.readouterr().out


def test_a_sweep_finds_tables_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    table = Path(load_cpu("via-nano-2000").file)
    (tmp_path / "cpus").mkdir()
    named = table.read_text(encoding="utf-8").replace('"via-nano-2000"', '"my-part"')
    (tmp_path / "cpus" / "my-part.toml").write_text(named, encoding="utf-8")
    asked = ["sweep", "zoo:lenet5-bn", "--cpu", "my-part", "--dry-run"]
    assert run([*asked, "--hardware-path", str(tmp_path)]) == 0
    assert os.environ[ENVIRONMENT_VARIABLE] == str(tmp_path.resolve())
    code = run([*asked, "--hardware-path", str(tmp_path), "--dask", "tcp://localhost:1"])
    assert code == 2 and "a folder of this machine" in capsys.readouterr().err


def test_timings_are_not_estimated_by_a_table_without_a_clock(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file: Any = Path(__file__).parents[2] / "reports" / "amd-zen4" / "lenet5-bn.json"
    assert run(["bench", "show", str(file), "--cpu", "cortex-a9"]) == 2
    assert "the table has no clock; give one: --clock 1.8GHz" in capsys.readouterr().err
    assert run(["bench", "show", str(file), "--cpu", "cortex-a9", "--clock", "1.8GHz"]) == 0


def test_budgets_on_an_accelerator(capsys: pytest.CaptureFixture[str]) -> None:
    """The cycles and joules are those that a profile gives."""
    on_array = ("--accelerator", "tpu-like")
    assert run(["profile", "zoo:lenet5-bn", *on_array, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["accelerators"]
    joules = sum(found["energy_j"].values())
    budgets = {"cycles": found["cycles"], "energy": joules}
    for kind, amount in budgets.items():
        named = ["check", "zoo:lenet5-bn", *on_array, "--max"]
        assert run([*named, f"{kind}@tpu-like={amount * 1.001}"]) == 0
        assert run([*named, f"{kind}@tpu-like={amount * 0.999}"]) == 1
    capsys.readouterr()
    assert run(["check", "zoo:lenet5-bn", *on_array, "--max", "mul=1G"]) == 2
    assert "add --max cycles@tpu-like=1M" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--cost-model", "calibrated"], "figures for none of the", id="no-processor-has-any"),
        pytest.param(["--kernels", "times.json"], "--kernels is of a --cpu", id="kernels-of-nothing"),
        pytest.param(
            ["--cost-model", "calibrated", "--cpu", "amd-zen4"],
            "no estimate by calibrated",
            id="one-has-none",
        ),
    ],
)
def test_rank_says_why_it_cannot(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rank", "zoo:lenet5-bn", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_rank_without_doubts_has_no_column_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    doubtful, plain = "via-nano-2000", "neoverse-n1"
    assert load_cpu(doubtful).caveats and not load_cpu(plain).caveats
    for name, has_column in ((doubtful, True), (plain, False)):
        assert run(["rank", "zoo:lenet5-bn", "--cpu", name, "--format", "csv"]) == 0
        out = capsys.readouterr().out
        assert any(line.endswith(",caveat") for line in out.splitlines()) is has_column
