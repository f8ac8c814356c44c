"""A folder of shards: kept whole, finished by a second run, safe from other people's files, and with the same
bytes whoever makes it.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from sweep_spaces import IN_TWOS, LINEAR, NINE, WAITING, contents, dies, here, rows, space_file

from addercost.errors import ArgumentError, DataError, ModelError, OutputError, WorkersLostError
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunks.chunk import Chunk, ChunkResult, run_chunk
from addercost.sweep.chunks.process_pool import process_pool
from addercost.sweep.queries.sweep_data import open_sweep
from addercost.sweep.run import plan, sweep
from addercost.sweep.shards.manifest import read_manifest


def counted(chunks: Iterator[Chunk], into: list[int]) -> Generator[ChunkResult, None, None]:
    for result in here(chunks):
        into.append(result.number)
        yield result


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return [
        child for child in process.children(recursive=True) if "resource_tracker" not in str(child.cmdline())
    ]


def test_what_is_done_is_not_done_again(space: str, swept: Path) -> None:
    before = contents(swept)
    (swept / "shard-000001.parquet").unlink()
    (swept / "shard-000004.parquet").unlink()
    made: list[int] = []
    report = sweep(plan(space, IN_TWOS), swept, engine=lambda chunks: counted(chunks, made))
    assert (made, report.chunks_done_before) == ([1, 4], 3)
    assert contents(swept) == before
    assert len(rows(swept)) == 9


def test_damaged_and_foreign_shards_are_named_kept_and_made_again(space: str, swept: Path) -> None:
    before = contents(swept)
    shard = [swept / f"shard-{number:06d}.parquet" for number in range(5)]
    shard[0].write_bytes(shard[0].read_bytes()[:-20])
    # A page's bytes are inverted, the footer is as it was.
    data = bytearray(shard[1].read_bytes())
    data[60:80] = bytes(255 - b for b in data[60:80])
    shard[1].write_bytes(data)
    shard[2].write_text("not a shard")
    pq.write_table(pq.read_table(shard[3]).replace_schema_metadata({}), shard[3])
    shard[4].write_bytes(shard[3].read_bytes())
    (swept / "other.parquet").write_bytes(b"mine")
    (swept / ".shard-000000.parquet.x.tmp").write_bytes(b"half")
    made: list[int] = []
    report = sweep(plan(space, IN_TWOS), swept, engine=lambda chunks: counted(chunks, made))
    assert made == [0, 1, 2, 3, 4]
    text = "\n".join(report.remarks)
    assert all(f"shard-{number:06d}.parquet" in text for number in range(5))
    assert text.count("is damaged") == 3 and text.count("is no shard of addercost") == 2
    assert "other.parquet is no shard of this sweep and is left alone" in text
    assert (swept / "other.parquet").read_bytes() == b"mine"
    assert (swept / "shard-000002.parquet.rejected").read_text() == "not a shard"
    (swept / "other.parquet").unlink()
    assert contents(swept) == before


def test_another_sweeps_shard_is_not_taken_for_one_of_these(space: str, swept: Path, tmp_path: Path) -> None:
    other = SweepSettings(cpus=("amd-zen4",), chunk=2)
    sweep(plan(space, other), tmp_path / "two", engine=here)
    (tmp_path / "two" / "shard-000000.parquet").replace(swept / "shard-000000.parquet")
    report = sweep(plan(space, IN_TWOS), swept, engine=here)
    assert "belongs to another sweep" in report.remarks[0]
    assert {row["cpu"] for row in rows(swept)} == {"via-nano-2000"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param(SweepSettings(cpus=("amd-zen4",), chunk=2), "its cpus are", id="processor"),
        pytest.param(replace(IN_TWOS, chunk=3), "its chunk is 2, not 3", id="chunk"),
    ],
)
def test_a_folder_of_another_sweep_is_refused(
    settings: SweepSettings, text: str, space: str, swept: Path
) -> None:
    with pytest.raises(ArgumentError, match=text):
        sweep(plan(space, settings), swept, engine=here)


def test_a_space_that_was_edited_is_another_sweep(space: str, swept: Path, tmp_path: Path) -> None:
    space_file(tmp_path, NINE + "# a remark")
    with pytest.raises(ArgumentError, match="another version of the space"):
        sweep(plan(space, IN_TWOS), swept, engine=here)


def test_failed_architectures_are_tried_again_when_asked(tmp_path: Path) -> None:
    text = """
import os, torch
from torch import nn
def sometimes():
    return nn.Linear(2, 2) if os.path.exists({flag!r}) else 1 / 0
