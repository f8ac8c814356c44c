"""`addercost validate --models`: what is timed, how rows are grouped, kills, and names that are wrong."""

from __future__ import annotations

import importlib
import json
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_runs import slow_row
from torch import Tensor, nn

from addercost.cli import run
from addercost.cli.validate_networks import named_networks
from addercost.cost.target_registry import load_target
from addercost.errors import ArgumentError, CheckFailedError, ModelError
from addercost.measure import noise, session
from addercost.measure.case import parse_case, read_case
from addercost.measure.layer_predictions import layer_predictor
from addercost.measure.session import BenchSettings
from addercost.measure.speed.separate_timings import SeparateTimings
from addercost.measure.validation import networks
from addercost.measure.validation.kept_traces import folder_beside
from addercost.measure.validation.layer_groups import layer_family, layer_kind
from addercost.measure.validation.networks import ValidationNetwork
from addercost.results.journal_lines import journal_path
from addercost.results.validation import NETWORKS, ValidationRow, read_validation
from addercost.sources import torchvision_operators
from addercost.sources.torchvision_models import make_importable
from addercost.trace.inputs import ModelInputs

pytestmark = pytest.mark.usefixtures("undrawn_validation")
QUICK = ("--cpu", "amd-zen4", "--time-limit", "0.01", "--again", "0", "-q")


@pytest.fixture
def any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows count whatever else the machine does meanwhile."""
    for module in (networks, noise):
        monkeypatch.setattr(module, "is_slow", lambda *row: False)


def validate(*arguments: str) -> int:
    return run(["validate", *arguments, *QUICK])


@pytest.mark.exhaustive
@pytest.mark.usefixtures("any_speed")
def test_networks_and_layers_stand_beside_their_predictions(tmp_path: Path) -> None:
    """LeNet-5-BN has 416,520 sites in every arithmetic; the largest network is left out and named."""
    arguments = ("--models", "zoo:lenet*,zoo:lenet5-bn:adder,zoo:vgg-small", "--layers", "1")
    assert validate(*arguments, "--most-sites", "300M", "-o", str(tmp_path)) == 0
    found = read_validation(tmp_path / "validation.json")
    networks = {row.name: row for row in found.rows if row.group == NETWORKS}
    assert list(networks) == ["zoo:lenet5-bn", "zoo:lenet++", "zoo:lenet5-bn:adder"]
    assert networks["zoo:lenet5-bn"].mac_sites == networks["zoo:lenet5-bn:adder"].mac_sites == 416_520
    assert [item.name for item in found.skipped] == ["zoo:vgg-small"]
    layers = [row for row in found.rows if row.group != NETWORKS]
    assert len({row.name.split()[0] for row in layers}) == 1
    assert {"layers, mac fp32, torch", "layers, adder fp32, addercost layer"} <= {row.group for row in layers}
    assert all(row.predicted and row.measured_s > 0 for row in found.rows)


class EndsItsProcess(nn.Module):
    """It can be traced and not run."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "meta":
            os.kill(os.getpid(), signal.SIGKILL)
        return x


@pytest.mark.usefixtures("any_speed")
def test_every_row_has_a_process_of_its_own_and_one_that_ends_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timing leaves anything in this process, or in that of the next one."""
    found = tmp_path / "processes"
    real = networks._made

    def made(network: ValidationNetwork, free_bytes: int | None) -> Any:
        with found.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return real(network, free_bytes)

    def named(*arguments: Any) -> list[ValidationNetwork]:
        ends = ValidationNetwork("ends", EndsItsProcess, (torch.empty(1, 3, device="meta"),))
        return [ends, *named_networks("zoo:lenet*", None)]

    monkeypatch.setattr(networks, "_made", made)
    monkeypatch.setattr("addercost.cli.validate_networks.named_networks", named)
    assert validate("--models", "any", "--layers", "0", "-o", str(tmp_path / "out")) == 0
    processes = found.read_text().split()
    assert len({*processes, str(os.getpid())}) == 4
    result = read_validation(tmp_path / "out" / "validation.json")
    assert [row.name for row in result.rows] == ["zoo:lenet5-bn", "zoo:lenet++"]
    (skipped,) = result.skipped
    assert "ends" in skipped.name and "ended by SIGKILL" in skipped.reason


class Suppressing(nn.Module):
    """boxes: [N, 4] → the indices of those that remain. Nothing computes before torchvision's operator."""

    def forward(self, boxes: Tensor) -> Tensor:
        found: Tensor = torch.ops.torchvision.nms(boxes, boxes[:, 0], 0.5)
        return found


