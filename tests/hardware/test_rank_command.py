"""`addercost rank` and `addercost sensitivity` on a traced model."""

import csv
import io

import pytest
from click.testing import CliRunner

from addercost.cli.rank import rank
from addercost.cli.sensitivity import sensitivity
from addercost.errors import AddercostError
from addercost.hardware import list_hardware
from addercost.hardware.loader import BUILT_IN

BOTH_MODELS = ("--cost-model", "latency-sum", "--cost-model", "throughput")


def rows(command, *arguments: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(command, [*arguments, "--format", "csv"], catch_exceptions=False)
    assert result.exit_code == 0
    return list(csv.DictReader(io.StringIO(result.output)))


@pytest.fixture(scope="module")
def ranking() -> list[dict[str, str]]:
    return rows(rank, "zoo:lenet5-bn", "--int8", *BOTH_MODELS)


def test_every_processor_stands_under_each_model(ranking):
    cpus = len(list_hardware(kind="cpu"))
    assert [row["model"] for row in ranking] == ["latency-sum"] * cpus + ["throughput"] * cpus


def test_throughput_ranks_unless_another_model_is_named():
    assert {row["model"] for row in rows(rank, "zoo:lenet5-bn")} == {"throughput"}


def test_a_gpu_stands_beside_all_processors_and_named_ones_alone(ranking):
    beside = rows(rank, "zoo:lenet5-bn", "--gpu", "rtx-3090", "--cost-model", "throughput")
    processors = {row["hardware"] for row in ranking}
    assert {row["hardware"] for row in beside} == {*processors, "rtx-3090"}
    named = rows(rank, "zoo:lenet5-bn", "--cpu", "apple-m1-p", "--cost-model", "throughput")
    assert [row["hardware"] for row in named] == ["apple-m1-p"]


def test_the_papers_processor_gains_by_latency_and_loses_by_throughput(ranking):
    nano = {row["model"]: row for row in ranking if row["hardware"] == "via-nano-2000"}
    # 416,520 sites: (4 + 2) / (2 + 2) by latency, 1 / 2 by ports.
    assert float(nano["latency-sum"]["mac_cycles"]) == 416_520 * 6
    assert float(nano["latency-sum"]["adder_advantage"]) == 1.5
    assert float(nano["throughput"]["adder_advantage"]) == pytest.approx(1 / 2)


def test_int8_forms_and_xnor_have_columns(ranking):
    assert {"xnor_advantage", "int8-mac_advantage", "int8-adder_advantage", "caveat"} <= ranking[0].keys()


def test_a_caveat_of_a_table_is_printed_with_the_rank(tmp_path):
    """A table of the user's that leads, with a doubt of its own."""
    text = (BUILT_IN / "cpus" / "cortex-a57.toml").read_text()
    text = text.replace('isa = "aarch64"\n', 'isa = "aarch64"\ncaveats = ["additions are a guess"]\n')
    (tmp_path / "mine.toml").write_text(text)
    arguments = ["zoo:lenet5-bn", "--cost-model", "throughput", "--hardware-path", str(tmp_path)]
    assert "mine: additions are a guess" in CliRunner().invoke(rank, arguments).output


def test_fp32_additions_gain_on_one_processor_by_throughput():
    """A site is a maximum and an addition. The table of one core has no multiply-add, and a product takes
    longer than a maximum."""
    found = rows(rank, "zoo:lenet5-bn", "--cost-model", "throughput")
    gains = {row["hardware"] for row in found if float(row["adder_advantage"] or 0) > 1 + 1e-6}
    assert gains == {"thead-c906"}


def test_top_keeps_the_first_of_each_model():
    found = rows(rank, "zoo:lenet5-bn", "--top", "2", *BOTH_MODELS)
    assert [row["model"] for row in found] == ["latency-sum"] * 2 + ["throughput"] * 2


def test_sensitivity_prints_a_tornado():
    bars = rows(sensitivity, "zoo:lenet5-bn")
    assert [bar["figure"] for bar in bars] == ["add (fp32)", "mul (fp32)"]
    assert float(bars[1]["advantage_at_high"]) == pytest.approx((4.8 + 2) / 4)


def test_sensitivity_says_where_the_two_break_even():
    result = CliRunner().invoke(sensitivity, ["zoo:lenet5-bn"], catch_exceptions=False)
    assert "equal where a multiplication costs 1.000 additions" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(rank, ("--cost-model", "latency")), (rank, ("--convention", "mac")), (sensitivity, ("--cpu", "via"))],
    ids=["model", "convention", "cpu"],
)
def test_unknown_names(command, arguments):
    result = CliRunner().invoke(command, ["zoo:lenet5-bn", *arguments])
    assert isinstance(result.exception, AddercostError)
    assert result.exception.exit_code == 2
