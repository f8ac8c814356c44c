"""Calibration: which instructions, what is done about noise, and the table that comes out."""

import itertools
import re

import llvmlite.binding as llvm
import pytest
from click.testing import CliRunner

from addercost.cli.calibrate import calibrate
from addercost.cost.target import target_of
from addercost.errors import ArgumentError, CheckFailedError, OutputError
from addercost.hardware import Form, list_hardware, load_cpu, load_file
from addercost.measure.host import calibrate as calibration_module
from addercost.measure.host import core_clock, memory_bandwidth
from addercost.measure.host.calibrate import Calibration, ProbeResult, Sampled, calm_samples
from addercost.measure.host.chains import DEPENDENT, READ_IR, UNROLL, independent_chains, loop_ir
from addercost.measure.host.instructions import x86_probes
from addercost.measure.host.processor import cache_sizes, cpu_model
from addercost.measure.host.table import calibration_toml


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(calibration_module, "PAUSE_S", 0)


AVX2 = {"avx2", "fma", "popcnt", "bmi2"}
AVX512 = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vnni", "avx512vpopcntdq"}


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
    ("features", "core"), [(AVX2, "haswell"), (AVX512, "znver4")], ids=["avx2", "avx512"]
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
    monkeypatch.setattr(core_clock.platform, "machine", lambda: "x86_64")
    assert core_clock.clock_hz(1000) == pytest.approx(2e9)
    monkeypatch.setattr(core_clock.platform, "machine", lambda: "sparc64")
    assert core_clock.clock_hz(1000) is None


