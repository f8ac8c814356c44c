"""`addercost compare --accelerator`: through the command, beside processors."""

import csv
import io

import pytest
from click.testing import CliRunner

from addercost.cli.group import cli
from addercost.errors import ArgumentError


def compared(*arguments):
    command = ["compare", "zoo:lenet5-bn", "--as", "mac,adder", "--format", "csv", "--quiet", *arguments]
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


def test_equal_area_makes_adders_faster_where_the_array_is_filled():
    mac, adder = compared("--accelerator", "npu-256", "--equal-area")
    assert float(mac["cycles@npu-256"]) >= float(adder["cycles@npu-256"])


def test_a_wrong_name_is_refused_before_the_model_is_loaded():
    result = CliRunner().invoke(cli, ["compare", "no-such-model.py", "--accelerator", "tpu"])
    assert isinstance(result.exception, ArgumentError)
    assert "unknown accelerator" in str(result.exception)


def test_equal_area_without_an_accelerator_is_refused():
    result = CliRunner().invoke(cli, ["compare", "zoo:lenet5-bn", "--equal-area"])
    assert isinstance(result.exception, ArgumentError)
    assert "needs an accelerator" in str(result.exception)
