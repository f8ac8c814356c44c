"""Devices, and cores that are modelled as another: their files and what is made of them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from addercost.cli.hardware import hardware
from addercost.cost.target_registry import load_target
from addercost.errors import ArgumentError, DataError
from addercost.hardware import list_hardware, load_cpu, load_device, load_file
from addercost.hardware.schema.device import DEVICE_FIGURES

DEVICES = [file.name for file in list_hardware(kind="device")]
CORES = [file.name for file in list_hardware(kind="core")]


def listed(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(hardware, [*arguments, "--format", "json"], catch_exceptions=False)
    return json.loads(result.output)


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_a_target_with_seconds(name):
    device, target = load_device(name), load_target(name)
    assert target.clock_hz == (device.sustained_clock_hz or device.boost_clock_hz)
    assert target.instructions == load_cpu(device.core).instructions
    assert (target.cores, target.device_class) == (device.cores, device.device_class)
    assert target.part_bandwidth_bytes_per_s == device.memory_bandwidth_bytes_per_s
    one_core = device.core_memory_bandwidth_bytes_per_s
    assert target.shares_memory_bandwidth == (
        one_core is None and target.memory_bandwidth_bytes_per_s is not None
    )


def test_a_raspberry_pi_5_has_its_documentation_s_figures():
    """raspberrypi/documentation: four cores at 2.4 GHz, 512 KB of L2 each, 2 MB of L3, 17 GB/s."""
    device = load_device("raspberry-pi-5")
    assert (device.cores, device.sustained_clock_hz) == (4, 2.4e9)
    assert (device.l2_bytes, device.last_level_cache_bytes) == (512 << 10, 2 << 20)
    assert device.memory_bandwidth_bytes_per_s == 17e9
    assert device.unconfirmed == ()


def test_what_was_not_read_is_marked_wherever_it_is_shown():
    assert "unconfirmed of xeon-8480-plus: sustained clock, " in " ".join(
        load_target("xeon-8480-plus").made_of
    )
    shown = {row["figure"]: row["quality"] for row in listed("show", "raspberry-pi-4-b")}
    assert shown["memory bandwidth of all cores"] == "unconfirmed"
    assert shown["sustained clock"] == "published"
    rows = {row["name"]: row["unconfirmed"] for row in listed("list", "--kind", "device")}
    assert rows["raspberry-pi-5"] == ""
    assert rows["raspberry-pi-4-b"].startswith("1 of ")


@pytest.mark.parametrize("name", CORES)
def test_a_core_has_the_other_one_s_figures_but_for_its_own(name):
    core = load_cpu(name)
    other = load_cpu(core.modelled.as_core)
    own = core.instructions[: core.modelled.own]
    kept = core.instructions[core.modelled.own :]
    assert set(kept) <= set(other.instructions)
    assert not {(r.op, r.form, r.vector_bits) for r in own} & {(r.op, r.form, r.vector_bits) for r in kept}
    assert all(row.source in core.sources for row in core.instructions)
    assert f"{name} is modelled as {other.name}" in load_target(name).made_of[0]
    assert core.part is None, "a part belongs to the other core"


@pytest.mark.parametrize(
    ("name", "op", "results"),
    [
        # InstLatx64 and cpufp: 32 multiply-adds of fp32 a cycle, Zen 4 has 16.
        pytest.param("amd-zen5", "fp32_fma", 32, id="zen-5"),
        # InstLatx64: 8 a cycle, of which Alder Lake P has 16.
        pytest.param("intel-gracemont", "fp32_fma", 8, id="gracemont"),
        # insn_bench_aarch64: four units of 128 bits, Cyclone has three.
        pytest.param("apple-m1-p", "fp32_fma", 16, id="apple-m1"),
    ],
)
def test_measured_rates_of_cores_replace_those_of_the_other_one(name, op, results):
    rows = [row for row in load_cpu(name).instructions if row.op == op]
    assert max(row.lanes / row.reciprocal_throughput_cycles for row in rows) == results


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "esp32-c3-rv32imc"])
def test_a_core_without_a_floating_point_unit_has_no_floats(name):
    assert not [row for row in load_cpu(name).instructions if row.op.startswith("fp")]


CORE = """
schema = 1
kind = "core"
title = "Mine"
vendor = "me"
isa = "aarch64"
modelled_as = "cortex-a53"
modelled_because = "it is alike"
[sources.own]
title = "own"
licence = "facts"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param('"cortex-a53"', '"nothing"', "modelled_as = 'nothing': expected the name", id="unknown"),
        pytest.param('"cortex-a53"', '"mine"', "modelled_as = 'mine': expected", id="itself"),
        pytest.param("sources.own", "sources.llvm", "sources.llvm is another source in", id="same-source-id"),
        pytest.param('modelled_because = "it is alike"', "", "modelled_because", id="no-reason"),
    ],
)
def test_a_core_s_file_that_is_wrong_is_one_line(tmp_path, monkeypatch, old, new, message):
    (tmp_path / "cores").mkdir()
    file = tmp_path / "cores" / "mine.toml"
    file.write_text(CORE.replace(old, new))
    monkeypatch.setenv("ADDERCOST_HARDWARE", str(tmp_path))
    with pytest.raises(DataError, match=message.replace("[", r"\[")):
        load_file(file)


