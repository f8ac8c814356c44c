"""What `profile --batch 1,8` shows: the costliest blocks with their share, and times that fit a terminal."""

from __future__ import annotations

from functools import cache

import pytest

from addercost.api import profile, trace_batches
from addercost.report.formats.terminal import to_terminal
from addercost.report.tables.profile import MOST_BLOCKS, ProfileView, profile_table
from addercost.report.tables.profile_batches import profile_batches_table
from addercost.results.profile import Profile

CPUS = ("intel-skylake-x", "amd-zen4")
SIZES = {"one": (1,), "two": (1, 8), "five": (1, 8, 32, 64, 128)}


@cache
def profiles(sizes: tuple[int, ...], cpus: tuple[str, ...]) -> dict[int, Profile]:
    """66 layers at every batch size."""
    traces = trace_batches("zoo:resnet20-cifar", sizes, memory=True).traces
    return {size: profile(trace, cpus=cpus) for size, trace in traces.items()}


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("cpus", [CPUS[:1], CPUS, ()], ids=["one-processor", "two-processors", "none"])
@pytest.mark.parametrize("sizes", ["two", "five"])
def test_fits_the_terminal(sizes: str, cpus: tuple[str, ...], width: int) -> None:
    table = profile_batches_table(profiles(SIZES[sizes], cpus), "how", ProfileView())
    assert max(map(len, to_terminal(table, width).splitlines())) <= width


@pytest.mark.parametrize("sizes", ["two", "five"])
def test_every_size_and_processor_is_in_80_columns(sizes: str) -> None:
    """The times of a network's total, 2 processors by the number of sizes, each once."""
    table = profile_batches_table(profiles(SIZES[sizes], CPUS), "how", ProfileView())
    totals = [line for line in to_terminal(table, 80).splitlines() if line.startswith("total")]
    times = [word for line in totals for word in line.replace("100.0 %", "").split()[1::2]]
    assert len(times) == 2 * len(SIZES[sizes])


def test_shows_the_blocks_of_one_size_in_the_same_order() -> None:
    """As `profile` of the first size alone, with its shares and bars."""
    several = profiles(SIZES["two"], CPUS)
    alone = profile_table(several[1])
    table = profile_batches_table(several, "how", ProfileView())
    assert len(table.rows) == MOST_BLOCKS + 1
    for row, expected in zip(table.rows, alone.rows, strict=True):
        assert (row["path"], row.get("bar", "")) == (expected["path"], expected["bar"])
        assert row["share"] == pytest.approx(expected["share"])
        for cpu, model in (("intel-skylake-x", "roofline"), ("amd-zen4", "throughput")):
            label = f"seconds@{cpu}:{model}"
            assert row[f"{label}@1"] == pytest.approx(expected[label])
    for column in table.columns:
        if column.name.startswith(("seconds@", "operations@")):
            assert sum(row[column.name] for row in table.rows) == pytest.approx(table.total[column.name])


def test_all_lists_every_layer_in_its_order() -> None:
    several = profiles(SIZES["two"], CPUS)
    table = profile_batches_table(several, "how", ProfileView(all_layers=True, on_command_line=True))
    assert [row["path"] for row in table.rows] == [
        row["path"] for row in profile_table(several[1], ProfileView(all_layers=True)).rows
    ]
    assert table.notes[-1] == "--explain writes the notes out"
