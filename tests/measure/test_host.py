"""Calibration: which instructions, sizes and machines."""

import sys

import llvmlite.binding as llvm
import pytest
from host_cores import AVX2, AVX512, set_host

from addercost.errors import ArgumentError
from addercost.hardware import Form
from addercost.hardware.this_machine import cache_sizes, cpu_model, instruction_set
from addercost.measure.host import calibrate as calibration_module
from addercost.measure.host import core_clock, loop_rate, memory_bandwidth
from addercost.measure.host.calibrate import (
    calibrate as calibrate_host,
)
from addercost.measure.host.chains import DEPENDENT, UNROLL, independent_chains, loop_ir
from addercost.measure.host.memory_bandwidth import READ_IR
from addercost.measure.host.x86_instructions import x86_probes


@pytest.mark.parametrize(
    ("features", "present", "absent"),
    [
        pytest.param(
            AVX2, {("fp32_fma", 256), ("uint8_sad", 256)}, {("int8_dot", 256), ("fp32_add", 512)}, id="avx2"
        ),
        pytest.param(AVX2 | {"avxvnni"}, {("int8_dot", 256)}, {("int8_dot", 512)}, id="avx-vnni"),
        pytest.param(AVX512, {("int8_dot", 512), ("int32_popcount", 512)}, {("fp32_add", 256)}, id="avx512"),
        pytest.param(AVX512 - {"avx512bw"}, {("fp32_add", 512)}, {("uint8_sad", 512)}, id="without-bw"),
        pytest.param({"avx2"}, {("fp32_add", 256)}, {("fp32_fma", 256), ("int32_popcount", 32)}, id="no-fma"),
    ],
)
def test_probes_follow_the_machines_features(features, present, absent):
    found = {(probe.op, probe.bits) for probe in x86_probes(features)}
    assert present <= found
    assert not absent & found


def test_no_probes_without_avx2():
    assert list(x86_probes({"sse2"})) == []


def test_every_kind_of_instruction_the_cost_models_use_is_measured():
    vector = {probe.op for probe in x86_probes(AVX512) if probe.form is Form.VECTOR}
    assert vector >= {
        "fp32_add", "fp32_mul", "fp32_fma", "fp32_div", "fp32_max", "fp32_abs", "fp64_add", "fp64_fma",
        "int32_add", "int8_dot", "uint8_sad", "xor", "int32_popcount", "shift_var",
    }  # fmt: skip
    scalar = {probe.op for probe in x86_probes(AVX512) if probe.form is Form.SCALAR}
    assert scalar >= {
        "fp32_add",
        "fp32_mul",
        "fp32_fma",
        "fp64_div",
        "int32_mul",
        "int64_popcount",
        "and",
        "xor",
    }


@pytest.mark.parametrize(
    ("features", "core"),
    [
        pytest.param(AVX2, "haswell", id="avx2", marks=pytest.mark.exhaustive),
        pytest.param(AVX512, "znver4", id="avx512"),
    ],
)
def test_every_loop_assembles(features, core):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    ir = READ_IR
    for i, probe in enumerate(x86_probes(features)):
        ir += loop_ir(f"a{i}", probe, DEPENDENT) + loop_ir(f"b{i}", probe, independent_chains(probe))
    module = llvm.parse_assembly(ir)
    module.verify()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    text = target.create_target_machine(cpu=core, opt=2).emit_assembly(module)
    # Nothing is folded away: every loop has all its instructions, on 12 chains or on one.
    assert text.count("\tvaddps\t") == text.count("\tvmulps\t") == 2 * UNROLL


def test_a_loop_runs_here():
    """None on a machine with other instructions."""
    loop = core_clock.dependent_additions()
    assert loop is None or loop(3) is None


def test_the_clock_is_that_of_the_run_that_was_not_interrupted(monkeypatch):
    """1,000 rounds of UNROLL additions, each one cycle, in 60, 48 and 50 µs: 2 GHz by the fastest."""
    assert UNROLL == 96
    took_s = iter([60e-6, 48e-6, 50e-6])
    monkeypatch.setattr(core_clock, "dependent_additions", lambda: lambda rounds: None)
    monkeypatch.setattr(core_clock, "thread_seconds", lambda loop, rounds: next(took_s))
    assert core_clock.clock_hz(1000) == pytest.approx(2e9)


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("x86_64", "x86-64"),
        ("AMD64", "x86-64"),
        ("aarch64", "aarch64"),
        ("arm64", "aarch64"),
        ("sparc64", "sparc64"),
    ],
)
def test_an_instruction_set_has_one_name(monkeypatch, machine, name):
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert instruction_set() == name


def test_no_clock_without_additions_of_this_instruction_set(monkeypatch):
    monkeypatch.setattr(core_clock, "instruction_set", lambda: "sparc64")
    assert core_clock.dependent_additions.__wrapped__() is None


CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 20 << 20}


