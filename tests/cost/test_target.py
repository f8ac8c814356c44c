"""Targets: what is made of a hardware table, and what installed packages add."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from addercost.arithmetic import Arithmetic, OpCounts
from addercost.cli import run
from addercost.cost.estimate import estimate
from addercost.cost.layers import LayerKind
from addercost.cost.models import COST_MODELS
from addercost.cost.target import Target, target_of
from addercost.cost.target_registry import added_names, all_targets, load_target
from addercost.errors import ArgumentError, DataError
from addercost.hardware import Cpu, Form, Instruction, Quality, list_hardware, load_cpu
from addercost.hardware.schema.cpu import CpuPart

ROOT = Path(__file__).parents[2]


def row(
    bits: int = 128, quality: Quality = Quality.MODEL, form: Form = Form.VECTOR, text: str = ""
) -> Instruction:
    return Instruction(
        "fp32_add", form, bits, bits // 32, text, 1, None, None, 1, None, None, 1, "A", quality, "own"
    )


def table(**part: object) -> Cpu:
    made = CpuPart("Board", "own", Quality.SPECIFICATION, **part) if part else None
    return Cpu("mine", "Mine", "me", "x86-64", "mine.toml", (row(),), {}, part=made)


@pytest.mark.parametrize(
    ("part", "hz", "clock"),
    [
        pytest.param({}, None, "", id="no-part"),
        pytest.param({"cores": 4}, None, "", id="no-clock"),
        pytest.param({"base_clock_hz": 2e9}, 2e9, "the base clock of Board", id="base"),
        pytest.param({"boost_clock_hz": 3e9}, 3e9, "the boost clock of Board", id="boost-alone"),
        pytest.param(
            {"base_clock_hz": 2e9, "boost_clock_hz": 3e9}, 2e9, "the base clock of Board", id="both"
        ),
    ],
)
def test_the_clock_is_the_base_clock_where_it_is_known(part, hz, clock):
    made = target_of(table(**part))
    assert (made.clock_hz, made.clock) == (hz, clock)


def test_a_measured_clock_is_called_so():
    part = CpuPart("Board", "own", Quality.MEASURED, base_clock_hz=2e9)
    assert target_of(replace(table(), part=part)).clock == "the measured clock of Board"


@pytest.mark.parametrize(
    ("core", "whole", "bandwidth", "shared"),
    [
        pytest.param(10e9, 40e9, 10e9, False, id="one-core-where-it-was-measured"),
        pytest.param(None, 40e9, 40e9, True, id="the-whole-part-otherwise"),
        pytest.param(10e9, None, 10e9, False, id="one-core-alone"),
        pytest.param(None, None, None, False, id="unknown"),
    ],
)
def test_memory_bandwidth(core, whole, bandwidth, shared):
    """What one core draws is what bounds it; it says so where only the whole part's is known."""
    part = {"core_memory_bandwidth_bytes_per_s": core, "memory_bandwidth_bytes_per_s": whole}
    made = target_of(table(base_clock_hz=2e9, **part))
    assert made.memory_bandwidth_bytes_per_s == bandwidth
    assert made.shares_memory_bandwidth is shared
    assert made.has_memory_rate is (bandwidth is not None)
    layer = LayerKind(None, (), 0, 1000)
    cost = estimate([counted(layer)], made, "roofline")
    said = any("whole part's memory bandwidth" in text for text in cost.assumptions)
    assert said is shared
    if bandwidth:
        # Bytes over bandwidth are seconds, seconds times clock are cycles.
        assert cost.cycles == pytest.approx(1000 / bandwidth * 2e9)


def test_memory_cycles_need_a_clock_too():
    assert not target_of(table(memory_bandwidth_bytes_per_s=1e9)).has_memory_rate


def counted(kind: LayerKind):
    class Layer:
        path, counts, bytes = "layer", OpCounts(kind.counts), kind.n_bytes

    return Layer()


