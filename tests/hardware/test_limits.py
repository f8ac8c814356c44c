"""The last value that a table's field takes, and the first that it does not."""

from pathlib import Path

import pytest

from addercost.errors import DataError
from addercost.hardware import load_cpu, load_energy, load_gpu
from addercost.hardware.vocabulary import SITES_PER_LANE

HEAD = """\
schema = 1
kind = "cpu"
title = "A processor"
vendor = "Someone"
isa = "x86-64"

[sources.own]
title = "Measured at home"
licence = "CC0-1.0"

"""
ROW = {
    "op": "fp32_mul",
    "form": "vector",
    "vector_bits": "128",
    "lanes": "4",
    "latency_cycles": "4",
    "reciprocal_throughput_cycles": "1",
    "instruction": "mulps",
}


def written(folder: Path, table: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(HEAD + table)
    return path


def block(*lines: str) -> str:
    table = "\n".join(lines)
    return f"[[instructions]]\nsource = 'own'\nquality = 'measured'\ntable = '''\n{table}\n'''\n"


def row(**cells: str) -> str:
    found = ROW | cells
    return block(" ".join(found), " ".join(found.values()))


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param({"latency_cycles": "0.5"}, id="part-of-a-cycle"),
        pytest.param({"latency_cycles": "999999.5"}, id="below-a-million-cycles"),
        pytest.param({"vector_bits": "1", "lanes": "1"}, id="one-bit"),
        pytest.param({"vector_bits": "999999"}, id="below-a-million-bits"),
        pytest.param({"reciprocal_throughput_cycles": "16"}, id="four-times-the-latency"),
        pytest.param({"latency_cycles": "1", "reciprocal_throughput_cycles": "4"}, id="four-times-one"),
    ],
)
def test_the_last_value_is_taken(tmp_path, cells):
    (instruction,) = load_cpu(str(written(tmp_path, row(**cells)))).instructions
    for name, cell in cells.items():
        assert getattr(instruction, name) == float(cell)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param({"latency_cycles": "0"}, id="no-cycle"),
        pytest.param({"latency_cycles": "-0.5"}, id="less-than-no-cycle"),
        pytest.param({"latency_cycles": "1000000"}, id="a-million-cycles"),
        pytest.param({"vector_bits": "0"}, id="no-bit"),
        pytest.param({"vector_bits": "1000000"}, id="a-million-bits"),
        pytest.param({"reciprocal_throughput_cycles": "16.5"}, id="over-four-times-the-latency"),
        pytest.param(
            {"latency_cycles": "1", "reciprocal_throughput_cycles": "4.5"}, id="over-four-times-one"
        ),
    ],
)
def test_the_first_value_beyond_is_refused_by_its_column(tmp_path, cells):
    path = str(written(tmp_path, row(**cells)))
    with pytest.raises(DataError) as caught:
        load_cpu(path)
    *_, (name, cell) = cells.items()
    assert f"table[0].{name} = " in str(caught.value) and cell in str(caught.value)


def test_a_block_may_have_a_header_and_no_row(tmp_path):
    assert load_cpu(str(written(tmp_path, block(" ".join(ROW))))).instructions == ()


def test_a_short_row_is_shown_itself(tmp_path):
    lines = (" ".join(ROW), " ".join(ROW.values()), "fp32_add scalar", " ".join(ROW.values()))
    with pytest.raises(DataError, match=r"table\[1\] = 'fp32_add scalar': expected 7 columns"):
        load_cpu(str(written(tmp_path, block(*lines))))


@pytest.mark.parametrize(
    "header",
    [
        pytest.param([*ROW, "op"], id="one-column-twice-the-last-wrong"),
        pytest.param(["op", *ROW], id="one-column-twice"),
        pytest.param([*list(ROW)[-1:], *list(ROW)[:-1]], id="instruction-first"),
    ],
)
def test_a_header_names_each_column_once_and_the_instruction_last(tmp_path, header):
    with pytest.raises(DataError, match="each column once and `instruction` last"):
        load_cpu(str(written(tmp_path, block(" ".join(header)))))


def test_a_header_names_no_other_column(tmp_path):
    with pytest.raises(DataError, match="'colour': expected columns among op, form"):
        load_cpu(str(written(tmp_path, block(" ".join(["colour", *ROW])))))


