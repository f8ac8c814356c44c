"""Calibration: which instructions, what is done about noise, and the table that comes out."""

import itertools
import re
import sys
from typing import ClassVar

import llvmlite.binding as llvm
import pytest
from click.testing import CliRunner
from scripted_machine import ScriptedMachine

from addercost.cli.calibrate import calibrate
from addercost.cost.target import target_of
from addercost.errors import ArgumentError, CheckFailedError, OutputError
from addercost.hardware import Form, list_hardware, load_cpu, load_file
from addercost.hardware.this_machine import cache_sizes, cpu_model, instruction_set
from addercost.kernels.cpu.ir import native
from addercost.measure.host import calibrate as calibration_module
from addercost.measure.host import core_clock, loop_rate, memory_bandwidth
from addercost.measure.host.calibrate import (
    Calibration,
    LevelBandwidth,
    LoopResult,
    ProbeResult,
    ports_text,
)
from addercost.measure.host.calibrate import (
    calibrate as calibrate_host,
)
from addercost.measure.host.chains import DEPENDENT, UNROLL, independent_chains, loop_ir
from addercost.measure.host.loops import vectors_of
from addercost.measure.host.memory_bandwidth import READ_IR, Bandwidth
from addercost.measure.host.sampling import GROUP, SAMPLES, Sampled, Sampler
from addercost.measure.host.table import calibration_toml
from addercost.measure.host.x86_instructions import x86_probes
from addercost.measure.host.x86_loops import x86_loops

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


class ScriptedLoops:
    """Compiled loops on a clock of 2 GHz. The instruction of probe i has a latency of i + 1 cycles, one
    starts every half cycle where none waits for another. The first two share all units, the third has its
    own. A step of an inner loop takes 0.75 cycles.
    """

    steps: ClassVar[dict[str, int]] = {}

    def __init__(self, ir):
        self.steps |= {
            name: ir.split(f"@{name}(")[1].split("\n}")[0].count('asm sideeffect "v')
            for name in re.findall(r"@(mix\d+_\d+)\(", ir)
        }

    def loop(self, name):
        return name

    def inner_loop(self, name):
        return lambda inputs, weights, n: (name, n)

    def reader(self):
        return None

    @classmethod
    def seconds(cls, name, rounds):
        if callable(name):
            _, rounds = name(rounds)
            return rounds * 16 * 0.75 / 2e9
        kind, number = re.match(r"([a-z]+)(.*)$", name).groups()
        if kind == "mix":
            # Both take half of the round; together all of it, or half where they share nothing.
            return rounds * cls.steps[name] * (0.5 if number == "0_1" else 0.25) / 2e9
        cycles = {"clock": 1.0, "independent": 0.5}.get(kind) or int(number) + 1
        return rounds * UNROLL * cycles / 2e9


def set_host(monkeypatch, features):
    """This machine's core has these features and no others."""
    monkeypatch.setattr(native, "host_core", lambda: "core")
    monkeypatch.setattr(native, "host_features", lambda: frozenset(features))


def scripted(monkeypatch, machine: ScriptedMachine) -> Calibration:
    """A calibration on loops whose seconds pass on the clock of `machine`."""
    probes = [probe for probe in x86_probes(AVX2) if probe.op in ("fp32_add", "fp32_max", "xor")][:3]
    loops = [loop for loop in x86_loops(AVX512 | {"avx512vl"}) if loop.name == "adder"][:1]
    assert vectors_of(loops[0]) == 16

    def seconds(loop, rounds):
        took = ScriptedLoops.seconds(loop, rounds) * machine.factor(machine.t)
        machine.t += took
        return took

    set_host(monkeypatch, AVX2)
    for name, value in {
        "host_probes": lambda features: probes,
        "host_loops": lambda features: loops,
        "Compiled": ScriptedLoops,
        "thread_seconds": seconds,
        "instruction_set": lambda: "x86-64",
        "bandwidths": lambda *given, **guard: {"L1": Bandwidth((4e9,) * 7, (8e9,) * 7)},
        "operator_call_sample": lambda: machine.run(1e-6),
        "wake_up_sample": lambda threads: lambda: 5e-6,
    }.items():
        monkeypatch.setattr(calibration_module, name, value)
    return calibrate_host(speed=machine.speed())


