"""What is read from a table, and what the loader refuses."""

import os

import pytest

from addercost.arithmetic import Arithmetic
from addercost.errors import DataError
from addercost.hardware import load_cpu, load_energy, loader
from tests.hardware.table_texts import ENERGY, MINIMAL


def test_a_minimal_file_loads(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL)
    cpu = load_cpu("mine", hardware_path=tmp_path)
    assert cpu.name == "mine"
    assert [(row.op, row.latency_cycles) for row in cpu.instructions] == [("fp32_mul", 4), ("fp32_add", 2)]
    assert cpu.clock_hz is None


def replaced(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


ROW = "fp32_mul  scalar  32           1      4               1  "


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            replaced('vendor = "S', 'colour = "red"\nvendor = "S'), "colour = 'red'", id="unknown-key"
        ),
        pytest.param(replaced('vendor = "Someone"\n', ""), "vendor is missing", id="missing-key"),
        pytest.param(
            replaced('vendor = "Someone"', "vendor = 3"), "vendor = 3: expected text", id="number-as-text"
        ),
        pytest.param(replaced("schema = 1", "schema = 7"), "schema = 7: expected 1", id="other-schema"),
        pytest.param(replaced("schema = 1", "schema = true"), "schema = True: expected 1", id="schema-true"),
        pytest.param(
            replaced('kind = "cpu"', 'kind = "tpu"'),
            "one of cpu, core, device, gpu, energy",
            id="unknown-kind",
        ),
        pytest.param(
            replaced('source = "own"', 'source = "his"'), "instructions[0].source = 'his'", id="no-source"
        ),
        pytest.param(
            replaced('licence = "CC0-1.0"\n', ""), "sources.own.licence is missing", id="no-licence"
        ),
        pytest.param(replaced('"measured"', '"guessed"'), "quality = 'guessed'", id="unknown-quality"),
        pytest.param(replaced(ROW, ROW.replace(" 4 ", " 0 ")), "latency_cycles = '0':", id="zero-cycles"),
        pytest.param(
            replaced(ROW, ROW.replace(" 4 ", " -4 ")), "latency_cycles = '-4':", id="negative-cycles"
        ),
        pytest.param(replaced(ROW, ROW.replace(" 4 ", " nan ")), "a finite number", id="nan-cycles"),
        pytest.param(replaced(ROW, ROW.replace(" 4 ", " 1e999 ")), "a finite number", id="infinite-cycles"),
        pytest.param(
            replaced(ROW, ROW.replace(" 4 ", " four ")), "'four': expected a number", id="text-as-number"
        ),
        pytest.param(
            replaced(ROW, ROW.replace(" 4 ", " 1_0 ")), "'1_0': expected a number", id="underscored-number"
        ),
        pytest.param(
            replaced(ROW, ROW.replace(" 1  ", " 17 ")), "are the two swapped", id="throughput-too-slow"
        ),
        pytest.param(
            replaced(ROW, ROW.replace("fp32_mul", "fp32_mull")), "op = 'fp32_mull'", id="unknown-op"
        ),
        pytest.param(replaced(ROW, ROW.replace("scalar", "wide")), "form = 'wide'", id="unknown-form"),
        pytest.param(replaced("fp32_add  scalar", "fp32_mul  scalar"), "repeats fp32_mul", id="repeated-row"),
        pytest.param(replaced("lanes  lat", "lane  lat"), "the column 'lanes'", id="missing-column"),
        pytest.param(replaced("addss xmm0, xmm1", ""), "7 columns", id="short-row"),
        pytest.param(MINIMAL + "[part]\nname = 'x'\n", "part.source is missing", id="part-without-source"),
        pytest.param(
            MINIMAL + "[part]\nname='x'\nsource='own'\nquality='measured'\nbase_clock_hz=inf\n",
            "part.base_clock_hz = inf: expected a finite number",
            id="infinite-clock",
        ),
        pytest.param(
            MINIMAL + "[part]\nname='x'\nsource='own'\nquality='measured'\nbase_clock_hz='4 GHz'\n",
            "part.base_clock_hz = '4 GHz': expected a number",
            id="clock-as-text",
        ),
        pytest.param(
            MINIMAL + "[part]\nname='x'\nsource='own'\nquality='measured'\ncores=true\n",
            "part.cores = True: expected a whole number",
            id="cores-true",
        ),
        pytest.param("kind = [", "not TOML", id="not-toml"),
        pytest.param("a = " + "[" * 100_000, "nested too deeply", id="deep-nesting"),
        pytest.param("", "schema is missing", id="empty"),
    ],
)
def test_a_malformed_file_is_refused_by_name_key_and_value(tmp_path, content, expected):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        load_cpu("bad", hardware_path=tmp_path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


def test_not_utf8(tmp_path):
    (tmp_path / "bad.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(DataError, match="not UTF-8"):
        load_cpu("bad", hardware_path=tmp_path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with (tmp_path / "huge.toml").open("wb") as file:
        file.truncate(100 << 20)
    monkeypatch.setattr(loader.Path, "read_bytes", lambda self: pytest.fail("was read"))
    with pytest.raises(DataError, match="104,857,600 bytes"):
        load_cpu("huge", hardware_path=tmp_path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(DataError, match="not a regular file"):
        load_cpu("pipe", hardware_path=tmp_path)


def test_a_symlink_loop(tmp_path):
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    with pytest.raises(DataError, match="cannot be read"):
        load_cpu("loop", hardware_path=tmp_path)


def test_a_file_as_large_as_allowed_is_read(tmp_path):
    """The limit is a megabyte: a table with a comment up to it loads, one byte more does not."""
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL + "#" * (loader.LARGEST_FILE_BYTES - len(MINIMAL)))
    assert load_cpu(str(path)).name == "mine"
    path.write_text(path.read_text() + "#")
    with pytest.raises(DataError, match="1,048,577 bytes: expected at most 1,048,576"):
        load_cpu(str(path))


PART = "[part]\nname = 'x'\nsource = 'own'\nquality = 'measured'\n"


@pytest.mark.parametrize(
    ("clocks", "expected"),
    [
        pytest.param("base_clock_hz = 2e9\nboost_clock_hz = 3e9\n", 2e9, id="base-before-boost"),
        pytest.param("boost_clock_hz = 3e9\n", 3e9, id="only-boost"),
        pytest.param("", None, id="neither"),
    ],
)
def test_the_clock_of_a_cpu(tmp_path, clocks, expected):
    (tmp_path / "mine.toml").write_text(MINIMAL + PART + clocks)
    assert load_cpu("mine", hardware_path=tmp_path).clock_hz == expected


RANGES = replaced("latency_cycles  reci", "latency_cycles  latency_low_cycles  latency_high_cycles  reci")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param("4 3 5", (3, 5), id="both"),
        pytest.param("4 - 5", (4, 5), id="only-high"),
        pytest.param("4 3 -", (3, 4), id="only-low"),
        pytest.param("4 4 4", (4, 4), id="the-figure-itself"),
        pytest.param("- - -", None, id="none"),
    ],
)
def test_a_range_of_latencies(tmp_path, cells, expected):
    rows = RANGES.replace("1      4  ", f"1 {cells} ").replace("1      2  ", "1 2 - - ")
    (tmp_path / "mine.toml").write_text(rows)
    (row, _) = load_cpu("mine", hardware_path=tmp_path).instructions
    assert row.latency_range_cycles == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(
            "4 5 -", "latency_low_cycles = 5: expected at most the figure itself, 4", id="low-above"
        ),
        pytest.param(
            "4 - 3", "latency_high_cycles = 3: expected at least the figure itself, 4", id="high-below"
        ),
        pytest.param("- 3 -", "latency_low_cycles = 3: expected at most", id="low-of-nothing"),
        pytest.param("- - 3", "latency_high_cycles = 3: expected at least", id="high-of-nothing"),
    ],
)
def test_a_range_without_its_figure_is_refused(tmp_path, cells, expected):
    rows = RANGES.replace("1      4  ", f"1 {cells} ").replace("1      2  ", "1 2 - - ")
    (tmp_path / "mine.toml").write_text(rows)
    with pytest.raises(DataError) as caught:
        load_cpu("mine", hardware_path=tmp_path)
    assert f"instructions[0].table[0].{expected}" in str(caught.value)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param("P0|P1", ((1.0, ("P0", "P1")),), id="one-group"),
        pytest.param("2*P0+P5", ((2.0, ("P0",)), (1.0, ("P5",))), id="two-groups"),
        pytest.param("-", (), id="unknown"),
    ],
)
def test_port_groups(tmp_path, ports, expected):
    with_ports = replaced("reciprocal_throughput_cycles  ins", "reciprocal_throughput_cycles ports ins")
    rows = with_ports.replace("4               1  ", f"4 1 {ports} ").replace(
        "2               0.5  ", "2 0.5 P0 "
    )
    (tmp_path / "mine.toml").write_text(rows)
    assert load_cpu("mine", hardware_path=tmp_path).instructions[0].port_groups == expected


