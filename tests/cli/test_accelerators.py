"""`addercost compare --accelerator`: through the command, beside processors."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from addercost.cli.group import cli
from addercost.errors import ArgumentError
from addercost.results.profile import profile_from_data


def compared(*arguments, arithmetics="mac,adder"):
    command = ["compare", "zoo:lenet5-bn", "--as", arithmetics, "--format", "csv", "--quiet", *arguments]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    table = "\n".join(line for line in result.stdout.splitlines() if not line.startswith("#"))
    return list(csv.DictReader(io.StringIO(table)))


def test_the_same_array_takes_as_long_with_either_element_and_less_energy_with_adders():
    mac, adder = compared("--accelerator", "tpu-like")
    assert mac["cycles@tpu-like"] == adder["cycles@tpu-like"]
    assert float(mac["energy_j@tpu-like"]) > float(adder["energy_j@tpu-like"])
    # int8 products summed in int32: (0.2 + 0.1) / (0.03 + 0.1) pJ.
    assert float(adder["element_ratio@tpu-like"]) == pytest.approx(0.3 / 0.13)


@pytest.mark.parametrize(
    ("asked", "processors"),
    [
        ((), {"tpu-like"}),
        (("--cpu", "amd-zen4"), {"tpu-like", "amd-zen4"}),
        (("--cost-model", "throughput"), {"tpu-like", "via-nano-2000"}),
    ],
    ids=["alone", "beside a named one", "beside the default of a cost model"],
)
def test_an_accelerator_takes_the_place_of_the_default_processor(asked, processors):
    (row, _) = compared("--accelerator", "tpu-like", *asked)
    assert {name.split("@")[1] for name in row if name.startswith("cycles@")} == processors


def test_equal_area_makes_adders_faster_where_the_array_is_filled():
    mac, adder = compared("--accelerator", "npu-256", "--equal-area")
    assert float(mac["cycles@npu-256"]) >= float(adder["cycles@npu-256"])


def result_of(*arguments):
    result = CliRunner().invoke(cli, [*arguments, "--quiet"])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_layers_of_a_profile_sum_to_the_network_and_come_back_from_json():
    text = result_of("profile", "zoo:lenet5-bn", "--accelerator", "tpu-like", "--format", "json")
    read = profile_from_data(json.loads(text))
    (cost,) = read.accelerators
    assert sum(layer.cycles for layer in cost.layers) == pytest.approx(cost.cycles)
    assert sum(layer.energy_j for layer in cost.layers) == pytest.approx(cost.total_j)
    assert read.to_json() == text


def test_leakage_takes_its_power_for_as_long_as_the_network_runs():
    command = ["profile", "zoo:lenet5-bn", "--accelerator", "tpu-like", "--format", "json"]
    (without,) = profile_from_data(json.loads(result_of(*command))).accelerators
    (leaking,) = profile_from_data(json.loads(result_of(*command, "--leakage", "2W"))).accelerators
    assert leaking.energy_j["leakage"] == pytest.approx(2 * without.seconds)
    assert leaking.total_j - without.total_j == pytest.approx(2 * without.seconds)


@pytest.mark.parametrize("text", ["0W", "-1W", "1e9W", "5", "nanW", "5 volts"])
def test_a_leakage_that_makes_no_sense_is_refused(text):
    result = CliRunner().invoke(
        cli, ["compare", "zoo:lenet5-bn", "--accelerator", "tpu-like", "--leakage", text]
    )
    assert isinstance(result.exception, ArgumentError)
    assert "leakage" in str(result.exception)


def test_ternary_filters_take_a_quarter_of_the_bytes_of_int8_ones():
    mac, ternary = compared("--accelerator", "tpu-like", "--what-if", "ternary", arithmetics="mac")
    assert ternary["cycles@tpu-like"] == mac["cycles@tpu-like"]
    # A selection takes an addition: (0.2 + 0.1) / (0.03 + 0.1) pJ.
    assert float(ternary["element_ratio@tpu-like"]) == pytest.approx(0.3 / 0.13)
    assert float(ternary["energy_ratio@tpu-like"]) > 1


def test_a_ranking_has_accelerators_beside_processors():
    text = result_of(
        "rank", "zoo:lenet5-bn", "--cpu", "amd-zen4", "--accelerator", "npu-256", "--format", "csv"
    )
    table = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    row = next(row for row in csv.DictReader(io.StringIO(table)) if row["hardware"] == "npu-256")
    assert (row["model"], float(row["adder_advantage"])) == ("array", 1.0)


@pytest.mark.parametrize("format_name", ["latex", pytest.param("html", marks=pytest.mark.exhaustive)])
def test_a_report_has_a_section_of_accelerators(tmp_path, format_name):
    path = tmp_path / "report"
    result_of(
        "report", "zoo:lenet5-bn", "--accelerator", "tpu-like", "--format", format_name, "-o", str(path)
    )
    text = path.read_text(encoding="utf-8")
    assert "accelerators" in text and "unified buffer" in text


def test_a_saved_profile_keeps_no_calls_and_says_so(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(result_of("profile", "zoo:lenet5-bn", "--format", "json"), encoding="utf-8")
    result = CliRunner().invoke(
        cli, ["report", str(path), "--accelerator", "tpu-like", "--format", "markdown"]
    )
    assert isinstance(result.exception, ArgumentError)
    assert "saved profile" in str(result.exception)


def test_a_wrong_name_is_refused_before_the_model_is_loaded():
    result = CliRunner().invoke(cli, ["compare", "no-such-model.py", "--accelerator", "tpu"])
    assert isinstance(result.exception, ArgumentError)
    assert "unknown accelerator" in str(result.exception)


def test_equal_area_without_an_accelerator_is_refused():
    result = CliRunner().invoke(cli, ["compare", "zoo:lenet5-bn", "--equal-area"])
    assert isinstance(result.exception, ArgumentError)
    assert "needs an accelerator" in str(result.exception)
