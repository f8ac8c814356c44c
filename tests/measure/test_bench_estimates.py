"""The estimates beside what `addercost bench` times, on a device whose clock is a script."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from bench_runs import SHAPE, bench, lenet5_bn
from scripted_device import ScriptedDevice

from addercost.arithmetic import Arithmetic
from addercost.cli import run as run_cli
from addercost.measure import predictions, session
from addercost.measure.journal import read_measurements
from addercost.measure.session import BenchSettings
from addercost.results.measurements import MeasuredRow, Measurements, measurements_to_json


def test_modes_that_no_cost_model_estimates_are_named() -> None:
    """A model is refused by name where its kernels are not those of eager torch."""
    settings = BenchSettings(end_to_end=True, training=True, cpus=("amd-zen4",))
    notes = " ".join(session._estimate_notes(settings))
    assert "no estimates of torch.compile by calibrated-fused: no kernels were timed on amd-zen4" in notes
    assert "training steps have no estimates" in notes
    assert "no estimates" not in " ".join(session._estimate_notes(BenchSettings(cpus=("amd-zen4",))))


@pytest.mark.parametrize(
    ("arithmetics", "noted"),
    [
        pytest.param((Arithmetic.MAC, Arithmetic.ADDER), 1, id="additions-beside"),
        pytest.param((Arithmetic.MAC,), 0, id="multiplications-alone"),
    ],
)
def test_a_matrix_unit_is_named_where_additions_are_compared_with_it(
    arithmetics: tuple[Arithmetic, ...], noted: int
) -> None:
    settings = BenchSettings(arithmetics, dtypes=("fp32", "int8"), cpus=("intel-sapphirerapids",))
    notes = session._estimate_notes(settings)
    assert sum(note.startswith("matrix unit of intel-sapphirerapids: in int8") for note in notes) == noted


def test_estimates_stand_in_columns_that_say_so(device: ScriptedDevice, capsys) -> None:
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "--cpu", "amd-zen4", "-q") == 0
    text = capsys.readouterr().out
    assert "predicted" in text and "Predicted columns are estimates" in text


@pytest.mark.exhaustive
def test_estimates_added_later_are_those_of_a_run_with_them(device: ScriptedDevice, tmp_path: Path) -> None:
    """Convolutions and linear layers, ways with estimates and without, in floating point and in integers."""
    with_table, without, later = (tmp_path / f"{name}.json" for name in ("with", "without", "later"))
    (tmp_path / "m.py").write_text(
        "from torch import nn\nimport torch\n"
        "model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 5))\n"
        "example_inputs = torch.zeros(1, 4, 6, 6)\n"
    )
    model = (str(tmp_path / "m.py"), "--dtype", "fp32,int8", "-q")
    assert bench(*model, "--cpu", "amd-zen4", "-o", str(with_table)) == 0
    assert bench(*model, "--cpu", "none", "-o", str(without)) == 0
    assert bench("show", str(without), "--cpu", "amd-zen4", "-o", str(later)) == 0
    expected = [(row.case, row.implementation, row.predicted) for row in read_measurements(with_table).rows]
    found = read_measurements(later)
    assert [(row.case, row.implementation, row.predicted) for row in found.rows] == expected
    assert any(predicted for _, _, predicted in expected) and not all(p for _, _, p in expected)
    assert found.settings["cpus"] == "amd-zen4"


def test_without_estimates_there_is_nothing_to_compare(
    device: ScriptedDevice, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out.json"
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "--cpu", "none", "-o", str(out), "-q") == 0
    figure = tmp_path / "p.svg"
    assert run_cli(["plot", "predicted-vs-measured", str(out), "-o", str(figure)]) == 2
    assert "carry no estimates" in capsys.readouterr().err and not figure.exists()


def test_estimates_are_of_one_core(tmp_path: Path, capsys) -> None:
    file = tmp_path / "two.json"
    file.write_text(
        measurements_to_json(Measurements("net", {"threads": "2"}, (MeasuredRow("a", "mac", (1.0,)),)))
    )
    assert bench("show", str(file), "--cpu", "amd-zen4") == 2
    assert "2 threads; estimates are of one core" in capsys.readouterr().err
    assert bench("show", str(file), "--cost-model", "throughput") == 2
    assert "name a --cpu" in capsys.readouterr().err


def test_a_cost_that_leaves_something_out_is_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = iter([True, False])

    def estimate(counts: object, table: object, model: str) -> SimpleNamespace:
        return SimpleNamespace(
            interval_s=None, hardware="cpu", model=model, seconds=1e-3, complete=next(complete)
        )

    monkeypatch.setattr(predictions, "estimate", estimate)
    predict = predictions.predictor(["amd-zen4"], ["throughput", "roofline"], None)
    assert [made.model for made in predict(lenet5_bn(), Arithmetic.MAC)] == ["throughput"]