def test_calibrate_measures_latency_on_one_chain_throughput_on_many_and_what_is_shared_in_mixes(monkeypatch):
    found = scripted(monkeypatch, ScriptedMachine())
    assert [r.latency_cycles.median for r in found.results] == pytest.approx([1, 2, 3])
    assert [r.reciprocal_throughput_cycles.median for r in found.results] == pytest.approx([0.5] * 3)
    assert [r.ports for r in found.results] == ["V0|V1", "V0|V1", "V2|V3"]
    assert found.clock_hz.median == pytest.approx(2e9)
    (loop,) = found.loops
    assert loop.cycles.median == pytest.approx(0.75)
    (level,) = found.bandwidths
    assert (level.alone_bytes_per_s.median, level.together_bytes_per_s.median) == (4e9, 8e9)
    assert found.operator_call_s.median == pytest.approx(1e-6)
    assert found.factor == pytest.approx(1)


def test_a_machine_of_two_speeds_is_measured_in_its_quiet_moments(monkeypatch):
    """Slow for 20 of every 50 ms, in a way that lengthens everything but the clock that runs beside it."""
    machine = ScriptedMachine(lambda t: 1.65 if t % 0.05 < 0.02 else 1.0)
    found = scripted(monkeypatch, machine)
    assert [r.latency_cycles.median for r in found.results] == pytest.approx([1, 2, 3])
    assert found.clock_hz.median == pytest.approx(2e9), "not the slower clock"
    assert found.operator_call_s.median == pytest.approx(1e-6)


def test_ports_as_a_table_has_them():
    assert ports_text(1.0, frozenset({1, 0}), "V") == "V0|V1"
    assert ports_text(5.99, frozenset({2}), "V") == "5.990*V2"


def test_samples_that_agree_are_kept_and_those_of_before_forgotten():
    machine = ScriptedMachine()
    noisy = itertools.cycle([1.0, 3.0])
    stream = itertools.chain((next(noisy) for _ in range(SAMPLES)), itertools.repeat(2.0))
    found = Sampler(machine.speed(), sleep=machine.sleep).calm(lambda: next(stream), "it")
    # Agreement is of the quartiles: the last noisy ones may be outside of them.
    assert found.median == 2.0
    assert found.samples.count(2.0) >= SAMPLES // 2


def test_samples_of_moments_that_were_not_quiet_are_left_out():
    machine = ScriptedMachine(lambda t: 1.65 if t < 0.5 else 1.0)
    found = Sampler(machine.speed(), sleep=machine.sleep).calm(machine.run(1e-3), "it")
    assert found.samples == pytest.approx((1e-3,) * SAMPLES)


@pytest.mark.parametrize(
    ("factor", "noise", "said"),
    [
        pytest.param(1.65, [1.0], "it is too noisy: 0 of ", id="never-quiet"),
        pytest.param(1.0, [1.0, 1.2], "it (quartiles 20% apart) is too noisy: ", id="samples-that-differ"),
    ],
)
def test_lasting_noise_is_refused_with_what_was_seen_and_advice(factor, noise, said):
    machine = ScriptedMachine(lambda t: factor)
    stream = itertools.cycle(noise)

    def sample():
        machine.t += 1e-3
        return next(stream)

    with pytest.raises(CheckFailedError) as caught:
        Sampler(machine.speed(), limit_s=2.0, sleep=machine.sleep).calm(sample, "it")
    assert caught.value.message.startswith(said)
    assert f"{factor:.2f} times as long as on the quiet machine" in caught.value.message
    assert "a table of before stays as it was" in caught.value.message
    assert "give the same command again" in caught.value.hint
    assert 2.0 <= machine.t < 2.2, "the time limit"


def test_a_sample_that_other_programs_lengthen_waits_for_a_moment_without_them():
    """By processor time the machine is quiet all along; by all time only after 0.3 s."""
    machine = ScriptedMachine(lambda t: 3.0 if t < 0.3 else 1.0)
    quiet = ScriptedMachine()
    sampler = Sampler(quiet.speed(), machine.speed(), sleep=machine.sleep)
    assert sampler.quiet(machine.run(1e-3), "it") == pytest.approx(1e-3)


