"""`addercost bench` from its arguments to its files, on a device whose clock is a script."""

from __future__ import annotations

import csv
import json
import random
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from scripted_device import ScriptedDevice

from addercost.arithmetic import Arithmetic
from addercost.cli import run as run_cli
from addercost.errors import ArgumentError, CheckFailedError
from addercost.measure import predictions, self_check, session, whole_model
from addercost.measure.bench import timed_row
from addercost.measure.journal import read_measurements
from addercost.measure.runner import Effort
from addercost.measure.session import BenchSettings, open_device
from addercost.measure.speed.reference import ReferenceSpeed
from addercost.report.tables.timings import bench_table
from addercost.results.journal_lines import journal_path
from addercost.results.measurements import FailedRow, MeasuredRow, Measurements, measurements_to_json

SHAPE = "1,8,6,6,8,3,1,1"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    made = ScriptedDevice()
    monkeypatch.setattr(session, "open_device", lambda settings: made)
    return made


def bench(*arguments: str) -> int:
    return run_cli(["bench", *arguments])


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


def slow_speed(factors: list[float]) -> ReferenceSpeed:
    """A machine on which the reference takes these times the quiet time, the last one from then on."""
    left = list(factors)
    return ReferenceSpeed(lambda: left.pop(0) if len(left) > 1 else left[0], quiet_s=1.0)


def test_a_machine_that_is_never_quiet_is_refused_and_its_rows_are_kept(
    device: ScriptedDevice, tmp_path: Path, capsys
) -> None:
    """The reference takes 1.5 times as long beside every block: what was seen, kept, and how to go on."""
    out = tmp_path / "out.json"
    arguments = ("--conv", SHAPE, "--arithmetic", "adder", "-o", str(out), "-q")
    device.speed = slow_speed([1.5])
    assert bench(*arguments) == CheckFailedError.exit_code
    shown = capsys.readouterr()
    assert "0 of " in shown.err and "1.50 times as long" in shown.err and shown.out == ""
    assert str(journal_path(out)) in shown.err and "--accept-noise" in shown.err
    rows = journal_path(out).read_text().splitlines()[1:]
    assert rows and not out.exists()
    device.speed, device.order = slow_speed([1.0]), []
    assert bench(*arguments) == 0
    assert device.order
    assert {row.speed_factor for row in read_measurements(out).rows} == {1.0}
    assert len(read_measurements(out).rows) == len(rows)


def test_the_rows_of_a_slow_machine_are_shown_where_noise_is_accepted(
    device: ScriptedDevice, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    device.speed = slow_speed([1.5])
    assert bench("--conv", SHAPE, "--accept-noise", "-o", str(out), "-q") == 0
    assert {row.speed_factor for row in read_measurements(out).rows} == {1.5}


def test_modes_that_no_cost_model_estimates_are_named() -> None:
    """A model is refused by name where its kernels are not those of eager torch."""
    settings = BenchSettings(end_to_end=True, training=True, cpus=("amd-zen4",))
    notes = " ".join(session._estimate_notes(settings))
    assert "torch.compile has no estimates" in notes and "training steps have no estimates" in notes
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


def test_without_a_document_nothing_of_a_slow_machine_is_kept_and_that_is_said(
    device: ScriptedDevice, capsys
) -> None:
    device.speed = slow_speed([1.5])
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "-q") == CheckFailedError.exit_code
    assert "no timing was kept, name it with -o FILE.json" in capsys.readouterr().err


def test_a_model_with_one_row_a_shape(device: ScriptedDevice, tmp_path: Path, capsys) -> None:
    out, chrome = tmp_path / "out.json", tmp_path / "out.trace.json"
    assert bench(
        "zoo:resnet20-cifar", "--arithmetic", "mac", "-o", str(out), "--chrome-trace", str(chrome),
        "--cpu", "amd-zen4", "-q",
    ) == 0  # fmt: skip
    found = read_measurements(out)
    torch_rows = [row for row in found.rows if row.implementation == "torch"]
    assert sum(row.times for row in torch_rows) == 22
    assert len({row.case for row in torch_rows}) == len(torch_rows)
    assert "22 layers together" in capsys.readouterr().out
    events = json.loads(chrome.read_text())["traceEvents"]
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    measured = next(key for key, name in tracks.items() if name == "mac torch fp32")
    layers = [e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == measured]
    assert len(layers) == 22
    assert all(a["ts"] + a["dur"] == pytest.approx(b["ts"]) for a, b in pairwise(layers))
    assert any("throughput on amd-zen4" in name for (process, _), name in tracks.items() if process == 2)
    assert not any("throughput" in name for (process, _), name in tracks.items() if process == 1)