def test_bandwidth_is_what_is_read_by_the_time_it_takes(monkeypatch):
    """A reader of 10 bytes a nanosecond, on a clock that only it moves. Two threads read half each, and the
    clock sees one after the other."""
    now_ns, read = [0], []

    def reader(address, size):
        read.append((address, size))
        now_ns[0] += size // 10
        return 0

    monkeypatch.setattr(memory_bandwidth.time, "perf_counter_ns", lambda: now_ns[0])
    alone, together = memory_bandwidth.bandwidths(reader, {"L1": 32 << 10, "L3": 20 << 20}, 2)
    assert alone == together == pytest.approx((1e10,) * memory_bandwidth.PASSES, rel=1e-6)
    start, size = read[0]
    assert size == 4 * (20 << 20), "four times the last-level cache"
    assert {(start, size), (start, size // 2), (start + size // 2, size // 2)} == set(read)


class ScriptedLoops:
    """Compiled loops on a clock of 2 GHz: the instruction of probe i has a latency of i + 1 cycles, and one
    starts every half cycle where they do not wait for each other."""

    def __init__(self, ir):
        assert "@dependent0(" in ir and "@independent0(" in ir and "@clock(" in ir

    def loop(self, name):
        return name

    def reader(self):
        return None

    @staticmethod
    def seconds(name, rounds):
        kind, _, number = re.match(r"([a-z]+)((\d*))$", name).groups()
        cycles = {"clock": 1.0, "independent": 0.5}.get(kind) or int(number) + 1
        return rounds * UNROLL * cycles / 2e9


def test_calibrate_measures_latency_on_one_chain_and_throughput_on_many(monkeypatch):
    probes = list(x86_probes(AVX2))[:3]
    monkeypatch.setattr(calibration_module, "host_probes", lambda: probes)
    monkeypatch.setattr(calibration_module, "Compiled", ScriptedLoops)
    monkeypatch.setattr(calibration_module, "thread_seconds", ScriptedLoops.seconds)
    monkeypatch.setattr(calibration_module, "bandwidths", lambda *given: ((1e9,) * 7, (3e9,) * 7))
    found = calibration_module.calibrate()
    assert [result.probe for result in found.results] == probes
    assert [r.latency_cycles.median for r in found.results] == pytest.approx([1, 2, 3])
    assert [r.reciprocal_throughput_cycles.median for r in found.results] == pytest.approx([0.5] * 3)
    assert found.clock_hz.median == pytest.approx(2e9)
    assert (found.core_bandwidth_bytes_per_s.median, found.bandwidth_bytes_per_s.median) == (1e9, 3e9)


def test_a_calm_stretch_is_believed_and_a_noisy_one_thrown_away():
    noisy = itertools.cycle([1.0, 3.0])
    stream = itertools.chain((next(noisy) for _ in range(calibration_module.SAMPLES)), itertools.repeat(2.0))
    assert calm_samples(lambda: next(stream), "it").samples == (2.0,) * calibration_module.SAMPLES


def test_lasting_noise_is_refused_with_advice():
    noisy = itertools.cycle([1.0, 1.2])
    with pytest.raises(CheckFailedError, match="the clock is too noisy") as caught:
        calm_samples(lambda: next(noisy), "the clock")
    assert "run calibrate again" in caught.value.hint


def test_one_outlier_is_not_noise():
    samples = iter([2.0] * (calibration_module.SAMPLES - 1) + [50.0])
    assert calm_samples(lambda: next(samples), "it").median == 2.0


def calibration() -> Calibration:
    results = tuple(
        ProbeResult(probe, Sampled((3.9, 4.0, 4.1)), Sampled((0.5, 0.5, 0.5))) for probe in x86_probes(AVX512)
    )
    gigabytes = Sampled((2e10, 2e10, 2e10))
    caches = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
    clock = Sampled((4e9, 4e9, 4e9))
    return Calibration("core", 'A "quoted" name', "x86-64", clock, results, gigabytes, gigabytes, 8, caches)


def test_the_table_is_one_the_loader_reads(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(calibration_toml(calibration(), "2026-01-02"))
    cpu = load_cpu("mine", hardware_path=tmp_path)
    (row,) = target_of(cpu).rows("fp32_fma", [Form.VECTOR])
    assert (row.latency_cycles, row.reciprocal_throughput_cycles) == (4, 0.5)
    assert row.latency_range_cycles == (3.9, 4.1)
    assert cpu.clock_hz == 4e9
    assert cpu.part.core_memory_bandwidth_bytes_per_s == 2e10
    assert cpu.part.l2_bytes_per_core == 1 << 20
    assert load_file(path).title.startswith('A "quoted" name')


def test_host_is_found_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ArgumentError, match="run `addercost calibrate` first"):
        load_cpu("host")
    from addercost.hardware.loader import host_file

    host_file().parent.mkdir(parents=True)
    host_file().write_text(calibration_toml(calibration(), "2026-01-02"))
    assert load_cpu("host").max_vector_bits == 512
    assert [file.origin for file in list_hardware() if file.name == "host"] == ["calibrated"]


def test_without_llvmlite_there_is_advice(monkeypatch):
    def missing():
        raise ImportError("llvmlite")

    monkeypatch.setattr(calibration_module, "host_features", missing)
    with pytest.raises(ArgumentError, match="needs llvmlite"):
        calibration_module.host_probes()


def test_another_machine_is_refused(monkeypatch):
    monkeypatch.setattr(calibration_module, "host_features", lambda: ("core", AVX2))
    monkeypatch.setattr(calibration_module.platform, "machine", lambda: "sparc64")
    with pytest.raises(ArgumentError, match="sparc64"):
        calibration_module.host_probes()


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


def test_the_command_keeps_the_table_for_host(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(calibration_module, "calibrate", calibration)
    result = CliRunner().invoke(calibrate, ["--quiet", "--format", "csv"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.startswith("op,form,vector_bits")
    assert load_cpu("host").title.startswith('A "quoted" name')


def test_the_command_saves_where_it_is_told_and_not_over_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration_module, "calibrate", calibration)
    path = tmp_path / "mine.toml"
    assert CliRunner().invoke(calibrate, ["--save", str(path)]).exit_code == 0
    assert load_cpu(str(path)).name == "mine"
    assert isinstance(CliRunner().invoke(calibrate, ["--save", str(path)]).exception, OutputError)
