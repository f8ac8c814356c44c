"""Built-in tables against what is known of their processors, and the check itself on wrong tables."""

from dataclasses import replace

import pytest

from addercost.cost.table_check import disagreements, impossible_figures, warnings_of
from addercost.hardware import Cpu, list_hardware, load_cpu
from addercost.hardware.peaks import Peaks, known_peaks

CPUS = [file.name for file in list_hardware(kind="cpu") if file.origin == "built-in"]

EXCEPTIONS = {
    # Agner Fog's sheet gives 2 to 3 cycles, which the published comparison rests on; InstLatx64 measures 2.
    "via-nano-2000": {"fp32_add_latency_cycles"},
    # This table is a calibration, which tries the widest registers and none of these.
    "amd-epyc-zen4": {
        "bf16_mac_per_cycle",
        "fp32_div_128_cycles",
        "fp32_div_256_cycles",
        "fp64_div_128_cycles",
        "fp64_div_256_cycles",
        "load_bytes_per_cycle",
    },
}


@pytest.mark.parametrize("name", CPUS)
def test_every_built_in_table_agrees_with_what_is_known(name):
    cpu = load_cpu(name)
    assert list(impossible_figures(cpu)) == []
    known = known_peaks().get(name)
    found = disagreements(cpu, known) if known else []
    assert [str(d) for d in found if d.figure not in EXCEPTIONS.get(name, ())] == []


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_no_exception_is_left_that_is_not_needed(name):
    figures = {d.figure for d in disagreements(load_cpu(name), known_peaks()[name])}
    assert figures >= EXCEPTIONS[name] or name == "amd-epyc-zen4"


def test_known_figures_are_of_tables_that_there_are_and_name_a_source():
    assert set(known_peaks()) <= set(CPUS)
    assert all(len(peaks.source) > 10 and peaks.figures for peaks in known_peaks().values())


def haswell(op: str, factor: float) -> Cpu:
    """Haswell with another rate of one instruction, which leaves its ports free for it."""
    cpu = load_cpu("intel-haswell")
    rows = tuple(
        replace(row, reciprocal_throughput_cycles=row.reciprocal_throughput_cycles * factor, ports="")
        if row.op == op
        else row
        for row in cpu.instructions
    )
    return replace(cpu, instructions=rows)


@pytest.mark.parametrize(
    ("op", "factor", "figures"),
    [
        pytest.param("fp32_fma", 2, ["fp32_mac_per_cycle"], id="half-as-fast"),
        pytest.param("fp32_fma", 0.8, ["fp32_mac_per_cycle"], id="too-fast"),
        pytest.param("fp32_fma", 1.05, [], id="within-tolerance"),
        pytest.param("load", 1.2, ["load_bytes_per_cycle"], id="loads"),
        pytest.param("uint8_sad", 1.2, ["uint8_absdiff_per_cycle"], id="absolute-differences"),
    ],
)
def test_a_wrong_rate_is_a_warning(op, factor, figures):
    known = known_peaks()["intel-haswell"]
    assert [d.figure for d in disagreements(haswell(op, factor), known)] == figures


def test_two_divisions_a_cycle_are_impossible():
    warnings = warnings_of(haswell("fp32_div", 0.1), {})
    # 7 cycles for scalar ones and 128 bits, 14 for 256: only the first two fall below one cycle.
    assert len(warnings) == 2
    assert all("no divider gives more than one result a cycle" in warning for warning in warnings)


def test_a_figure_that_the_table_lacks_is_named():
    (lacking,) = disagreements(load_cpu("intel-haswell"), Peaks(source="a measurement", bf16_mac_per_cycle=8))
    assert str(lacking) == "bf16_mac_per_cycle is 8, and the table lacks it"
