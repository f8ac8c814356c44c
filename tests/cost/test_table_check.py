"""Figures that are worked out from a table, and what a table without them costs a user, by made-up tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addercost.cost.table_check import (
    consequences,
    disagreements,
    impossible_figures,
    table_figure,
    warnings_of,
)
from addercost.cost.target import Target
from addercost.hardware import Cpu, Form, Instruction, Quality, load_cpu
from addercost.hardware.peaks import Peaks
from addercost.hardware.schema.cpu import CpuPart


def row(
    op: str,
    cycles: float = 1,
    lanes: int = 4,
    bits: int = 128,
    form: Form = Form.VECTOR,
    latency: float | None = 3,
    ports: str = "",
) -> Instruction:
    return Instruction(
        op, form, bits, lanes, op, latency, None, None, cycles, None, None, 1, ports, Quality.MODEL, "own"
    )


def scalar(op: str, cycles: float = 1, latency: float | None = 3) -> Instruction:
    return row(op, cycles, 1, 32, Form.SCALAR, latency)


WIDE = {"lanes": 8, "bits": 256}


@pytest.mark.parametrize(
    ("figure", "rows", "expected"),
    [
        pytest.param("fp32_mac_per_cycle", [row("fp32_fma", 0.5)], 8, id="multiply-adds"),
        pytest.param(
            "fp32_mac_per_cycle", [row("fp32_fma", 1), row("fp32_fma", 1, **WIDE)], 8, id="of-the-widest"
        ),
        pytest.param("fp32_mac_per_cycle", [scalar("fp32_fma", 0.5)], 2, id="multiply-adds-one-by-one"),
        pytest.param("fp32_mac_per_cycle", [row("fp32_mul")], None, id="no-multiply-adds"),
        pytest.param("fp32_matrix_mac_per_cycle", [row("fp32_fma")], None, id="no-matrix-unit"),
        pytest.param("fp32_add_per_cycle", [row("fp32_add", 0.5), row("fp32_add", 2, **WIDE)], 8, id="sums"),
        pytest.param("fp32_add_per_cycle", [scalar("fp32_add", 0.25)], 4, id="sums-one-by-one"),
        pytest.param("fp32_add_per_cycle", [], None, id="no-sums"),
        pytest.param("int8_maddubs_per_cycle", [row("int8_maddubs", 0.5, 16)], 32, id="pairs-of-bytes"),
        pytest.param(
            "uint8_absdiff_per_cycle",
            [row("uint8_sad", 1, 16), row("uint8_absdiff", 0.25, 16)],
            64,
            id="the-faster-way-to-differences",
        ),
        pytest.param("uint8_absdiff_per_cycle", [row("fp32_add")], None, id="no-differences"),
        pytest.param("fp32_mul_latency_cycles", [row("fp32_mul", latency=4)], 4, id="latency"),
        pytest.param("fp32_mul_latency_cycles", [row("fp32_add", latency=4)], None, id="no-latency"),
        pytest.param(
            "fp32_div_scalar_cycles", [scalar("fp32_div", 5), row("fp32_div", 7)], 5, id="a-division"
        ),
        pytest.param("fp32_div_scalar_cycles", [row("fp32_div", 7)], None, id="no-single-division"),
        pytest.param(
            "fp32_div_256_cycles", [row("fp32_div", 5), row("fp32_div", 9, **WIDE)], 9, id="eight-divisions"
        ),
        pytest.param("fp32_div_512_cycles", [row("fp32_div", 5)], None, id="no-such-register"),
        pytest.param(
            "load_bytes_per_cycle", [row("load", 0.5), row("load", 0.5, **WIDE)], 64, id="bytes-loaded"
        ),
        pytest.param("load_bytes_per_cycle", [], None, id="no-loads"),
    ],
)
def test_a_figure_worked_out_from_rows(figure: str, rows: list[Instruction], expected: float | None) -> None:
    """A row gives its lanes, or the bytes of its register, every so many cycles."""
    found = table_figure(Target("mine", "Mine", tuple(rows)), figure)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("figure", ["fp32_mac", "fp32_bytes_per_cycle", "nothing"])
def test_a_figure_of_another_name_is_an_error(figure: str) -> None:
    with pytest.raises(ValueError, match=figure):
        table_figure(Target("mine", "Mine", (row("load"),)), figure)


@pytest.mark.parametrize(
    ("latency", "differs"), [(10.9, False), (11.1, True), (9.1, False), (8.9, True)], ids=str
)
def test_a_tenth_more_or_less_is_tolerated(latency: float, differs: bool) -> None:
    cpu = table(row("fp32_add", latency=latency))
    found = disagreements(cpu, Peaks(source="a measurement", fp32_add_latency_cycles=10))
    assert [(one.figure, one.table, one.known) for one in found] == (
        [("fp32_add_latency_cycles", latency, 10)] if differs else []
    )
    assert warnings_of(cpu, {"mine": Peaks(source="m", fp32_add_latency_cycles=10)}) == list(map(str, found))
    assert warnings_of(cpu, {"another": Peaks(source="m", fp32_add_latency_cycles=10)}) == []


@pytest.mark.parametrize(
    ("op", "cycles", "possible"),
    [("fp32_div", 1, True), ("fp32_div", 0.99, False), ("fp32_sqrt", 0.5, False), ("fp32_add", 0.25, True)],
)
def test_no_divider_gives_more_than_a_result_a_cycle(op: str, cycles: float, possible: bool) -> None:
    assert bool(list(impossible_figures(table(row(op, cycles))))) is not possible


def table(*rows: Instruction, **others: object) -> Cpu:
    return Cpu("mine", "Mine", "me", "x86-64", "mine.toml", rows, {}, **others)  # type: ignore[arg-type]


PART = CpuPart("Board", "own", Quality.SPECIFICATION)
WHOLE = replace(PART, base_clock_hz=1e9, memory_bandwidth_bytes_per_s=1e9)
COMPLETE = replace(load_cpu("amd-zen4"), part=WHOLE)


def without(*ops: str) -> tuple[Instruction, ...]:
    return tuple(one for one in COMPLETE.instructions if one.op not in ops)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"part": None}, "no clock: ", id="no-part"),
        pytest.param({"part": replace(WHOLE, base_clock_hz=None)}, "no clock: ", id="clock"),
        pytest.param(
            {"part": replace(WHOLE, memory_bandwidth_bytes_per_s=None)},
            "no memory bandwidth: ",
            id="bandwidth",
        ),
        pytest.param({"issue_width_uops": None}, "no issue width: ", id="issue-width"),
        pytest.param(
            {"instructions": tuple(replace(one, ports="") for one in COMPLETE.instructions)},
            "no ports: ",
            id="ports",
        ),
        pytest.param(
            {"instructions": tuple(one for one in COMPLETE.instructions if one.form is Form.SCALAR)},
            "no vector instructions: ",
            id="vectors",
        ),
        pytest.param(
            {"instructions": without("fp32_add", "fp32_max")}, "adder layers in fp32", id="adder-layers"
        ),
        pytest.param(
            {"instructions": without("fp32_div")}, "no latency of fp32 divide, sqrt: ", id="divisions"
        ),
    ],
)
def test_what_is_taken_away_from_a_whole_table_is_missed(change: dict[str, object], sentence: str) -> None:
    before = list(consequences(COMPLETE))
    gained = [text for text in consequences(replace(COMPLETE, **change)) if text not in before]  # type: ignore[arg-type]
    assert any(sentence in text for text in gained)
    assert not any(sentence in text for text in before)


def test_a_table_without_instructions_is_not_told_of_their_ports() -> None:
    found = list(consequences(table()))
    assert not any(text.startswith(("no ports", "no vector instructions")) for text in found)
    assert sum(text.startswith("no instructions for a site of") for text in found) == 6


def test_some_ports_are_enough() -> None:
    first, *rest = COMPLETE.instructions
    assert first.ports
    rows = (first, *(replace(one, ports="") for one in rest))
    assert not any("no ports" in text for text in consequences(replace(COMPLETE, instructions=rows)))