def energy(old, new):
    assert old in ENERGY
    return ENERGY.replace(old, new)


def test_an_energy_table_loads(tmp_path):
    (tmp_path / "mine.toml").write_text(ENERGY)
    table = load_energy("mine", hardware_path=tmp_path)
    (memory,) = table.memories
    # The middle of 8 and 12 pJ, for 64 bits = 8 bytes.
    assert (memory.energy_pj, memory.energy_pj_per_byte) == (10, 1.25)
    # 1 + 0.5·8 at 8 bits.
    assert table.fits[0].energy_pj(8) == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(energy("energy_pj = 0.9\n", ""), "operations[0] has no figure", id="no-figure"),
        pytest.param(
            energy("energy_pj = 0.9", "energy_pj = 0"), "energy_pj = 0: expected a number above 0", id="zero"
        ),
        pytest.param(energy("energy_low_pj = 8\n", ""), "memories[0] has no figure", id="half-a-range"),
        pytest.param(
            energy("energy_low_pj = 8\n", "energy_pj = 9\nenergy_low_pj = 8\n"),
            "energy_pj and a range",
            id="both-forms",
        ),
        pytest.param(
            energy("energy_low_pj = 8", "energy_low_pj = 13"),
            "energy_low_pj = 13: expected at most",
            id="range-turned-round",
        ),
        pytest.param(energy("[1, 0.5]", "[1, -0.5]"), "coefficients_pj[1] = -0.5", id="negative-coefficient"),
        pytest.param(energy("[[fits]]", "[[fit]]"), "fit = [", id="unknown-table"),
        pytest.param(
            energy('source = "own"\n\n[[fits]]', 'source = "his"\n\n[[fits]]'),
            "memories[0].source = 'his': expected the id of a [sources] entry: own",
            id="no-source",
        ),
        pytest.param("name = 'x'\n" + ENERGY, "name = 'x': expected no such key", id="name"),
        pytest.param(
            energy('[sources.own]\ntitle = "Measured at home"\nlicence = "CC0-1.0"\n', "[sources]\n"),
            "at least one",
            id="no-sources",
        ),
    ],
)
def test_a_malformed_energy_table(tmp_path, content, expected):
    (tmp_path / "bad.toml").write_text(content)
    with pytest.raises(DataError) as caught:
        load_energy("bad", hardware_path=tmp_path)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


