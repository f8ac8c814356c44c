"""Accelerator tables: the shipped ones, and what the loader refuses."""

from pathlib import Path

import pytest

from addercost.cost.accelerator.estimate import estimate_accelerator
from addercost.errors import ArgumentError, DataError
from addercost.hardware import list_hardware, load_accelerator, load_energy, load_file
from addercost.report.tables.hardware_figures import figure_rows

NAMES = [file.name for file in list_hardware(kind="accelerator")]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_table_says_where_it_is_from_and_what_is_doubtful(name):
    table = load_accelerator(name)
    assert table.source in table.sources
    assert table.caveats
    assert load_energy(table.energy_table).operations


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(ArgumentError, match="unknown accelerator") as caught:
        load_accelerator("tpu-lik")
    assert "tpu-like" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows = 256", "rows = 0", "rows = 0"),
        ("columns = 256", "columns = -3", "columns = -3"),
        ("columns = 256", "columns = 10000000", "columns = 10000000"),
        ("clock_hz = 700e6", "clock_hz = 0.0", "clock_hz = 0.0"),
        ("clock_hz = 700e6", "clock_hz = 1e15", "clock_hz = "),
        ("energy_pj_per_byte = 12.5", "energy_pj_per_byte = -1.0", "energy_pj_per_byte = -1.0"),
        ('"weight-stationary"', '"row-stationary"', "dataflow"),
        ('structure = "systolic"', 'structure = "vector"', "rows = 256"),
        ('accumulator_format = "int32"', 'accumulator_format = "fp32"', "accumulator_format"),
        ('role = "dram"', 'role = "buffer"', "two memories of role buffer"),
        ('role = "dram", operands = ["input", "filter",', 'role = "dram", operands = ["input",', "no DRAM"),
        ('source = "jouppi-2017"', 'source = "nobody"', "source"),
        ('source = "jouppi-2017"', 'source = "jouppi-2017"\nassumed = ["speed"]', "assumed[0] = 'speed'"),
        (
            'source = "jouppi-2017"',
            'source = "jouppi-2017"\nunconfirmed = ["dram size_bytes"]',
            "unconfirmed[0] = 'dram size_bytes'",
        ),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_in_one_line(tmp_path, old, new, message):
    text = Path(load_accelerator("tpu-like").file).read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_file(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_figure_without_a_source_is_shown_as_such_in_the_table_and_in_estimates():
    """Of Eyeriss the clock was not read, and how fast its buffer is stands nowhere."""
    table = load_accelerator("eyeriss-like")
    shown = {row["figure"]: row["quality"] for row in figure_rows(table)}
    assert (shown["rows"], shown["clock"]) == ("published", "unconfirmed")
    assert shown["bytes a cycle of global buffer"] == "assumed"
    assumptions = " ".join(estimate_accelerator([], table, load_energy(table.energy_table)).assumptions)
    assert "not read in a source: number format, clock" in assumptions
    assert "without a source: dataflow, bytes a cycle of global buffer" in assumptions


def test_the_lanes_of_a_vector_keep_sums(tmp_path):
    text = Path(load_accelerator("npu-256").file).read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("output-stationary", "weight-stationary"), encoding="utf-8")
    with pytest.raises(DataError, match="expected output-stationary"):
        load_file(path)
