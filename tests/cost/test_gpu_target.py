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


# The instructions that run at each rate. Sums of differences of whole 32-bit numbers serve no layer.
RESULTS = {
    "fp32_fma": ["fp32_fma"],
    "fp32_add": ["fp32_add", "fp32_absdiff"],
    "fp32_mul": ["fp32_mul"],
    "fp16_fma": ["fp16_fma", "fp16_add", "fp16_mul", "fp16_absdiff"],
    "compare": ["fp32_max", "int32_max"],
    "int32_add": ["int32_add"],
    "int32_mla": ["int32_mla"],
    "int32_mul": ["int32_mul"],
    "int32_shift": ["shift_var", "shift_imm"],
    "int32_logic": ["xor", "and"],
    "int32_popcount": ["int32_popcount"],
    "uint8x4_sad": ["uint8_sad_acc"],
}


@pytest.mark.parametrize("name", NAMES)
def test_instructions_give_the_results_a_clock_of_the_data_sheet(name):
    """Each multiprocessor gives so many; a warp's instruction is issued once and has 32 lanes of 32 bits."""
    gpu, target = load_gpu(name), load_target(name)
    for rate in gpu.rates if gpu.streaming_multiprocessors else ():
        for op in RESULTS.get(rate.op, ()):
            (row,) = target.rows(op)
            expected = rate.results_per_clock_per_sm * gpu.streaming_multiprocessors
            bytes_a_lane = 4 if op == "uint8_sad_acc" else 1
            assert row.lanes / row.reciprocal_throughput_cycles == pytest.approx(bytes_a_lane * expected), op
            assert (row.uops, row.vector_bits, row.source) == (1, 32 * 32, rate.source)


def test_a_rate_that_is_not_in_the_table_is_that_of_the_same_pipes():
    """Additions and products of floats run where multiply-adds do, products of whole numbers likewise."""
    gpu = load_gpu("rtx-3090")
    few = tuple(rate for rate in gpu.rates if rate.op in ("fp32_fma", "int32_mla"))
    rows = {row.op: row for row in gpu_target(replace(gpu, rates=few, peaks=(), sequences=())).instructions}
    assert set(rows) == {"fp32_fma", "fp32_add", "fp32_absdiff", "fp32_mul", "int32_mla", "int32_mul"}
    for op, other in (("fp32_add", "fp32_fma"), ("fp32_mul", "fp32_fma"), ("int32_mul", "int32_mla")):
        assert rows[op].reciprocal_throughput_cycles == rows[other].reciprocal_throughput_cycles
        assert rows[op].lanes == 32


def test_each_multiprocessor_issues_to_four_quarters():
    """An RTX 3090 has 82 multiprocessors of four warp schedulers. Source: NVIDIA, GA102 whitepaper, 2020."""
    assert RTX.issue_width_uops == 82 * 4


@pytest.mark.parametrize("op", ["fp32_div", "fp32_sqrt"])
def test_a_division_takes_as_long_as_its_instructions_take_to_be_issued(op):
    """Ten instructions by the disassembly, four of which a multiprocessor issues a clock, each for 32 lanes:
    12.8 results. The reciprocal among them is not slower, as units give 16 a clock."""
    (row,) = RTX.rows(op)
    assert row.uops == 10
    assert row.lanes / row.reciprocal_throughput_cycles == pytest.approx(82 * 4 * 32 / 10)
    assert binding(all_bounds(RTX, ((row, 1.0),))).cycles == pytest.approx(10 / (82 * 4))


def test_a_gpu_for_which_nothing_was_compiled_divides_by_a_polynomial():
    assert not load_target("v100-sxm2").rows("fp32_div")


def test_without_a_number_of_multiprocessors_only_peaks_are_rates():
    target = gpu_target(replace(load_gpu("rtx-3090"), streaming_multiprocessors=None))
    assert target.issue_width_uops is None
    assert {row.op for row in target.instructions} == {"fp16_mmla", "bf16_mmla", "int8_mmla"}


@pytest.mark.parametrize("name", NAMES)
def test_matrix_units_reach_the_peak(name):
    """A peak counts a multiply-add as two. Other peaks are no instruction of a warp."""
    gpu, target = load_gpu(name), load_target(name)
    peaks = {peak.op: peak.ops_per_s for peak in gpu.peaks}
    for number_format, sums in (("fp16", "fp32"), ("bf16", "fp32"), ("int8", "int32")):
        rows = target.rows(f"{number_format}_mmla")
        peak = peaks.get(f"{number_format} matrix multiply-add, {sums} accumulation")
        assert bool(rows) == (peak is not None and target.clock_hz is not None)
        for row in rows:
            each_s = row.reciprocal_throughput_cycles / target.clock_hz
            assert 2 * row.sites / each_s == pytest.approx(peak)
            assert row.lanes == 512