LOOP = """
[[loops]]
arithmetic = "adder"
number_format = "fp32"
vector_bits = 512
sites = 16
cycles = 1.28
cycles_low = 1.25
cycles_high = 1.3
text = "subtract, mask, multiply-add by -1"
quality = "measured"
source = "own"

[calls]
operator_call_s = 2e-6
quality = "measured"
source = "own"
"""


def test_measured_loops_and_the_costs_of_calls_are_read(tmp_path):
    (tmp_path / "mine.toml").write_text(MINIMAL + LOOP)
    cpu = load_cpu("mine", hardware_path=tmp_path)
    (loop,) = cpu.loops
    assert (loop.arithmetic, loop.sites_per_cycle) == (Arithmetic.ADDER, 12.5)
    assert (loop.step.sites, loop.step.reciprocal_throughput_cycles) == (16, 1.28)
    assert (cpu.calls.operator_call_s, cpu.calls.thread_wake_up_s) == (2e-6, None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"adder"', '"adding"', "loops[0].arithmetic = 'adding'"),
        ("sites = 16", "sites = 0", "loops[0].sites = 0"),
        ("cycles_low = 1.25", "cycles_low = 1.29", "loops[0].cycles = 1.28: expected from cycles_low = 1.29"),
        ('"measured"\nsource = "own"\n\n', '"measured"\nsource = "his"\n\n', "loops[0].source = 'his'"),
        ("2e-6", "-2e-6", "calls.operator_call_s = -2e-06"),
    ],
    ids=["arithmetic", "no-sites", "range", "source", "negative"],
)
def test_a_measured_loop_that_cannot_be_is_refused(tmp_path, old, new, expected):
    assert old in LOOP
    (tmp_path / "mine.toml").write_text(MINIMAL + LOOP.replace(old, new))
    with pytest.raises(DataError) as caught:
        load_cpu("mine", hardware_path=tmp_path)
    assert expected in str(caught.value)