def test_bandwidths_beside_other_programs_are_refused():
    machine = ScriptedMachine(lambda t: 3.0)
    sampler = Sampler(ScriptedMachine().speed(), machine.speed(), limit_s=1.0, sleep=machine.sleep)
    with pytest.raises(
        CheckFailedError, match="the bandwidth of L2 is too noisy: 0 of 1 blocks were quiet"
    ) as caught:
        sampler.quiet(machine.run(1e-3), "the bandwidth of L2")
    assert "3.00 times as long" in caught.value.message


def test_one_outlier_is_not_noise():
    machine = ScriptedMachine()
    samples = iter([2.0] * (SAMPLES - 1) + [50.0])
    assert Sampler(machine.speed()).calm(lambda: next(samples), "it").median == 2.0
    assert SAMPLES % GROUP == 0


def calibration(*given: object) -> Calibration:
    results = tuple(
        ProbeResult(probe, Sampled((3.9, 4.0, 4.1)), Sampled((0.5, 0.5, 0.5)), "V0|V1")
        for probe in x86_probes(AVX512)
    )
    loops = tuple(LoopResult(loop, Sampled((1.4, 1.5, 1.6))) for loop in x86_loops(AVX512))
    gigabytes = Sampled((2e10, 2e10, 2e10))
    levels = tuple(LevelBandwidth(level, gigabytes, gigabytes) for level in ("L1", "L2", "L3", "memory"))
    caches = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
    clock, call = Sampled((4e9, 4e9, 4e9)), Sampled((1e-6, 1e-6, 1e-6))
    return Calibration(
        "core", 'A "quoted" name', "x86-64", clock, results, loops, levels, call, call, 8, caches, 1.04
    )


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
    assert "took 1.04 times as long" in cpu.sources["calibration"].title
    assert row.port_groups == ((1.0, ("V0", "V1")),)
    (adder,) = [loop for loop in cpu.loops if loop.text == "vsubps, vpandd, vfmadd231ps"]
    assert (adder.arithmetic, adder.sites, adder.cycles, adder.cycles_low) == ("adder", 16, 1.5, 1.4)
    assert cpu.part.core_l2_bandwidth_bytes_per_s == cpu.part.l3_bandwidth_bytes_per_s == 2e10
    assert (cpu.calls.operator_call_s, cpu.calls.thread_wake_up_s) == (1e-6, 1e-6)


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


def test_the_command_keeps_the_table_for_host(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(calibration_module, "calibrate", calibration)
    arguments = ["--quiet", "--format", "csv", "--no-tune"]
    result = CliRunner().invoke(calibrate, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.startswith("op,form,vector_bits")
    assert load_cpu("host").title.startswith('A "quoted" name')


@pytest.mark.parametrize(
    ("arguments", "variable", "tunes"),
    [([], "", True), (["--no-tune"], "", False), ([], "1", False), (["--save", "mine.toml"], "", False)],
    ids=["plain", "no-tune", "variable", "save"],
)
def test_the_command_tunes_unless_it_is_told_not_to(arguments, variable, tunes, tmp_path, monkeypatch):
    pytest.importorskip("halide", reason="the CPU kernels need halide")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("ADDERCOST_NO_TUNE", variable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration_module, "calibrate", calibration)
    monkeypatch.setattr("addercost.cli.tune.zoo_cases", lambda: ("a case",))
    tuned = []
    monkeypatch.setattr("addercost.cli.tune.tune_cases", lambda cases, *_, **__: tuned.extend(cases))
    assert CliRunner().invoke(calibrate, ["--quiet", *arguments], catch_exceptions=False).exit_code == 0
    assert bool(tuned) is tunes


def test_the_command_saves_where_it_is_told_and_not_over_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration_module, "calibrate", calibration)
    path = tmp_path / "mine.toml"
    assert CliRunner().invoke(calibrate, ["--save", str(path)]).exit_code == 0
    assert load_cpu(str(path)).name == "mine"
    assert isinstance(CliRunner().invoke(calibrate, ["--save", str(path)]).exception, OutputError)