def test_bandwidth_is_what_is_read_by_the_time_it_takes(monkeypatch):
    """A reader of 10 bytes a nanosecond, on a clock that only it moves. Two threads read half each, and the
    clock sees one after the other."""
    now_ns, read = [0], []

    def reader(address, size, times):
        read.append((address, size, times))
        now_ns[0] += size * times // 10
        return 0

    monkeypatch.setattr(memory_bandwidth.time, "perf_counter_ns", lambda: now_ns[0])
    monkeypatch.setattr(memory_bandwidth.time, "process_time_ns", lambda: 2 * now_ns[0])
    found = memory_bandwidth.bandwidths(reader, CACHES, 2)
    assert list(found) == ["L1", "L2", "L3", "memory"]
    for level in found.values():
        assert level.alone == level.together == pytest.approx((1e10,) * memory_bandwidth.PASSES, rel=1e-6)
    memory = [(address, size) for address, size, times in read if times == 1]
    start, size = memory[0]
    assert size == 4 * (20 << 20), "four times the last-level cache"
    assert {(start, size), (start, size // 2), (start + size // 2, size // 2)} == set(memory)
    # Caches are read over and over, so that starting threads is a small part.
    assert all(
        size * times >= 0.9 * memory_bandwidth.LEAST_READ_BYTES for _, size, times in read if times > 1
    )


def test_a_sample_that_was_interrupted_is_taken_again(monkeypatch):
    """The first read of every sample takes three times as long, without more processor time."""
    now_ns, used_ns, reads = [0], [0], []

    def reader(address, size, times):
        reads.append(size)
        used_ns[0] += size * times // 10
        now_ns[0] += size * times // 10 * (3 if len(reads) % 2 else 1)
        return 0

    monkeypatch.setattr(memory_bandwidth.time, "perf_counter_ns", lambda: now_ns[0])
    monkeypatch.setattr(memory_bandwidth.time, "process_time_ns", lambda: used_ns[0])
    found = memory_bandwidth.bandwidths(reader, CACHES, 1, ("L1",))["L1"]
    assert found.alone == pytest.approx((1e10,) * memory_bandwidth.PASSES, rel=1e-6)
    assert len(reads) == 2 * (2 * memory_bandwidth.PASSES + 2)


@pytest.mark.parametrize(
    ("caches", "threads", "expected"),
    [
        # Half of a cache, so that other data leave room; the last of three is shared.
        pytest.param(
            CACHES, 1, {"L1": (16 << 10,) * 2, "L2": (512 << 10,) * 2, "L3": (10 << 20,) * 2}, id="one-core"
        ),
        pytest.param(
            CACHES,
            4,
            {"L1": (16 << 10,) * 2, "L2": (512 << 10,) * 2, "L3": (10 << 20, 2560 << 10)},
            id="four-cores",
        ),
        pytest.param(CACHES, 16, {"L1": (16 << 10,) * 2, "L2": (512 << 10,) * 2}, id="a-share-of-l3-fits-l2"),
        pytest.param({}, 2, {}, id="unknown"),
    ],
)
def test_what_is_read_to_find_the_rate_of_a_level(caches, threads, expected):
    found = memory_bandwidth.read_bytes(caches, threads)
    assert {level: sizes for level, sizes in found.items() if level != "memory"} == expected
    alone, each = found["memory"]
    assert alone >= 64 << 20
    assert each == alone // threads


def test_without_llvmlite_there_is_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "addercost.kernels.cpu.ir.native", None)
    with pytest.raises(ArgumentError, match="needs llvmlite"):
        calibrate_host()


@pytest.mark.parametrize(("isa", "core"), [("sparc64", AVX2), ("x86-64", {"sse2"})], ids=["isa", "no-avx2"])
def test_another_machine_is_refused(monkeypatch, isa, core):
    set_host(monkeypatch, core)
    monkeypatch.setattr(calibration_module, "instruction_set", lambda: isa)
    with pytest.raises(ArgumentError, match=isa):
        calibrate_host()


def test_an_arm_machine_has_arm_instructions_and_loops(monkeypatch):
    monkeypatch.setattr(calibration_module, "instruction_set", lambda: "aarch64")
    monkeypatch.setattr(loop_rate, "instruction_set", lambda: "aarch64")
    assert "fp32_absdiff" in {probe.op for probe in calibration_module.host_probes({"neon"})}
    assert {loop.register for loop in loop_rate.host_loops({"neon"})} == {"w"}


def test_cache_sizes_leave_the_instruction_cache_out(tmp_path):
    for i, (kind, level, size) in enumerate(
        [
            ("Data", "1", "48K"),
            ("Instruction", "1", "32K"),
            ("Unified", "2", "2048K"),
            ("Unified", "3", "64M"),
        ]
    ):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, value in (("type", kind), ("level", level), ("size", size)):
            (folder / name).write_text(value + "\n")
    assert cache_sizes(tmp_path) == {"L1": 48 << 10, "L2": 2 << 20, "L3": 64 << 20}
    assert cache_sizes(tmp_path / "absent") == {}


def test_the_processors_name(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Some CPU @ 3 GHz\n")
    assert cpu_model(info) == "Some CPU @ 3 GHz"