@pytest.mark.parametrize(
    ("device", "memory_bytes"),
    # The datasheet of the RP2040 has 264 KiB of SRAM; the Raspberry Pi 5 is sold with up to 16 GiB.
    [pytest.param("rp2040", 264 * 1024, id="sram"), pytest.param("raspberry-pi-5", 16 * 2**30, id="memory")],
)
def test_a_device_without_other_memory_has_its_sram(device, memory_bytes):
    assert load_target(device).memory_bytes == memory_bytes


def test_everything_else_of_a_table_is_kept():
    cpu = load_cpu("via-nano-2000")
    made = target_of(cpu)
    assert (made.name, made.title, made.file) == (cpu.name, cpu.title, cpu.file)
    assert made.instructions == cpu.instructions
    assert made.preferred_float_form is Form.X87
    assert made.issue_width_uops == cpu.issue_width_uops
    assert made.sources == tuple(source.title for source in cpu.sources.values())
    assert made.caveats == cpu.caveats
    assert target_of(made) is made


def test_rows_come_narrowest_first_and_measured_before_modelled():
    wide, measured, modelled = row(256), row(128, Quality.MEASURED), row(128)
    scalar = row(32, form=Form.SCALAR)
    made = Target("mine", "Mine", (wide, modelled, scalar, measured))
    assert made.rows("fp32_add", (Form.VECTOR,)) == (measured, modelled, wide)
    assert made.rows("fp32_add", (Form.SCALAR, Form.VECTOR)) == (scalar, measured, modelled, wide)
    assert made.rows("fp32_add", (Form.VECTOR, Form.SCALAR)) == (measured, modelled, wide, scalar)
    assert made.rows("fp32_mul") == ()
    assert set(made.rows("fp32_add")) == {wide, measured, modelled, scalar}


