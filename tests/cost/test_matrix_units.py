"""What a matrix unit decides: its rate, that of vectors, and that of L1 distances, from one table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addercost.arithmetic import Arithmetic
from addercost.cli import run
from addercost.cost.matrix_units import matrix_unit, matrix_unit_lines
from addercost.cost.sequences import site_sequence
from addercost.cost.target_registry import load_target
from addercost.hardware.schema.instruction import MeasuredLoop
from addercost.hardware.vocabulary import Form, Quality


def test_sapphire_rapids_in_int8() -> None:
    """TDPBUSD: 16 x 16 sums of 64 products in 16 cycles, 1,024 a cycle. VPDPBUSD: 64 products, two a cycle
    on ports 0 and 5, 128. An L1 distance of bytes: VPSADBW on port 5 alone, 64 bytes a cycle at most.
    """
    unit = matrix_unit(load_target("intel-sapphirerapids"), "int8")
    assert unit is not None
    assert (unit.with_unit, unit.without_unit) == (1024, 128)
    assert unit.additions is not None and unit.additions <= 64
    assert "tdpbusd" in unit.instruction
    assert "a factor of 8" in unit.sentence and "an L1 distance has no form for it" in unit.sentence


@pytest.mark.parametrize(
    ("cpu", "number_format"),
    [
        pytest.param("intel-sapphirerapids", "fp32", id="no-tiles-of-fp32"),
        pytest.param("amd-zen4", "int8", id="no-unit"),
        pytest.param("via-nano-2000", "int8", id="few-figures"),
    ],
)
def test_no_line_without_a_unit(cpu: str, number_format: str) -> None:
    assert list(matrix_unit_lines([load_target(cpu)], [number_format])) == []


def loop(bits: int, sites: int, cycles: float, text: str) -> MeasuredLoop:
    return MeasuredLoop(
        Arithmetic.MAC, "int8", bits, sites, cycles, cycles, cycles, text, Quality.MEASURED, "this test"
    )


def test_of_measured_loops_too() -> None:
    """A loop on tiles of 8,192 bits is the unit's; without it the loop on vectors is taken."""
    loops = (loop(8192, 16384, 16, "tdpbssd"), loop(512, 64, 0.5, "vpdpbusd"))
    target = replace(load_target("amd-zen4"), loops=loops)
    assert [made.form for made in loops] == [Form.MATRIX, Form.VECTOR]
    unit = matrix_unit(target, "int8")
    assert unit is not None
    assert (unit.instruction, unit.with_unit, unit.without_unit) == ("tdpbssd", 1024, 128)
    without = site_sequence(target, Arithmetic.MAC, "int8", matrix=False)
    assert without is not None and not without.on_matrix_unit


def test_verdict_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--no-measure", "--cpu", "intel-sapphirerapids"]
    assert run(["verdict", "zoo:lenet5-bn", *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "matrix unit of intel-sapphirerapids: in int8" in said and "a factor of 8" in said
