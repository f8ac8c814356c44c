"""Inner loops measured whole. They come before instructions, which do not say what units they share."""

from dataclasses import replace

import pytest
from counted_layers import adder_layer, mac_layer, xnor_layer

from addercost.arithmetic import Arithmetic
from addercost.cost.estimate import estimate
from addercost.cost.layers import kind_of
from addercost.cost.lowering import Lowerer, Lowering, operations_of
from addercost.cost.sequences import site_sequence
from addercost.cost.target import Target
from addercost.cost.target_registry import load_target
from addercost.hardware import Quality
from addercost.hardware.schema.instruction import MeasuredLoop


def loop(arithmetic: Arithmetic, number_format: str, bits: int, sites: int, cycles: float) -> MeasuredLoop:
    return MeasuredLoop(
        arithmetic, number_format, bits, sites, cycles, cycles, cycles, "its instructions",
        Quality.MEASURED, "own",
    )  # fmt: skip


LOOPS = (
    loop(Arithmetic.MAC, "fp32", 512, 16, 0.8),
    loop(Arithmetic.ADDER, "fp32", 512, 16, 1.6),
    loop(Arithmetic.ADDER, "fp32", 256, 8, 1.0),
    loop(Arithmetic.ADDER, "uint8", 512, 64, 0.5),
    loop(Arithmetic.MAC, "int8", 512, 64, 1.0),
    loop(Arithmetic.XNOR, "bool", 512, 512, 2.0),
    loop(Arithmetic.SHIFT, "int32", 512, 16, 1.0),
)


def calibrated(*loops: MeasuredLoop) -> Target:
    return replace(load_target("amd-zen4"), loops=loops or LOOPS)


@pytest.mark.parametrize(
    ("layer", "cycles"),
    [
        # 6,400 sites / sites in a step · cycles of a step.
        pytest.param(mac_layer(6400), 6400 / 16 * 0.8, id="mac"),
        pytest.param(adder_layer(6400), 6400 / 16 * 1.6, id="adder-by-the-faster-width"),
        pytest.param(adder_layer(6400, "uint8"), 6400 / 64 * 0.5, id="adder-uint8"),
        pytest.param(adder_layer(6400, "int8", with_abs=True), 6400 / 64 * 0.5, id="adder-int8"),
        pytest.param(mac_layer(6400, "uint8"), 6400 / 64, id="mac-uint8"),
        pytest.param(xnor_layer(6400), 6400 / 512 * 2, id="xnor"),
    ],
)
def test_a_layer_takes_the_cycles_of_its_measured_loop(layer, cycles):
    target = calibrated()
    (costed,) = Lowerer(target, Lowering.SIMD).lower(operations_of(kind_of(layer))).executions
    step, times = costed
    assert times * step.reciprocal_throughput_cycles == pytest.approx(cycles)


def test_throughput_names_the_loop_as_what_binds_and_assumes_nothing_about_its_ports():
    cost = estimate([adder_layer(6400)], replace(calibrated(), issue_width_uops=None), "throughput")
    (layer,) = cost.layers
    assert (cost.cycles, layer.bound) == (640, "throughput of the measured adder loop (fp32)")
    assert cost.complete
    assert not any("ports" in text for text in cost.assumptions)


def test_without_a_loop_of_the_arithmetic_its_instructions_are_used():
    plain = load_target("amd-zen4")
    one_loop = replace(plain, loops=(loop(Arithmetic.MAC, "fp32", 512, 16, 0.8),))
    for number_format in ("fp32", "int8"):
        expected = site_sequence(plain, Arithmetic.ADDER, number_format)
        assert site_sequence(one_loop, Arithmetic.ADDER, number_format) == expected


def test_scalar_code_has_no_vector_loop():
    assert site_sequence(calibrated(), Arithmetic.MAC, "fp32", scalar=True) == site_sequence(
        load_target("amd-zen4"), Arithmetic.MAC, "fp32", scalar=True
    )


@pytest.mark.parametrize("slower", [1.2, 40.0])
def test_a_loop_that_is_slower_than_its_instructions_say_is_believed(slower):
    target = calibrated(loop(Arithmetic.MAC, "fp32", 512, 16, slower))
    sequence = site_sequence(target, Arithmetic.MAC, "fp32")
    ((step, times),) = sequence.executions
    assert (sequence.sites, times, step.reciprocal_throughput_cycles) == (16, 1, slower)