architectures = [("a", sometimes, torch.empty(1, 2)), ("b", lambda: nn.Linear(2, 2), torch.empty(1, 2))]
"""
    flag = tmp_path / "flag"
    what = plan(space_file(tmp_path, text.format(flag=str(flag))), SweepSettings(chunk=1))
    assert sweep(what, tmp_path / "out", engine=here).failed == 1
    flag.touch()
    assert sweep(what, tmp_path / "out", engine=here).failed == 1
    report = sweep(what, tmp_path / "out", engine=here, retry_failed=True)
    assert (report.failed, report.chunks_done_before) == (0, 1)


def test_a_full_disk_stops_the_sweep_and_keeps_what_is_whole(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = plan(space, IN_TWOS)
    written = 0
    original = os.fsync

    def full(handle: int) -> None:
        nonlocal written
        written += 1
        if written == 4:  # the manifest and two shards fit
            raise OSError(errno.ENOSPC, "No space left on device")
        original(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        sweep(what, tmp_path / "out", engine=here)
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "shard-000000.parquet",
        "shard-000001.parquet",
        "sweep.json",
    ]
    assert sweep(what, tmp_path / "out", engine=here).chunks_done_before == 2


@pytest.mark.exhaustive
def test_a_worker_killed_in_the_middle_loses_nothing(space: str, swept_nine: Path, tmp_path: Path) -> None:
    """Two workers, of which one is killed, make what one process made."""
    killed: list[int] = []

    def kill_one(done: int, failed: int) -> None:
        if not killed:
            worker = next(c for c in children_of(psutil.Process()) if "spawn_main" in str(c.cmdline()))
            killed.append(worker.pid)
            worker.send_signal(signal.SIGKILL)

    sweep(plan(space, IN_TWOS), tmp_path / "out", engine=process_pool(2), on_chunk=kill_one)
    assert killed
    assert contents(tmp_path / "out") == contents(swept_nine)


@pytest.mark.exhaustive
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_result_is_the_same_whatever_the_number_of_workers(
    workers: int, space: str, swept_nine: Path, tmp_path: Path
) -> None:
    sweep(plan(space, IN_TWOS), tmp_path / "out", engine=process_pool(workers))
    assert contents(tmp_path / "out") == contents(swept_nine)


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_child_process_killed_from_outside_costs_no_row(
    number: int, space: str, swept_nine: Path, tmp_path: Path
) -> None:
    """Before the first, the middle and the last of five chunks."""

    def engine(chunks: Iterator[Chunk]) -> Generator[ChunkResult, None, None]:
        for chunk in chunks:
            if chunk.number == number:
                for child in psutil.Process().children():
                    if "addercost.sweep.child_process" in child.cmdline():
                        child.kill()
                        child.wait()
            yield run_chunk(chunk)

    sweep(plan(space, IN_TWOS), tmp_path / "out", engine=engine)
    assert contents(tmp_path / "out") == contents(swept_nine)


@pytest.mark.exhaustive
def test_workers_that_always_die_end_the_sweep(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addercost.sweep.chunks.process_pool.run_chunk", dies)
    with pytest.raises(WorkersLostError, match="killed 4 times; see what kills it"):
        sweep(plan(space, IN_TWOS), tmp_path / "out", engine=process_pool(1))


@pytest.mark.exhaustive
@pytest.mark.parametrize("shards", [0, 5, 9])
def test_a_sweep_killed_at_any_moment_is_finished_by_the_same_command(tmp_path: Path, shards: int) -> None:
    """After so many of its ten shards: the chunks after these wait, so that no machine is too fast."""
    go = tmp_path / "go"
    space = space_file(tmp_path, WAITING.format(n=40, free=4 * shards, go=str(go)))
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "addercost", "sweep", space, "-o", str(out),
        "--chunk", "4", "--workers", "2", "--quiet", "--cpu", "none",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment)
    process = psutil.Process(first.pid)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (
        len(list(out.glob("*.parquet"))) >= shards and len(children_of(process)) >= 4
    ):
        time.sleep(0.02)
    family = children_of(process)
    assert len(family) >= 4, "two workers, each with a child"
    first.kill()
    first.wait()
    assert len(list(out.glob("*.parquet"))) == shards
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    go.touch()
    # One worker finishes what two have begun.
    alone = [*command[: command.index("--workers") + 1], "1", *command[command.index("--workers") + 2 :]]
    subprocess.run(alone, check=True, cwd=tmp_path, env=environment)
    assert len(rows(out)) == 40
    sweep(plan(space, SweepSettings(chunk=4)), tmp_path / "expected", engine=here)
    assert contents(out) == contents(tmp_path / "expected")


@pytest.mark.exhaustive
def test_of_two_sweeps_at_once_the_second_is_refused(tmp_path: Path) -> None:
    """Its folder is then the first one's alone: the result is that of one sweep."""
    go = tmp_path / "go"
    space = space_file(tmp_path, WAITING.format(n=6, free=2, go=str(go)))
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "addercost", "sweep", space, "-o", str(out),
        "--chunk", "2", "--workers", "1", "--quiet", "--cpu", "none",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 120
    while not list(out.glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.02)
    second = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    (line,) = second.stderr.splitlines()
    assert second.returncode == 5 and f"another call works on {out}" in line
    go.touch()
    assert first.wait() == 0
    assert [row["name"] for row in rows(out)] == [f"linear-{n}" for n in range(1, 7)]


