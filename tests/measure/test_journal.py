"""A run that is killed loses the row in flight and no other, and goes on only as the same run."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
from scripted_device import ScriptedDevice, Work

from addercost.errors import DataError
from addercost.measure.bench import TimeRow, run, timed_row
from addercost.measure.journal import (
    Journal,
    JournalHeading,
    journal_path,
    open_journal,
    read_journal,
    read_measurements,
)
from addercost.measure.plan import RowPlan
from addercost.measure.runner import Effort
from addercost.results.measurements import (
    FailedRow,
    MeasuredRow,
    measurements_from_data,
    measurements_to_json,
)

HEADING = JournalHeading(
    "model", {"dtypes": "fp32"}, {"cpu": "x", "date": "1", "commit": "a", "kernels": "k"}, {"memory": 1e10}
)


def plan(name: str, work: Work | Exception) -> RowPlan:
    def make(free_bytes):
        if isinstance(work, Exception):
            raise work
        return work, Work(1e-3, "reference")

    row = MeasuredRow(
        name, "adder", (), "ours", case=name, paths=(name,), reference="reference fp32", limit="mac"
    )
    return RowPlan(row, make)


def on(device: ScriptedDevice) -> TimeRow:
    return partial(timed_row, device=device, effort=Effort())


def done(output: Path | None, plans: list[RowPlan]) -> tuple[Journal, ScriptedDevice]:
    device = ScriptedDevice()
    journal = open_journal(HEADING, output)
    run(plans, on(device), journal)
    return journal, device


def test_rows_are_there_as_soon_as_they_are_made(tmp_path: Path) -> None:
    output, seen = tmp_path / "out.json", []

    def said(number, plan, entry) -> None:
        if entry is None:
            seen.append(len(journal_path(output).read_text().splitlines()))

    device = ScriptedDevice()
    plans = [plan(name, Work(2e-3)) for name in "abc"]
    run(plans, on(device), open_journal(HEADING, output), said)
    assert seen == [1, 2, 3]


def test_killed_at_any_byte_no_whole_row_is_lost_or_timed_again(tmp_path: Path) -> None:
    """The file cut at every possible place is read as its whole lines, and the run finishes the same."""
    output = tmp_path / "out.json"
    works = {name: Work(2e-3, name) for name in "abc"}
    plans = [plan(name, work) for name, work in works.items()]
    done(output, plans)
    path = journal_path(output)
    data = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    assert len(ends) == 4
    step = 97
    for cut in (*range(0, len(data), step), *ends, *(end - 1 for end in ends)):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends)
        _, entries, _ = read_journal(path)
        assert len(entries) == max(0, whole - 1)
        journal, device = done(output, plans)
        assert list(journal.entries) == [p.key for p in plans]
        assert set("abc"[max(0, whole - 1) :]) == set(device.order) - {"reference"}
        assert path.read_bytes() == data


def test_a_row_is_on_the_disk_before_the_next_one_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is written, then synced; only then is the next row announced."""
    output, events = tmp_path / "out.json", []
    plain = os.fsync

    def fsync(handle: int) -> None:
        plain(handle)
        events.append(len(journal_path(output).read_bytes().splitlines()))

    def said(number, plan, entry) -> None:
        if entry is None:
            events.append("starts")

    monkeypatch.setattr(os, "fsync", fsync)
    plans = [plan(name, Work(2e-3)) for name in "ab"]
    run(plans, on(ScriptedDevice()), open_journal(HEADING, output), said)
    assert events == [1, "starts", 2, "starts", 3]


def test_zeros_at_the_end_are_a_crash_too(tmp_path: Path) -> None:
    """What a file system may leave of a line that was being written."""
    output = tmp_path / "out.json"
    done(output, [plan("a", Work(2e-3))])
    path = journal_path(output)
    path.write_bytes(path.read_bytes() + b'{"key": "b\0\0\0\0\n')
    assert len(read_journal(path)[1]) == 1


def test_failed_rows_are_kept_and_not_tried_again(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    journal, _ = done(output, [plan("a", RuntimeError("no such primitive\nmore")), plan("b", Work(2e-3))])
    failed, good = journal.entries.values()
    assert isinstance(failed, FailedRow) and failed.reason == "RuntimeError: no such primitive"
    assert isinstance(good, MeasuredRow)
    again, device = done(output, [plan("a", Work(1e-3)), plan("b", Work(2e-3))])
    assert again.entries == journal.entries and not device.order


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"model": "other"}, "model model, now other", id="model"),
        pytest.param({"settings": {"dtypes": "int8"}}, "dtypes fp32, now int8", id="settings"),
        pytest.param({"environment": {"cpu": "y", "kernels": "k"}}, "cpu: x, y", id="machine"),
        pytest.param({"environment": {"cpu": "x", "kernels": "l"}}, "kernels: k, l", id="kernels"),
    ],
)
def test_another_run_is_refused_in_one_line(tmp_path: Path, change: dict[str, object], words: str) -> None:
    output = tmp_path / "out.json"
    open_journal(HEADING, output)
    other = JournalHeading(**{**{f: getattr(HEADING, f) for f in HEADING.__slots__}, **change})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="is of another run") as found:
        open_journal(other, output)
    assert words in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize("line", ["date", "commit"])
def test_another_day_or_commit_with_the_same_kernels_is_the_same_run(tmp_path: Path, line: str) -> None:
    output = tmp_path / "out.json"
    open_journal(HEADING, output)
    other = JournalHeading("model", HEADING.settings, {**HEADING.environment, line: "2"}, {})
    assert open_journal(other, output).heading == HEADING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[]\n", "no schema", id="a list"),
        pytest.param('{"schema": "addercost/bench-journal/0"}\n', "this version reads", id="another version"),
        pytest.param("what\n", "is not JSON", id="not JSON"),
        pytest.param("[" * 100_000 + "\n", "is not JSON", id="deeply nested"),
    ],
)
def test_what_is_no_journal_is_not_overwritten(tmp_path: Path, text: str, words: str) -> None:
    path = journal_path(tmp_path / "out.json")
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        open_journal(HEADING, tmp_path / "out.json")
    assert path.read_text() == text


def test_damage_before_the_last_line_is_an_error(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    done(output, [plan("a", Work(2e-3)), plan("b", Work(2e-3))])
    path = journal_path(output)
    lines = path.read_text().splitlines()
    for line, words in (
        ("{", "line 2 is not JSON"),
        ("{}", "key is missing"),
        ('{"key": "a", "row": 3}', "an object"),
    ):
        path.write_text("\n".join([lines[0], line, lines[2]]) + "\n")
        with pytest.raises(DataError, match=words):
            read_journal(path)


def test_the_document_and_the_journal_hold_the_same(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    journal, _ = done(output, [plan("a", Work(2e-3)), plan("b", ValueError("bad")), plan("c", Work(1e-3))])
    document = measurements_to_json(journal.measurements())
    output.write_text(document)
    assert read_measurements(output) == read_measurements(journal_path(output)) == journal.measurements()
    assert measurements_from_data(json.loads(document)).failed[0].reason == "ValueError: bad"


def test_a_row_says_what_was_found() -> None:
    journal, _ = done(None, [plan("a", Work(2e-3))])
    (row,) = journal.measurements().rows
    assert row.median_s == pytest.approx(2e-3) and row.converged
    assert row.ratio is not None and row.ratio[0] == pytest.approx(2)
    assert row.limit_sites_per_s == 2e9
    assert (row.peak_bytes, row.kernels[0].name, row.energy_j) == (4096, "a_kernel", None)
