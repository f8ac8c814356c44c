"""A GPU as a target: rates of its data sheet as instructions of the whole GPU."""

from dataclasses import replace

import pytest

from addercost.arithmetic import Arithmetic
from addercost.cost.bounds import all_bounds, binding
from addercost.cost.gpu_target import gpu_target
from addercost.cost.sequences import site_sequence
from addercost.cost.target_registry import load_target
from addercost.errors import ArgumentError
from addercost.hardware import list_hardware, load_gpu

NAMES = [file.name for file in list_hardware(kind="gpu")]
RTX = load_target("rtx-3090")


def sites_per_cycle(target, arithmetic, number_format):
    sequence = site_sequence(target, arithmetic, number_format)
    return sequence.sites / binding(all_bounds(target, sequence.executions)).cycles


@pytest.mark.parametrize(
    ("arithmetic", "number_format", "expected"),
    [
        # 82 multiprocessors of 128 multiply-adds a clock; an adder site is two additions on the same pipes.
        pytest.param(Arithmetic.MAC, "fp32", 82 * 128, id="fp32-multiply-add"),
        pytest.param(Arithmetic.ADDER, "fp32", 82 * 128 / 2, id="fp32-adder"),
        # 71 TFLOPS of matrix units, two a multiply-add, at 1.695 GHz; adders have none and run as halves.
        pytest.param(Arithmetic.MAC, "fp16", 71e12 / 2 / 1.695e9, id="fp16-matrix"),
        pytest.param(Arithmetic.ADDER, "fp16", 82 * 128 / 2, id="fp16-adder"),
        pytest.param(Arithmetic.MAC, "int8", 284e12 / 2 / 1.695e9, id="int8-matrix"),
        # 64 instructions of a lane a clock, each of four absolute differences.
        pytest.param(Arithmetic.ADDER, "int8", 82 * 64 * 4, id="int8-absolute-differences"),
        # Exclusive or, addition at 64 and popcount at 16 a clock, of 32 bits each, one after the other.
        pytest.param(Arithmetic.XNOR, "fp32", 82 * 32 / (1 / 64 + 1 / 16 + 1 / 64), id="binary"),
    ],
)
def test_sites_a_cycle_of_an_rtx_3090(arithmetic, number_format, expected):
    assert sites_per_cycle(RTX, arithmetic, number_format) == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_its_fp32_rate_is_its_fp32_peak(name):
    """A peak counts a multiply-add as two; data sheets round clocks and peaks."""
    gpu, target = load_gpu(name), load_target(name)
    peaks = {peak.op: peak.ops_per_s for peak in gpu.peaks}
    rows = target.rows("fp32_fma")
    if rows and "fp32 multiply-add" in peaks:
        rate = rows[0].lanes / rows[0].reciprocal_throughput_cycles
        assert 2 * rate * target.clock_hz == pytest.approx(peaks["fp32 multiply-add"], rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_every_table_of_a_gpu_is_a_target(name):
    target, gpu = load_target(name), load_gpu(name)
    assert (target.name, target.device_class, target.file) == (name, "gpu", gpu.file)
    assert target.part_bandwidth_bytes_per_s == target.memory_bandwidth_bytes_per_s
    assert not target.shares_memory_bandwidth
    assert all(row.reciprocal_throughput_cycles > 0 for row in target.instructions)


def test_the_base_clock_stands_in_for_a_boost_clock():
    gpu = load_gpu("rtx-3090")
    assert RTX.clock_hz == gpu.boost_clock_hz and RTX.clock == "the boost clock of RTX 3090"
    slow = gpu_target(replace(gpu, boost_clock_hz=None))
    assert slow.clock_hz == gpu.base_clock_hz and slow.clock == "the base clock of RTX 3090"
    unknown = gpu_target(replace(gpu, boost_clock_hz=None, base_clock_hz=None))
    assert unknown.clock_hz is None and not unknown.rows("fp16_mmla")


def test_an_unknown_name_is_answered_with_gpus_too():
    with pytest.raises(ArgumentError, match="unknown CPU 'rtx-309'; did you mean rtx-3090"):
        load_target("rtx-309")