@pytest.mark.parametrize("cycles", ["1.25", "1.3"])
def test_a_loop_may_take_either_end_of_its_range(tmp_path, cycles):
    loop = f"""\
[[loops]]
arithmetic = "adder"
number_format = "fp32"
vector_bits = 512
sites = 16
cycles = {cycles}
cycles_low = 1.25
cycles_high = 1.3
text = "subtract, mask, multiply-add by -1"
quality = "measured"
source = "own"
"""
    assert load_cpu(str(written(tmp_path, loop))).loops[0].cycles == float(cycles)


ENERGY = """\
schema = 1
kind = "energy"
title = "A process"
technology = "ASIC"
[sources.own]
title = "Measured at home"
licence = "CC0-1.0"
"""
MEMORY = "[[memories]]\nmemory = 'sram'\naccess_bits = 64\nquality = 'published'\nsource = 'own'\n"


@pytest.mark.parametrize("end", ["energy_low_pj", "energy_high_pj"])
def test_a_memory_has_one_figure_or_both_ends_of_a_range(tmp_path, end):
    path = tmp_path / "mine.toml"
    path.write_text(ENERGY + MEMORY + f"energy_pj = 9\n{end} = 9\n")
    with pytest.raises(DataError, match=r"memories\[0\] has energy_pj and a range"):
        load_energy(str(path))
    path.write_text(ENERGY + MEMORY + "energy_low_pj = 9\nenergy_high_pj = 9\n")
    assert load_energy(str(path)).memories[0].energy_pj == 9


GPU = """\
schema = 1
kind = "gpu"
title = "A board"
vendor = "Someone"
architecture = "Its own"
source = "own"
memory_bandwidth_bytes_per_s = 1e12
memory_bandwidth_source = "own"
[sources.own]
title = "Measured at home"
licence = "CC0-1.0"
"""


def test_the_source_of_a_bandwidth_is_looked_up(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GPU)
    assert load_gpu(str(path)).memory_bandwidth_bytes_per_s == 1e12
    path.write_text(GPU.replace('bandwidth_source = "own"', 'bandwidth_source = "his"'))
    with pytest.raises(DataError, match="memory_bandwidth_source = 'his': expected the id of a"):
        load_gpu(str(path))


@pytest.mark.parametrize("key", ["schema", "kind"])
def test_a_table_says_its_version_and_its_kind(tmp_path, key):
    lines = [line for line in ENERGY.splitlines() if not line.startswith(key)]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"{key} is missing"):
        load_energy(str(path))


@pytest.mark.parametrize("value", ["7", "[]"])
def test_a_kind_is_text(tmp_path, value):
    path = tmp_path / "mine.toml"
    path.write_text(ENERGY.replace('"energy"', value))
    with pytest.raises(DataError, match="expected one of cpu, core, device, gpu, energy"):
        load_energy(str(path))


@pytest.mark.parametrize("key", ["name", "file"])
def test_a_table_does_not_name_itself(tmp_path, key):
    path = tmp_path / "mine.toml"
    path.write_text(f"{key} = 'x'\n" + ENERGY)
    with pytest.raises(DataError, match=f"{key} = 'x': expected no such key"):
        load_energy(str(path))


@pytest.mark.parametrize(
    ("op", "pairs"),
    [
        pytest.param("int8_dot", 32 // 8, id="bytes-of-a-32-bit-lane"),
        pytest.param("int16_dot", 32 // 16, id="int16-of-a-32-bit-lane"),
        pytest.param("bf16_dot", 32 // 16, id="bf16-of-a-32-bit-lane"),
        pytest.param("int8_mmla", 64 // 8, id="int8-row-of-64-bits"),
        pytest.param("bf16_mmla", 64 // 16, id="bf16-row-of-64-bits"),
    ],
)
def test_pairs_that_a_result_lane_combines(op, pairs):
    """A dot product fills its 32-bit lane. A matrix product multiplies rows of half a 128-bit register."""
    assert SITES_PER_LANE[op] == pairs


@pytest.mark.parametrize(
    ("load", "name"), [(load_cpu, "via-nano-2000"), (load_gpu, "h200-sxm"), (load_energy, "45nm")]
)
def test_a_table_can_be_a_key(load, name):
    """Its sources, a dictionary, stay out of its hash."""
    assert {load(name): name}[load(name)] == name