PACKAGE = """
from addercost.cost.target import Target
from addercost.hardware import Form, Instruction, Quality, load_file

def multiplier(op, latency):
    rest = (None, None, 1.0, None, None, 1, "M", Quality.PUBLISHED, "own")
    return Instruction(op, Form.SCALAR, 32, 1, op, latency, *rest)

npu = Target("acme-npu", "Acme NPU", (multiplier("fp32_mul", 7), multiplier("fp32_add", 5)), clock_hz=1e9,
             clock="the clock of the data sheet")

def table():
    return load_file(TABLE)

def raises():
    raise RuntimeError("no licence\\nfound")

def leaves():
    raise SystemExit(3)

nothing = "a text"
other_name = npu
"""


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A function that installs a package with these entry points, name → object of its module."""

    def install(package: str = "acme", **targets: str) -> None:
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        code = PACKAGE.replace("TABLE", repr(str(load_cpu("via-nano-2000").file)))
        (folder / f"{package}_targets.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(
            f"{name.replace('_', '-')} = {package}_targets:{value}\n" for name, value in targets.items()
        )
        (info / "entry_points.txt").write_text(f"[addercost.targets]\n{lines}")
        monkeypatch.syspath_prepend(str(folder))

    yield install
    for name in [name for name in sys.modules if name.endswith("_targets") and name != "addercost_targets"]:
        if name.partition("_")[0] in ("acme", "rival"):
            del sys.modules[name]


def test_a_package_adds_a_target(acme):
    acme(acme_npu="npu")
    target = load_target("acme-npu")
    counts = OpCounts.of(mul=10, add=100)
    cost = estimate([counted(LayerKind(Arithmetic.MAC, counts.items, 10, 0))], target, "latency-sum")
    assert (cost.hardware, cost.cycles) == ("acme-npu", 10 * 7 + 100 * 5)
    assert cost.seconds == pytest.approx(570e-9)
    assert added_names() == ["acme-npu"]
    assert "acme-npu" in [target.name for target in all_targets()[0]]


def test_a_package_may_give_a_table_by_a_function(acme):
    acme(via_nano_2001="table", acme_npu="npu")
    with pytest.raises(DataError, match="its name is via-nano-2000"):
        load_target("via-nano-2001")


def test_the_example_of_the_page(acme, tmp_path):
    page = (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"## Processors of your own\n.*?```python\n(.*?)```", page, flags=re.S)
    acme(acme_npu="npu")
    (tmp_path / "acme" / "acme_targets.py").write_text(example)
    table = Path(load_cpu("via-nano-2000").file).read_text(encoding="utf-8")
    (tmp_path / "acme" / "acme-npu.toml").write_text(table, encoding="utf-8")
    target = load_target("acme-npu")
    assert target.name == "acme-npu"
    assert target.instructions == load_target("via-nano-2000").instructions


def test_nothing_of_a_package_is_imported_until_its_target_is_asked_for(acme):
    acme(acme_npu="npu")
    load_target("amd-zen4")
    assert "acme_targets" not in sys.modules
    load_target("acme-npu")
    assert "acme_targets" in sys.modules


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param("raises", "RuntimeError: no licence found", id="raises"),
        pytest.param("leaves", "SystemExit: 3", id="exits"),
        pytest.param("nothing", "it is a str, not a Target or a Cpu", id="no-target"),
        pytest.param("absent", "AttributeError: .* no attribute 'absent'", id="no-such-object"),
        pytest.param("other_name", "its name is acme-npu", id="another-name"),
    ],
)
def test_a_broken_target_is_one_line_and_breaks_no_other(acme, value, why):
    acme(acme_broken=value, acme_npu="npu")
    with pytest.raises(DataError, match=f"the target acme-broken of acme cannot be used: {why}") as raised:
        load_target("acme-broken")
    assert "\n" not in str(raised.value)
    assert load_target("acme-npu").name == "acme-npu"
    targets, problems = all_targets()
    assert [target.name for target in targets][-1] == "acme-npu"
    assert len(targets) == len(list_hardware(kind="cpu")) + 1
    assert problems == [str(raised.value)]


def test_a_name_that_a_table_has_is_refused(acme):
    acme(amd_zen4="npu")
    with pytest.raises(ArgumentError, match="acme adds a target amd-zen4, and there is a hardware table"):
        load_target("amd-zen4")
    assert load_target("amd-zen3").name == "amd-zen3"
    targets, problems = all_targets()
    assert "amd-zen4" not in [target.name for target in targets]
    assert len(problems) == 1


def test_a_name_that_two_packages_add_is_refused(acme):
    acme(acme_npu="npu")
    acme("rival", acme_npu="npu")
    with pytest.raises(ArgumentError, match="acme and rival both add a target acme-npu"):
        load_target("acme-npu")


def test_an_unknown_name_is_answered_with_the_nearest_of_both_kinds(acme):
    acme(acme_npu="npu")
    with pytest.raises(ArgumentError, match="unknown CPU 'acme-npo'; did you mean acme-npu"):
        load_target("acme-npo")
    with pytest.raises(ArgumentError, match="did you mean amd-zen4"):
        load_target("amd-zen44")


def test_the_command_line_finds_it(acme, capsys):
    acme(acme_npu="npu")
    arguments = ("--convention", "macs", "--cpu", "acme-npu", "--cost-model", "latency-sum", "--explain")
    assert run(["profile", "zoo:lenet5-bn", *arguments]) == 0
    # 416,520 multiplications at 7 cycles and as many additions at 5.
    expected = f"acme-npu, latency-sum model (estimate): {416_520 * 12:,} cycles"
    assert expected in capsys.readouterr().out


def test_every_model_costs_on_every_target():
    layer = counted(LayerKind(None, OpCounts.of(add=4).items, 0, 8))
    for target in all_targets()[0]:
        for model in COST_MODELS:
            cost = estimate([layer], target, model)
            # Some tables have no latencies.
            assert cost.cycles > 0 or not cost.complete
