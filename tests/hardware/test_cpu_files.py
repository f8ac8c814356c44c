"""Every built-in CPU file: loads, names its sources, and says what its source says."""

import pytest

from addercost.cost.target import target_of
from addercost.hardware import Cpu, Form, Quality, list_hardware, load_cpu

NAMES = [file.name for file in list_hardware(kind="cpu") if file.origin == "built-in"]


def test_one_cpu_is_measured_by_us_and_all_others_are_from_the_literature():
    assert [name for name in NAMES if "calibration" in load_cpu(name).sources] == ["amd-epyc-zen4"]
    assert len(NAMES) >= 83, "a table is missing"


def test_our_measurement_agrees_with_the_scheduling_model_of_the_same_core():
    """Every latency of Zen 4's scheduling model is within a cycle."""
    measured, model = load_cpu("amd-epyc-zen4"), load_cpu("amd-zen4")
    compared = 0
    for row in measured.instructions:
        for other in target_of(model).rows(row.op, [row.form]):
            if other.vector_bits == row.vector_bits and other.source == "llvm":
                assert row.latency_cycles == pytest.approx(other.latency_cycles, abs=1.05), row.op
                compared += 1
    assert compared > 30


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_source_with_title_and_licence(name):
    cpu = load_cpu(name)
    assert cpu.instructions
    for row in cpu.instructions:
        source = cpu.sources[row.source]
        assert source.title and source.licence
    if cpu.part is not None:
        assert cpu.part.source in cpu.sources


def one(cpu: Cpu, op: str, form: Form, bits: int):
    """The row that estimates use."""
    return next(row for row in target_of(cpu).rows(op, [form]) if row.vector_bits == bits)


# Agner Fog, Instruction tables, sheet VIA Nano 2000: the single figures cited.
@pytest.mark.parametrize(
    ("op", "form", "bits", "latency", "throughput"),
    [
        pytest.param("fp80_mul", Form.X87, 80, 4, 2, id="FMUL"),
        pytest.param("fp80_add", Form.X87, 80, 2, 1, id="FADD"),
        pytest.param("fp80_abs", Form.X87, 80, 1, 1, id="FABS"),
        pytest.param("fp32_mul", Form.SCALAR, 32, 3, 1, id="MULSS"),
        pytest.param("fp32_add", Form.SCALAR, 32, 2.5, 1, id="ADDSS-2-to-3"),
        pytest.param("fp64_mul", Form.SCALAR, 64, 4, 2, id="MULSD"),
    ],
)
def test_via_nano_2000_figures(op, form, bits, latency, throughput):
    row = one(load_cpu("via-nano-2000"), op, form, bits)
    assert (row.latency_cycles, row.reciprocal_throughput_cycles) == (latency, throughput)
    assert row.quality is Quality.MEASURED
    assert row.source == "agner-fog"


def test_via_nano_2000_adder_latency_is_a_range():
    assert one(load_cpu("via-nano-2000"), "fp32_add", Form.SCALAR, 32).latency_range_cycles == (2, 3)


def test_only_the_via_nano_2000_prefers_x87():
    assert [n for n in NAMES if load_cpu(n).preferred_float_form is not Form.SCALAR] == ["via-nano-2000"]


def test_a_throughput_benchmark_gives_no_latency():
    rows = [row for row in load_cpu("spacemit-x60").instructions if row.quality is Quality.MEASURED]
    assert rows and all(row.latency_cycles is None for row in rows)


def test_measured_comes_before_model_at_one_width():
    rows = target_of(load_cpu("spacemit-x60")).rows("fp32_add", [Form.RVV])
    assert [row.quality for row in rows] == [Quality.MEASURED, Quality.MODEL]


@pytest.mark.parametrize("name", NAMES)
def test_ports_explain_no_more_than_the_reciprocal_throughput(name):
    """An instruction cannot issue faster than its busiest port group lets it: work / ports <= cycles each."""
    for row in load_cpu(name).instructions:
        for work, ports in row.port_groups:
            assert work / len(ports) <= row.reciprocal_throughput_cycles * 1.02, row


def test_via_nano_2000_multiplies_on_one_port_and_adds_on_another():
    cpu = load_cpu("via-nano-2000")
    assert one(cpu, "fp32_mul", Form.VECTOR, 128).port_groups == ((1, ("MA",)),)
    assert one(cpu, "fp32_add", Form.VECTOR, 128).port_groups == ((1, ("MB",)),)
    assert one(cpu, "fp32_abs", Form.VECTOR, 128).port_groups == ((1, ("MB",)),)


def test_sites_count_the_products_of_a_dot_product_instruction():
    # vpdpbusd zmm: 16 lanes of 32 bits, four byte products each.
    assert one(load_cpu("amd-zen4"), "int8_dot", Form.VECTOR, 512).sites == 64
