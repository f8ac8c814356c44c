"""`addercost doctor`: what is there, what is missing, what is broken, and what would mend it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from addercost.cli import run as run_cli
from addercost.cli.group import cli
from addercost.hardware.loader import list_hardware
from addercost.hardware.matching import matching_tables
from addercost.measure.doctor import examine as examination
from addercost.measure.doctor import gpu, packages, processor
from addercost.measure.doctor.finding import FindingState, MachineFinding
from addercost.measure.doctor.gpu import gpu_table
from addercost.measure.doctor.packages import package
from tests.measure.fake_cuda import FakeNvml

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["doctor", *arguments])


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a package with this code and version that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, code: str, version: str) -> None:
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return make


@pytest.mark.parametrize(
    ("code", "version", "state", "found"),
    [
        pytest.param("", "2.11.3", FindingState.OK, "2.11.3", id="fine"),
        pytest.param("", "2.11+cpu", FindingState.OK, "2.11+cpu", id="local-version"),
        pytest.param("", "2.9.1", FindingState.BROKEN, "2.9.1, older than 2.11", id="old: 2.9 before 2.11"),
        pytest.param("raise ImportError('no libfoo')", "3.0", FindingState.BROKEN, "no libfoo", id="raises"),
        pytest.param("raise SystemExit(3)", "3.0", FindingState.BROKEN, "SystemExit: 3", id="exits"),
        pytest.param("1 / 0", "3.0", FindingState.BROKEN, "ZeroDivisionError", id="any-error"),
    ],
)
def test_a_package(stand_in: Any, code: str, version: str, state: FindingState, found: str) -> None:
    stand_in("brittle", code, version)
    finding = package("extra x", "brittle", "2.11", "pip install 'addercost[x]'", needed=False, load=True)
    assert finding.state is state
    assert found in finding.found
    assert (finding.mend != "") == (state is FindingState.BROKEN)


@pytest.mark.parametrize("load", [False, True])
def test_a_torchvision_for_another_torch_is_told(load: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its models work here, its own import fails: neither plainly fine nor broken."""
    from addercost.sources import torchvision_models

    monkeypatch.setattr(torchvision_models, "is_built_for_cuda_only", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    found = package("extra vision", "torchvision", "", "pip install it", False, load)
    assert found.state is FindingState.NOTE and "made for this torch" in found.mend and not found.fails


@pytest.mark.parametrize(("needed", "state"), [(True, FindingState.MISSING), (False, FindingState.OPTIONAL)])
def test_a_package_that_is_not_there(needed: bool, state: FindingState) -> None:
    finding = package("x", "surely-not-installed", "1", "pip install it", needed, load=True)
    assert (finding.state, finding.mend, finding.fails) == (state, "pip install it", needed)


def test_a_package_blocked_from_import_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brittle", None)
    assert package("x", "brittle", "", "", needed=True, load=True).state is FindingState.BROKEN


def test_an_examination_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Any:
        yield MachineFinding("part", "first", FindingState.OK)
        raise OSError("the disk is gone")

    monkeypatch.setattr(examination, "clock", fails)
    findings = examination.examine()
    assert any("the disk is gone" in f.found and f.state is FindingState.BROKEN for f in findings)
    assert {"processor", "compilers"} <= {f.part for f in findings}


def test_requirements_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same from an installed package and from a bare checkout."""
    installed = packages.requirements()

    def absent(name: str) -> Any:
        raise packages.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "requires", absent)
    checkout = packages.requirements()
    assert ("torch", "2.11") in checkout[""]
    assert [name for name, _ in checkout["cpu"]] == ["halide", "llvmlite"]
    assert "dev" not in checkout
    for extra, wanted in installed.items():
        assert set(wanted) == set(checkout[extra])


@pytest.mark.parametrize(
    ("samples", "state", "found"),
    [
        pytest.param([4e9, 4.05e9], FindingState.OK, "4.00 to 4.05 GHz", id="steady"),
        pytest.param([3e9, 4e9], FindingState.NOTE, "3.00 to 4.00 GHz", id="moving"),
        pytest.param([None], FindingState.NOTE, "not measured", id="another-instruction-set"),
        pytest.param([OSError("llvmlite is broken")], FindingState.NOTE, "not measured", id="broken"),
    ],
)
def test_the_core_clock(
    samples: list[Any], state: FindingState, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steady within 2 %."""
    script = itertools.cycle(samples)

    def clock_hz(rounds: int) -> float | None:
        sample = next(script)
        if isinstance(sample, Exception):
            raise sample
        return sample

    monkeypatch.setattr(processor, "clock_hz", clock_hz)
    monkeypatch.setattr(processor, "CLOCK_PAUSE_S", 0)
    (finding,) = [f for f in processor.clock() if f.thing == "core clock"]
    assert finding.state is state and found in finding.found


@pytest.mark.parametrize(
    ("load", "state"), [(0.9, FindingState.OK), (3.0, FindingState.NOTE)], ids=["idle", "busy"]
)
def test_the_load(load: float, state: FindingState, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than half a program a core is busy: here, more than 2."""
    monkeypatch.setattr(processor.os, "getloadavg", lambda: (load, 0, 0))
    monkeypatch.setattr(processor.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(processor, "clock_samples_hz", list)
    (finding,) = [f for f in processor.clock() if f.thing == "load"]
    assert finding.state is state


def test_the_built_in_table_of_a_core() -> None:
    assert matching_tables("znver4") == ("amd-zen4",)
    assert matching_tables("neoverse-v1") == ("neoverse-v1",)
    assert matching_tables("znver") == matching_tables("") == ()


@pytest.mark.parametrize(
    ("device", "table"),
    [
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 5090", ""),
        ("NVIDIA L40S", ""),
    ],
)
def test_the_built_in_table_of_a_gpu(device: str, table: str) -> None:
    assert table == "" or table in {file.name for file in list_hardware(kind="gpu")}
    assert gpu_table(device) == table


def test_the_command_prints_json_and_exits_0() -> None:
    result = run("--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    parts = {"processor", "clock", "Python", "always needed", "kernels", "compilers"}
    assert parts <= {r["part"] for r in rows}
    assert set(rows[0]) == {"part", "thing", "state", "found", "mend"}


def test_strict_fails_for_what_is_needed_only(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    rows = [
        MachineFinding("extra x", "a", FindingState.OPTIONAL, mend="pip install a"),
        MachineFinding("GPU", "b", FindingState.NOTE),
    ]
    monkeypatch.setattr(examination, "examine", lambda deep: tuple(rows))
    assert run_cli(["doctor", "--strict"]) == 0
    rows.append(MachineFinding("kernels", "c", FindingState.MISSING, mend="pip install c", needed=True))
    assert run_cli(["doctor"]) == 0
    capsys.readouterr()
    assert run_cli(["doctor", "--strict"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install c" in error


def test_a_package_whose_module_has_another_name_is_found() -> None:
    """nvidia-ml-py is imported as `pynvml`, scikit-learn as `sklearn`."""
    for name in ("nvidia-ml-py", "scikit-learn"):
        assert package("extra x", name, "", "", needed=False, load=True).state is FindingState.OK


@pytest.mark.parametrize(
    ("library", "found", "mend"),
    [
        pytest.param(None, "nvidia-ml-py is not installed", "pip install 'addercost[gpu]'", id="no-package"),
        pytest.param(FakeNvml({}, broken=True), "Driver Not Loaded", "", id="no-driver"),
    ],
)
def test_why_a_gpu_has_no_counters(
    library: Any, found: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`None` in sys.modules makes the import fail, as where the package is missing."""
    monkeypatch.setitem(sys.modules, "pynvml", library)
    (finding,) = gpu.counters("GPU", SimpleNamespace(uuid="00-fake"))
    assert finding.state is FindingState.NOTE
    assert found in finding.found and "no clocks" in finding.found
    assert finding.mend == mend


def test_the_counters_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {
        "nvmlDeviceGetClockInfo": 1755,
        "nvmlDeviceGetMaxClockInfo": 1980,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4,
    }
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(numbers))
    findings = {f.thing: f for f in gpu.counters("GPU", SimpleNamespace(uuid="00-fake"))}
    assert findings["driver"].found == "580.1"
    assert findings["clock"].found == "1755 of 1980 MHz now"
    assert findings["limited by"].found == "power cap"
    assert findings["energy"].state is FindingState.NOTE, "this one counts no energy"


def test_without_torch_and_other_packages_it_still_answers() -> None:
    """In a process where importing them fails, as on a machine that has none of them."""
    code = (
        "import sys\n"
        "for name in ('torch', 'halide', 'llvmlite', 'triton', 'fvcore', 'msgspec', 'pynvml', 'pandas',\n"
        "             'jinja2'):\n"
        "    sys.modules[name] = None\n"
        "from addercost.cli import main\n"
        "sys.argv = ['addercost', 'doctor', '--format', 'json']\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = {(r["part"], r["thing"]): r for r in json.loads(done.stdout)}
    assert rows["always needed", "torch"]["state"] in ("missing", "broken")
    assert rows["always needed", "torch"]["mend"].startswith("pip install")
    assert rows["kernels", "layers"]["state"] == "missing"
    assert ("processor", "model") in rows
