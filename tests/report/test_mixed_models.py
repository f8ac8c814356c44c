"""The sentence where estimates by different cost models stand together, and where it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addercost.cli import run
from addercost.report.tables.mixed_models import mixed_models


@pytest.mark.parametrize(
    ("costs", "accelerators", "named"),
    [
        pytest.param([], [], "", id="nothing"),
        pytest.param([("roofline", "a"), ("roofline", "b")], [], "", id="one-model"),
        pytest.param([("roofline", "a"), ("eager", "b")], [], "a by roofline, b by eager", id="two"),
        pytest.param(
            [("eager", "a"), ("roofline", "a")], [], "a by eager, a by roofline", id="one-processor"
        ),
        pytest.param(
            [("eager", "a"), ("eager", "b")], ["t"], "a and b by eager, t by its array", id="accelerator"
        ),
        pytest.param([], ["t", "t by zigzag"], "", id="two-opinions-of-one-array"),
    ],
)
def test_who_is_named(costs: list[tuple[str, str]], accelerators: list[str], named: str) -> None:
    found = list(mixed_models(costs, accelerators))
    assert len(found) == bool(named)
    assert all(f"({named})" in text for text in found)


NAMED = ("--cpu", "raspberry-pi-5", "--gpu", "rtx-3090", "--accelerator", "tpu-like")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["compare", "zoo:lenet5-bn", "--as", "mac"], id="compare"),
        pytest.param(["profile", "zoo:lenet5-bn", "--explain"], id="profile"),
        pytest.param(["report", "zoo:lenet5-bn", "--as", "mac", "--format", "markdown"], id="report"),
    ],
)
def test_it_stands_below_processors_gpus_and_accelerators(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, *NAMED]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "(raspberry-pi-5 by roofline, rtx-3090 by eager, tpu-like by its array)" in text


def test_a_model_that_is_named_has_the_processors_that_suit_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The paper's processor has no memory bandwidth in its table."""
    asked = ("zoo:lenet5-bn", "--as", "mac", "--cost-model", "roofline")
    assert run(["compare", *asked, "--format", "json"]) == 0
    assert "cycles@intel-skylake-x" in json.loads(capsys.readouterr().out)[0]
    file = tmp_path / "report.json"
    assert run(["report", *asked, "--energy", "none", "-o", str(file)]) == 0
    (subject,) = json.loads(file.read_text())["subjects"]
    assert {estimate["hardware"] for estimate in subject["estimates"]} == {"intel-skylake-x"}
    assert run(["compare", *asked, "--cpu", "via-nano-2000"]) == 2
    assert "give --bandwidth 8GB/s" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["eager", "fused"])
def test_a_whole_part_needs_the_bandwidth_of_all_its_cores(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("compare", "zoo:lenet5-bn", "--as", "mac", "--cost-model", model, "--cpu")
    assert run([*asked, "cortex-a57"]) == 2
    assert "give --clock 1.8GHz --bandwidth 8GB/s" in capsys.readouterr().err
    assert run([*asked, "cortex-a57", "--clock", "1.8GHz", "--bandwidth", "8GB/s"]) == 0


def test_a_report_answers_for_an_accelerator(capsys: pytest.CaptureFixture[str]) -> None:
    """An array takes as long with either element: its closed forms know no arithmetic."""
    asked = ("--as", "mac,adder", "--cpu", "raspberry-pi-5", "--accelerator", "tpu-like")
    assert run(["report", "zoo:lenet5-bn", *asked, "--energy", "none", "--format", "markdown"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- On tpu-like")]
    assert len(lines) == 1 and "as adder it takes 1.00 times as long and 0." in lines[0]