@pytest.mark.parametrize("place", ["name", "fact", "name of a fact"])
def test_a_text_that_no_file_can_hold_is_refused(place: str, tmp_path: Path) -> None:
    half = {"name": ("a\ud800", {}), "fact": ("a", {"b": "\ud800"}), "name of a fact": ("a", {"\ud800": 1})}
    name, facts = half[place]
    text = "import torch\nfrom torch import nn\n"
    text += f"architectures = [({name!r}, lambda: nn.Linear(2, 3), torch.empty(1, 2), {facts!r})]\n"
    with pytest.raises(ModelError, match=r"architecture 0 of .* which no file can hold"):
        plan(space_file(tmp_path, text), SweepSettings())


def test_an_error_that_no_file_can_hold_is_escaped(tmp_path: Path) -> None:
    text = "import torch\ndef bad(): raise ValueError('\\ud800')\n"
    space = space_file(tmp_path, text + "architectures = [('a', bad, torch.empty(1, 2))]\n")
    sweep(plan(space, SweepSettings()), tmp_path / "out", engine=here)
    assert "\\ud800" in rows(tmp_path / "out")[0]["error"]


def test_a_folder_that_holds_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no sweep"):
        rows(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("addercost/sweep/1", "addercost/sweep/9", "has schema addercost/sweep/9", id="schema"),
        pytest.param('"schema"', '"scheme"', "is not a sweep of addercost", id="no schema"),
        pytest.param('"architectures": 9', '"architectures": "9"', "architectures = '9'", id="text"),
        pytest.param('"architectures": 9', '"architectures": 0', "of at least 1", id="zero"),
        pytest.param('"architectures": 9', f'"architectures": {10**400}', "at most 64 bits", id="400 digits"),
        pytest.param('"space": "', '"place": "', "no such field", id="unknown field"),
        pytest.param('"chunk": 2', '"chunk": -2', "settings.chunk = -2", id="chunk"),
        pytest.param("{", "[", "is not JSON", id="no JSON"),
    ],
)
def test_a_damaged_manifest_is_one_line(swept: Path, old: str, new: str, words: str) -> None:
    path = swept / "sweep.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        read_manifest(swept)
    message = str(caught.value)
    assert words in message and str(path) in message and len(message.splitlines()) == 1


def test_an_empty_axis_of_a_manifest_is_refused(swept: Path) -> None:
    path = swept / "sweep.json"
    path.write_text(path.read_text().replace('"batches": [\n   1\n  ]', '"batches": []'))
    with pytest.raises(DataError, match=r"settings\.batches = \[\]: expected at least one"):
        read_manifest(swept)


def test_an_unfinished_sweep_says_so_when_asked(swept: Path) -> None:
    (swept / "shard-000001.parquet").unlink()
    (swept / "shard-000002.parquet").write_bytes(b"")
    data = open_sweep(swept)
    assert "3 of 5 chunks are done" in " ".join(data.remarks)
    assert "shard-000002.parquet is damaged" in " ".join(data.remarks)
    assert data.table("SELECT count(*) AS n FROM sweep").rows == [{"n": 5}]


def test_a_folder_that_cannot_be_made_is_an_error(space: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make"):
        sweep(plan(space, IN_TWOS), tmp_path / "file" / "out", engine=here)


def test_a_generator_is_entered_at_any_chunk(tmp_path: Path) -> None:
    """Linear(w, 3) on a batch of two: 2·3·w sites. Chunks run in falling order, as after a kill."""

    def backwards(chunks: Iterator[Chunk]) -> Generator[ChunkResult, None, None]:
        yield from here(iter(list(chunks)[::-1]))

    space = space_file(tmp_path, LINEAR.format(n=11))
    sweep(plan(space, SweepSettings(chunk=3)), tmp_path / "out", engine=backwards)
    found = rows(tmp_path / "out", "SELECT width, mac_sites FROM sweep ORDER BY width")
    assert [(row["width"], row["mac_sites"]) for row in found] == [(w, 6 * w) for w in range(1, 12)]
