"""`addercost bench` of whole models, on a device whose clock is a script."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bench_runs import bench, lenet5_bn
from scripted_device import ScriptedDevice

from addercost.measure import session, whole_model
from addercost.measure.bench import timed_row
from addercost.measure.journal import read_measurements
from addercost.measure.plan import RowPlan
from addercost.measure.runner import Effort
from addercost.measure.session import BenchSettings
from addercost.results.measurements import MeasuredRow, Measurements, PredictedTime


@pytest.mark.usefixtures("either_kernel")
def test_whole_models(device: ScriptedDevice, tmp_path: Path, monkeypatch, capsys) -> None:
    """The compiler fails: its rows are marked, eager ones and training steps go on."""

    def refuses(model):
        def call(*inputs):
            raise RuntimeError("no compiler: g++ is missing")

        return call

    monkeypatch.setattr(whole_model.torch, "compile", refuses)
    small = tmp_path / "small.py"
    small.write_text(
        "import torch\n"
        "from torch import nn\n"
        "model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4))\n"
        "example_inputs = (torch.randn(1, 4, 8, 8),)\n"
    )
    out = tmp_path / "out.json"
    assert bench(
        str(small), "--arithmetic", "mac,adder", "--end-to-end", "--training",
        "-o", str(out), "-q",
    ) == 0  # fmt: skip
    found = read_measurements(out)
    whole = [(row.arithmetic, row.implementation) for row in found.rows if not row.path]
    assert whole == [
        ("mac", "eager"),
        ("adder", "eager"),
        ("mac", "training step"),
        ("adder", "training step"),
    ]
    failed = [row for row in found.failed if not row.path]
    assert [row.implementation for row in failed] == ["torch.compile"] * 2
    assert "g++ is missing" in failed[0].reason


@pytest.mark.usefixtures("either_kernel")
def test_a_whole_model_is_converted(device: ScriptedDevice) -> None:
    """The adder row runs adder layers, in every mode, and its reference none."""
    from addercost.kernels import dispatch

    plans = session.whole_model_rows(
        "zoo:lenet5-bn", None, BenchSettings(end_to_end=True, training=True), lenet5_bn()
    )
    by_name = {(p.row.arithmetic, p.row.implementation): p for p in plans}
    for mode in ("eager", "training step"):
        call, reference = by_name["adder", mode].make(None)
        before = sum(dispatch.runs.values())
        call()
        used = sum(dispatch.runs.values())
        assert used > before
        reference()
        assert sum(dispatch.runs.values()) == used
        assert by_name["mac", mode].make(None)[1] is None


def test_a_whole_model_has_ten_times_a_layers_time() -> None:
    """On a device that never agrees with itself, a row takes its time limit and stops."""
    noise = random.Random(0)
    scripted = ScriptedDevice(iter(lambda: noise.gauss(0, 1), None))
    settings = BenchSettings(end_to_end=True)
    whole = session.whole_model_rows("zoo:lenet5-bn", None, settings, lenet5_bn())[0]
    effort = Effort(precision=1e-4, time_limit_s=1.0)
    took = []
    for plan in (whole, replace(whole, patience=1.0)):
        start = scripted.now()
        row = timed_row(plan, scripted, effort)
        assert isinstance(row, MeasuredRow) and not row.converged
        took.append(scripted.now() - start)
    assert took[0] == pytest.approx(10 * took[1], rel=0.3)


def test_a_whole_model_has_estimates_for_one_input_only() -> None:
    """They are of the traced forward; a larger batch would stand beside the time of a smaller one."""
    for batch, expected in ((1, True), (2, False)):
        settings = BenchSettings(end_to_end=True, batch=batch, cpus=("amd-zen4",))
        plans = session.whole_model_rows("zoo:lenet5-bn", None, settings, lenet5_bn())
        eager = next(plan for plan in plans if plan.row.implementation == "eager")
        assert bool(eager.row.predicted) is expected


def test_each_mode_has_the_estimates_of_its_own_cost_models(monkeypatch) -> None:
    """A model of compiled networks says nothing of eager ones, and the other way round."""

    def predictor(cpus, models, path):
        return lambda trace, arithmetic: tuple(PredictedTime(cpus[0], name, 1.0) for name in models)

    monkeypatch.setattr(session, "predictor", predictor)
    settings = BenchSettings(end_to_end=True, training=True, cpus=("amd-zen4",))
    plans = session.whole_model_rows("zoo:lenet5-bn", None, settings, lenet5_bn())
    models = {plan.row.implementation: {made.model for made in plan.row.predicted} for plan in plans}
    assert models["torch.compile"] == {"calibrated-fused"} and models["training step"] == set()
    assert {"calibrated", "roofline"} <= models["eager"] and "calibrated-fused" not in models["eager"]


def test_measure_model_in_python(device: ScriptedDevice) -> None:
    import torch
    from torch import nn

    import addercost

    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, (1, 3), groups=4))
    settings = addercost.BenchSettings(arithmetics=(addercost.Arithmetic.MAC,), training=True)
    found = addercost.measure_model(model, torch.zeros(2, 4, 6, 6), settings=settings)
    assert isinstance(found, Measurements)
    assert {row.case for row in found.rows if row.path} == {"2,4,6,6,4,3,1,0,4", "2,4,4,4,4,1x3,1,0,4"}
    assert [row.implementation for row in found.rows if not row.path] == ["training step"]


@pytest.mark.parametrize(("threads", "alone"), [(1, True), (2, False)])
def test_a_whole_model_is_timed_apart_from_the_layers(threads: int, alone: bool, tmp_path: Path) -> None:
    """On one core in a process of its own, since one that has run many layers is slower."""
    file, square = tmp_path / "process", torch.ones(500, 500)

    def make(free_bytes: int | None) -> tuple[Callable[[], None], None]:
        file.write_text(str(os.getpid()))
        square @ square
        return lambda: None, None

    row = MeasuredRow(path="", arithmetic="mac", samples_s=(), implementation="eager")
    settings = BenchSettings(cpus=(), threads=threads, time_limit_s=0.01)
    before = torch.get_num_threads()
    # A thread of torch waits in this process from now on, and a copy of it has none.
    torch.set_num_threads(2)
    try:
        square @ square
        found = session.measure("m", (), settings, ScriptedDevice(), extra=[RowPlan(row, make)])
    finally:
        torch.set_num_threads(before)
    assert [each.implementation for each in found.rows] == ["eager"] and found.rows[0].samples_s
    assert (int(file.read_text()) != os.getpid()) == alone
