"""The table that a calibration writes, and the command that writes it."""

import pytest
from click.testing import CliRunner
from host_cores import AVX512

from addercost.cli.calibrate import calibrate
from addercost.cost.target import target_of
from addercost.errors import ArgumentError, OutputError
from addercost.hardware import Form, list_hardware, load_cpu, load_file
from addercost.measure.host import calibrate as calibration_module
from addercost.measure.host.calibrate import (
    Calibration,
    LevelBandwidth,
    LoopResult,
    ProbeResult,
)
from addercost.measure.host.sampling import LIMIT_S, Sampled
from addercost.measure.host.table import calibration_toml
from addercost.measure.host.x86_instructions import x86_probes
from addercost.measure.host.x86_loops import x86_loops


def calibration(limit_s: float = LIMIT_S) -> Calibration:
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


@pytest.mark.parametrize(("arguments", "limit_s"), [([], LIMIT_S), (["--minutes", "0.5"], 30.0)])
def test_the_command_waits_for_quiet_moments_as_long_as_it_is_told(tmp_path, monkeypatch, arguments, limit_s):
    waited = []

    def measure(limit_s):
        waited.append(limit_s)
        return calibration()

    monkeypatch.setattr(calibration_module, "calibrate", measure)
    arguments = ["--save", str(tmp_path / "mine.toml"), *arguments]
    assert CliRunner().invoke(calibrate, arguments, catch_exceptions=False).exit_code == 0
    assert waited == [limit_s]


def test_the_command_saves_where_it_is_told_and_not_over_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration_module, "calibrate", calibration)
    path = tmp_path / "mine.toml"
    assert CliRunner().invoke(calibrate, ["--save", str(path)]).exit_code == 0
    assert load_cpu(str(path)).name == "mine"
    assert isinstance(CliRunner().invoke(calibrate, ["--save", str(path)]).exception, OutputError)