def test_estimates_stand_in_columns_that_say_so(device: ScriptedDevice, capsys) -> None:
    assert bench("--conv", SHAPE, "--arithmetic", "mac", "--cpu", "amd-zen4", "-q") == 0
    text = capsys.readouterr().out
    assert "predicted" in text and "Predicted columns are estimates" in text


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


def test_a_layer_that_no_kernel_takes_is_marked_and_the_rest_goes_on(
    device: ScriptedDevice, tmp_path: Path, capsys
) -> None:
    (tmp_path / "m.py").write_text(
        "from torch import nn\nimport torch\n"
        "model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ConvTranspose2d(8, 4, 3))\n"
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
        "model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))\n"
        "example_inputs = (torch.randn(1, 1, 8, 8),)\n"
    )
    out = tmp_path / "out.json"
    assert bench(
        str(small), "--arithmetic", "mac,adder", "--dtype", "fp32,int8", "--end-to-end", "--training",
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


def test_a_whole_model_is_converted(device: ScriptedDevice, monkeypatch) -> None:
    """The adder row runs adder layers, in every mode, and its reference none."""
    from addercost.kernels import dispatch

    plans = session.whole_model_rows(
        "zoo:lenet5-bn", None, BenchSettings(end_to_end=True, training=True), session_trace()
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
    whole = session.whole_model_rows("zoo:lenet5-bn", None, settings, session_trace())[0]
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
        plans = session.whole_model_rows("zoo:lenet5-bn", None, settings, session_trace())
        eager = next(plan for plan in plans if plan.row.implementation == "eager")
        assert bool(eager.row.predicted) is expected


def test_a_cost_that_leaves_something_out_is_no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = iter([True, False])

    def estimate(counts: object, table: object, model: str) -> SimpleNamespace:
        return SimpleNamespace(
            interval_s=None, hardware="cpu", model=model, seconds=1e-3, complete=next(complete)
        )

    monkeypatch.setattr(predictions, "estimate", estimate)
    predict = predictions.predictor(["amd-zen4"], ["throughput", "roofline"], None)
    assert [made.model for made in predict(session_trace(), Arithmetic.MAC)] == ["throughput"]


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


def session_trace():
    from addercost.api import trace_model

    return trace_model("zoo:lenet5-bn")


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


def test_a_machine_that_passes_the_self_check(device: ScriptedDevice, monkeypatch, capsys) -> None:
    monkeypatch.setattr(self_check, "_slower", slower_by_script)
    assert bench("--self-check", "5") == 0
    text = capsys.readouterr().out
    assert "cannot tell in 5 of 5 pairs (100.0%" in text and "found in 5 of 5 pairs (100.0%" in text


def test_a_machine_that_does_not(device: ScriptedDevice, monkeypatch, capsys) -> None:
    """A machine whose clock does not see the slowdown."""
    monkeypatch.setattr(self_check, "_slower", lambda device: lambda call, like, share: call)
    assert bench("--self-check", "5", "-q") == 1
    found = capsys.readouterr()
    assert "found in 0 of 5 pairs (0.0%" in found.out and "not to be trusted" in found.err


def slower_by_script(device: ScriptedDevice):
    def slowed(call, like, share):
        def both() -> None:
            call()

        both.seconds = device.default_s * (1 + share)
        return both

    return slowed


def test_measure_model_in_python(device: ScriptedDevice) -> None:
    import torch
    from torch import nn

    import addercost

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 5))
    settings = addercost.BenchSettings(arithmetics=(addercost.Arithmetic.MAC,), training=True)
    found = addercost.measure_model(model, torch.zeros(2, 3, 6, 6), settings=settings)
    assert isinstance(found, Measurements)
    assert {row.case for row in found.rows if row.path} == {"2,3,6,6,4,3,1,0", "linear:2,64,5"}
    assert [row.implementation for row in found.rows if not row.path] == ["training step"]
