"""`addercost validate --models`: what is timed, how rows are grouped, kills, and names that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from addercost.cli import run
from addercost.cli.validate_networks import named_networks
from addercost.measure.case import parse_case, read_case
from addercost.measure.validation.networks import layer_family, layer_kind
from addercost.results.journal_lines import journal_path
from addercost.results.validation import NETWORKS, read_validation

QUICK = ("--cpu", "amd-zen4", "--time-limit", "0.01", "-q")


def validate(*arguments: str) -> int:
    return run(["validate", *arguments, *QUICK])


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


def test_a_killed_run_times_no_row_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.measure import bench

    timed: list[str] = []
    real = bench.timed_row

    def dies_at_the_third(plan: Any, *others: Any) -> Any:
        timed.append(plan.row.path)
        if len(timed) == 3:
            raise KeyboardInterrupt
        return real(plan, *others)

    monkeypatch.setattr(bench, "timed_row", dies_at_the_third)
    arguments = ("--models", "zoo:lenet*,zoo:lenet5-bn:xnor", "--layers", "0", "-o", str(tmp_path))
    assert validate(*arguments) == 130
    assert validate(*arguments) == 0
    assert timed == ["zoo:lenet5-bn", "zoo:lenet++", "zoo:lenet5-bn:xnor", "zoo:lenet5-bn:xnor"]
    assert not journal_path(tmp_path / "validation.json").exists()


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
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


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