def test_two_cores_of_a_user_that_are_modelled_as_each_other_are_refused(tmp_path, monkeypatch):
    (tmp_path / "cores").mkdir()
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / "cores" / f"{name}.toml").write_text(CORE.replace("cortex-a53", other))
    monkeypatch.setenv("ADDERCOST_HARDWARE", str(tmp_path))
    with pytest.raises(DataError, match="expected the name of another CPU's table"):
        load_cpu("one")


def test_a_table_of_its_own_cannot_say_that_it_is_modelled(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(CORE.replace('kind = "core"', 'kind = "cpu"\nmodelled = 1'))
    with pytest.raises(DataError, match="modelled = 1: expected no such key"):
        load_file(file)


def test_an_unconfirmed_figure_has_to_be_there(tmp_path):
    text = Path(load_device("raspberry-pi-5").file).read_text("utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(text.replace("\n[sources", '\nunconfirmed = ["sram_bytes"]\n[sources', 1))
    with pytest.raises(DataError, match=r"unconfirmed\[0\] = 'sram_bytes': expected a figure of the file"):
        load_file(file)


def test_units_of_every_figure_of_a_device():
    shown = {row["figure"]: (row["value"], row["unit"]) for row in listed("show", "raspberry-pi-5")}
    assert shown["sustained clock"] == (2.4, "GHz")
    assert shown["memory bandwidth of all cores"] == (17, "GB/s")
    assert shown["second-level cache"] == (512, "KiB")
    assert set(shown) <= set(DEVICE_FIGURES.values())


def test_an_unknown_device_is_offered_the_nearest():
    with pytest.raises(ArgumentError, match=r"did you mean .*raspberry-pi-5"):
        load_target("raspberry-pi-6")


NO_XOR = """
schema = 1
kind = "cpu"
title = "Mine"
vendor = "me"
isa = "riscv64"
[sources.own]
title = "own"
licence = "facts"
[[instructions]]
source = "own"
quality = "measured"
table = '''
op         form    vector_bits  lanes  latency_cycles  reciprocal_throughput_cycles  instruction
fp32_add   scalar  32           1      3               1                             fadd
fp32_mul   scalar  32           1      4               1                             fmul
'''
"""


def test_check_says_what_missing_figures_will_cost(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(NO_XOR)
    result = CliRunner().invoke(hardware, ["check", str(file)], catch_exceptions=False)
    said = " ".join(result.output.split())
    for sentence in (
        "no clock: estimates are cycles and no seconds",
        "no memory bandwidth: roofline, eager and fused need --bandwidth",
        "no instructions for a site of binary layers",
        "no latency of fp32 abs, divide, sqrt",
        "no vector instructions",
    ):
        assert f"mine: {sentence}" in said
    assert "in fp32: throughput" in said and "convolutions and linear layers in fp32" not in said


@pytest.mark.parametrize("value", ["0", "-1.0", "nan", "inf", "1e30", "1e-3"])
@pytest.mark.parametrize("figure", ["sustained_clock_hz", "memory_bandwidth_bytes_per_s"])
def test_a_figure_out_of_reach_is_refused(tmp_path, figure, value):
    lines = Path(load_device("raspberry-pi-5").file).read_text("utf-8").splitlines()
    file = tmp_path / "mine.toml"
    changed = [f"{figure} = {value}" if line.startswith(figure) else line for line in lines]
    file.write_text("\n".join(changed))
    with pytest.raises(DataError, match=f"{figure} = "):
        load_file(file)