@pytest.fixture
def stand_in_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchvision whose compiled operators do not load, also where they do."""
    make_importable()
    importlib.import_module("torchvision")
    kept = torchvision_operators._KEPT or [torch.library.Library("torchvision", "FRAGMENT")]
    monkeypatch.setattr(torchvision_operators, "_KEPT", kept)


@pytest.mark.usefixtures("stand_in_operators")
def test_stand_ins_of_torchvisions_operators_are_not_timed() -> None:
    """They give the same boxes as the compiled operator and take another time."""
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [3.0, 3.0, 4.0, 4.0]])
    network = ValidationNetwork("suppressing", Suppressing, (boxes,))
    plan = networks.Plan([network], load_target("amd-zen4"), ["roofline"], most_sites=1e9, layers=0)
    with pytest.raises(ArgumentError, match="cannot load torchvision's compiled operators"):
        list(plan.row_plans(BenchSettings(), layer_predictor((), ("roofline",), None, "", "warm")))
    assert [item.name for item in plan.skipped] == ["suppressing"]
    settings = BenchSettings(end_to_end=True)
    with pytest.raises(ArgumentError, match="suppressing cannot be timed"):
        session.whole_model_rows(Suppressing(), ModelInputs((boxes,)), settings, network.traced())


class WantsValues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def made_for_another_engine() -> nn.Module:
    """As torchvision makes its quantised MobileNet: the engine stays set."""
    torch.backends.quantized.engine = "qnnpack" if ENGINE != "qnnpack" else "fbgemm"
    return nn.Conv2d(3, 4, 1)


ENGINE = torch.backends.quantized.engine


@pytest.mark.usefixtures("any_speed")
def test_networks_in_8_bits_are_quantised_and_those_without_such_a_form_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LeNet-5-BN on codes has the 416,520 products of before, all of them in layers on codes."""
    real = networks.network_row
    traces: list[Any] = []
    monkeypatch.setattr(networks, "network_row", lambda trace, *o: (traces.append(trace), real(trace, *o))[1])

    def named(
        patterns: str, sample: int | None, dtype: str, compiled: bool
    ) -> list[networks.ValidationNetwork]:
        image = (torch.empty(1, 3, 8, 8, device="meta"),)
        others = {"values": WantsValues, "engine": made_for_another_engine}
        made = [networks.ValidationNetwork(name, make, image, dtype) for name, make in others.items()]
        return [*named_networks(patterns, sample, dtype, compiled), *made]

    monkeypatch.setattr("addercost.cli.validate_networks.named_networks", named)
    arguments = ("--models", "zoo:lenet5-bn", "--dtype", "int8", "--layers", "0", "-o", str(tmp_path))
    assert validate(*arguments) == 0
    found = read_validation(tmp_path / "validation.json")
    (row,) = found.rows
    assert (row.mac_sites, found.conditions["dtype"]) == (416_520, "int8")
    (trace,) = traces
    names = {call.name for call in trace.calls}
    assert any(name.startswith("quantized.conv2d") for name in names) and "aten.convolution" not in names
    reasons = {item.name: item.reason for item in found.skipped}
    assert "torch.fx cannot record" in reasons["values"] and "for the engine" in reasons["engine"]
    assert torch.backends.quantized.engine == ENGINE


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_a_network_that_is_too_large_is_traced_in_fp32_alone(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trace in another format may take minutes. LeNet-5-BN has 416,520 sites."""
    traced: list[str] = []
    real = ValidationNetwork.traced
    monkeypatch.setattr(ValidationNetwork, "traced", lambda self: (traced.append(self.dtype), real(self))[1])
    plan = networks.Plan(named_networks("zoo:lenet5-bn", None, dtype), load_target("amd-zen4"), [], 4e5, 0)
    with pytest.raises(ArgumentError, match="more than 4e"):
        list(plan.row_plans(BenchSettings(), layer_predictor((), (), None, "", "warm")))
    assert traced == ["fp32"]


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "int8"])
def test_a_network_that_is_quantised_for_another_engine_is_refused(dtype: str) -> None:
    """The kernels of that engine are others than those that a calibration times."""
    image = (torch.empty(1, 3, 8, 8, device="meta"),)
    with pytest.raises(ModelError, match="for the engine"):
        networks.ValidationNetwork("net", made_for_another_engine, image, dtype).traced()
    assert torch.backends.quantized.engine == ENGINE


@pytest.mark.usefixtures("any_speed", "either_kernel")
def test_a_killed_run_times_no_row_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []
    real = SeparateTimings.time

    def dies_at_the_third(self: Any, row: Any, speed: Any) -> Any:
        timed.append(row.path)
        if len(timed) == 3:
            raise KeyboardInterrupt
        return real(self, row, speed)

    monkeypatch.setattr(SeparateTimings, "time", dies_at_the_third)
    arguments = ("--models", "zoo:lenet*,zoo:lenet5-bn:xnor", "--layers", "0", "-o", str(tmp_path))
    assert validate(*arguments) == 130
    assert validate(*arguments) == 0
    assert timed == ["zoo:lenet5-bn", "zoo:lenet++", "zoo:lenet5-bn:xnor", "zoo:lenet5-bn:xnor"]
    assert not journal_path(tmp_path / "validation.json").exists()


@pytest.mark.usefixtures("any_speed")
def test_a_run_that_goes_on_traces_no_network_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace that is cut off is made again; none are left when the result is there."""
    traced: list[str] = []
    real = networks.ValidationNetwork.traced

    def counted(self: networks.ValidationNetwork) -> Any:
        traced.append(self.name)
        return real(self)

    def dies(*arguments: Any) -> None:
        list(arguments[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(networks.ValidationNetwork, "traced", counted)
    arguments = ("--models", "zoo:lenet*", "--layers", "1", "-o", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(networks, "run", dies)
        assert validate(*arguments) == 130
    assert traced == ["zoo:lenet5-bn", "zoo:lenet++"]
    kept = folder_beside(tmp_path / "validation.json")
    first, _ = sorted(kept.iterdir())
    first.write_text(first.read_text()[:-100])
    assert validate(*arguments) == 0
    assert len(traced) == 3 and not kept.exists()


def test_cells_of_nasbench201_are_drawn_by_a_hash() -> None:
    drawn = [network.name for network in named_networks("nasbench201", 5)]
    assert len(set(drawn)) == 5 and drawn == [n.name for n in named_networks("nasbench201", 5)]
    assert set(drawn) < {network.name for network in named_networks("nasbench201", 9)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "nothing to compare with", id="neither"),
        pytest.param(["--models", "zoo:*", "--measured", "x.csv"], "--measured and --models", id="both"),
        pytest.param(["--models", "zoo:none*"], "unknown zoo model", id="no network fits"),
        pytest.param(["--models", "none"], "is no space", id="no space"),
        pytest.param(["--models", "zoo:*", "--most-sites", "x"], "--most-sites 'x' is no number", id="sites"),
        pytest.param(["--models", "zoo:lenet*", "--most-sites", "1"], "can be timed", id="all too large"),
        pytest.param(["--models", "zoo:*", "--dtype", "fp12"], "unknown number format", id="format"),
        pytest.param(["--models", "zoo:*", "--cost-model", "magic"], "unknown cost model", id="model"),
        pytest.param(["--models", "zoo:*", "--compile", "--dtype", "int8"], "leave int8 out", id="compiled"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_network_is_compiled_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[nn.Module] = []
    monkeypatch.setattr(networks, "compiled", lambda model: made.append(model) or model)
    for compiled, expected in ((False, 0), (True, 1)):
        (network,) = named_networks("zoo:lenet5-bn", None, "fp32", compiled)
        call, _ = networks._made(network, None)
        call()
        assert len(made) == expected


@pytest.mark.parametrize(
    ("text", "kind", "family"),
    [
        ("1,64,56,56,64,3,1,1", "convolution", "3x3"),
        ("1,64,56,56,64,3,2,1", "convolution", "3x3 strided"),
        ("1,64,56,56,64,3,1,1,64", "depthwise", "3x3 depthwise"),
        ("1,64,56,56,64,3,1,1,4", "convolution", "3x3 grouped"),
        ("1,64,56,56,64,1x3,1,0", "convolution", "1x3"),
    ],
)
def test_kinds_and_families_of_layers(text: str, kind: str, family: str) -> None:
    case = parse_case(text)
    assert (layer_kind(case), layer_family(case)) == (kind, family)


def test_a_linear_layer_is_a_matrix_product() -> None:
    case = read_case("linear:1,10,20")
    assert (layer_kind(case), layer_family(case)) == ("matrix product", "linear")


@pytest.mark.usefixtures("any_speed")
def test_a_journal_goes_on_with_other_networks_and_cost_models_and_without_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of a killed run's journal may be removed: these rows are timed again, and no others."""
    timed: list[str] = []
    real = networks.run

    def dies_after_the_second(plans: Any, time_row: Any, journal: Any, *others: Any) -> None:
        def first_two() -> Any:
            for plan in plans:
                if len(timed) == 2 and plan.key not in journal.entries:
                    raise KeyboardInterrupt
                if plan.key not in journal.entries:
                    timed.append(plan.row.path)
                yield plan

        real(first_two(), time_row, journal, *others)

    arguments = ("--layers", "0", "-o", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(networks, "run", dies_after_the_second)
        assert validate("--models", "zoo:lenet5-bn,zoo:lenet++,zoo:vgg-small", *arguments) == 130
    assert timed == ["zoo:lenet5-bn", "zoo:lenet++"]
    path = journal_path(tmp_path / "validation.json")
    heading, first, second = path.read_text().splitlines()
    assert '"zoo:lenet5-bn' in first
    path.write_text(f"{heading}\n{second}\n")
    before = json.loads(second)["row"]["samples_s"]
    assert validate("--models", "zoo:lenet*", "--cost-model", "roofline", *arguments) == 0
    found = read_validation(tmp_path / "validation.json")
    assert {row.name for row in found.rows} == {"zoo:lenet5-bn", "zoo:lenet++"}
    (kept,) = (row for row in found.rows if row.name == "zoo:lenet++")
    assert kept.measured_s == pytest.approx(statistics.median(before))


def test_slow_rows_are_not_scored_and_their_number_is_said() -> None:
    from addercost.cost.target_registry import load_target
    from addercost.measure.validation.networks import Plan, validation_of
    from addercost.results.measurements import Measurements

    plan = Plan((), load_target("amd-zen4"), (), 1e9, 0)
    plan.rows |= {name: ValidationRow(name, 1.0, ()) for name in ("quiet", "slow", "unknown")}
    rows = (slow_row("quiet", 1.0), slow_row("slow", 1.3), slow_row("unknown", None))
    found = validation_of(Measurements("m", {}, rows), plan, "zoo:*", ())
    assert [row.name for row in found.rows] == ["quiet", "unknown"]
    assert [(item.name, "1.30" in item.reason) for item in found.skipped] == [("slow", True)]
    assert any(note.startswith("1 of 3 timings are left out") for note in found.notes)
    accepted = validation_of(Measurements("m", {}, rows), plan, "zoo:*", (), accept_noise=True)
    assert [row.name for row in accepted.rows] == ["quiet", "slow", "unknown"] and not accepted.skipped
    assert any(note.startswith("1 of 3 timings are of moments") for note in accepted.notes)
    assert {row.measured_s for row in accepted.rows} == {0.01}, "as they were, not scaled"
    # The median of 1.0 and 1.3.
    assert any("1.15 times as long in the median" in note for note in accepted.notes)


def test_a_table_of_another_processor_is_refused_and_can_be_borrowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from addercost.cli.validate import borrowed

    monkeypatch.setattr(
        "addercost.measure.predictions.other_processor", lambda path: "host was measured on a Z80"
    )
    assert borrowed("amd-zen4", None, False) == ()
    assert borrowed("host", None, True) == ("borrowed: host was measured on a Z80",)
    with pytest.raises(ArgumentError, match="Z80") as refused:
        borrowed("host", None, False)
    assert "--force" in refused.value.hint


def test_a_machine_that_is_too_noisy_is_refused_and_the_timings_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(noise, "is_slow", lambda *row: True)
    assert (
        validate("--models", "zoo:lenet5-bn", "--layers", "0", "-o", str(tmp_path))
        == CheckFailedError.exit_code
    )
    (line,) = capsys.readouterr().err.splitlines()
    path = journal_path(tmp_path / "validation.json")
    assert "too noisy: 0 of 1 timings" in line and str(path) in line
    assert len(path.read_text().splitlines()) == 2
