"""A folder of shards: kept whole, gone on with, told from other people's files; the same whoever makes it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sweep_spaces import LINEAR, contents, dies, here, rows, space_file

from addercost.errors import ArgumentError, DataError, OutputError, WorkersLostError
from addercost.results.sweep_settings import SweepSettings
from addercost.sweep.chunks.chunk import Chunk, ChunkResult, run_chunk
from addercost.sweep.chunks.process_pool import process_pool
from addercost.sweep.run import plan, sweep

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")
psutil = pytest.importorskip("psutil")

SETTINGS = SweepSettings(cpus=("via-nano-2000",), chunk=2)


@pytest.fixture
def space(tmp_path: Path) -> str:
    return space_file(tmp_path, LINEAR.format(n=9))


def counted(tasks: Iterator[Chunk], into: list[int]) -> Generator[ChunkResult, None, None]:
    for result in here(tasks):
        into.append(result.number)
        yield result


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return [
        child for child in process.children(recursive=True) if "resource_tracker" not in str(child.cmdline())
    ]


def test_the_result_is_the_same_whatever_the_number_of_workers(space: str, tmp_path: Path) -> None:
    what = plan(space, SETTINGS)
    for name, engine in (("here", here), ("two", process_pool(2))):
        sweep(what, tmp_path / name, engine=engine)
    assert contents(tmp_path / "two") == contents(tmp_path / "here")


def test_what_is_done_is_not_done_again(space: str, tmp_path: Path) -> None:
    what = plan(space, SETTINGS)
    sweep(what, tmp_path / "out", engine=here)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "shard-000001.parquet").unlink()
    (tmp_path / "out" / "shard-000004.parquet").unlink()
    made: list[int] = []
    report = sweep(what, tmp_path / "out", engine=lambda tasks: counted(tasks, made))
    assert (made, report.chunks_done_before) == ([1, 4], 3)
    assert contents(tmp_path / "out") == before
    assert len(rows(tmp_path / "out")) == 9


def test_damaged_and_foreign_shards_are_named_kept_and_made_again(space: str, tmp_path: Path) -> None:
    what = plan(space, SETTINGS)
    folder = tmp_path / "out"
    sweep(what, folder, engine=here)
    before = contents(folder)
    shard = [folder / f"shard-{number:06d}.parquet" for number in range(5)]
    shard[0].write_bytes(shard[0].read_bytes()[:-20])
    # A page's bytes are turned over, the footer is as it was.
    data = bytearray(shard[1].read_bytes())
    data[60:80] = bytes(255 - b for b in data[60:80])
    shard[1].write_bytes(data)
    shard[2].write_text("not a shard")
    pq.write_table(pq.read_table(shard[3]).replace_schema_metadata({}), shard[3])
    shard[4].write_bytes(shard[3].read_bytes())
    (folder / "other.parquet").write_bytes(b"mine")
    (folder / ".shard-000000.parquet.x.tmp").write_bytes(b"half")
    made: list[int] = []
    report = sweep(what, folder, engine=lambda tasks: counted(tasks, made))
    assert made == [0, 1, 2, 3, 4]
    text = "\n".join(report.remarks)
    assert all(f"shard-{number:06d}.parquet" in text for number in range(5))
    assert text.count("is damaged") == 3 and text.count("is no shard of addercost") == 2
    assert "other.parquet is no shard of this sweep and is left alone" in text
    assert (folder / "other.parquet").read_bytes() == b"mine"
    assert (folder / "shard-000002.parquet.rejected").read_text() == "not a shard"
    (folder / "other.parquet").unlink()
    assert contents(folder) == before


def test_another_sweeps_shard_is_not_taken_for_one_of_these(space: str, tmp_path: Path) -> None:
    sweep(plan(space, SETTINGS), tmp_path / "one", engine=here)
    other = SweepSettings(cpus=("amd-zen4",), chunk=2)
    sweep(plan(space, other), tmp_path / "two", engine=here)
    (tmp_path / "two" / "shard-000000.parquet").replace(tmp_path / "one" / "shard-000000.parquet")
    report = sweep(plan(space, SETTINGS), tmp_path / "one", engine=here)
    assert "belongs to another sweep" in report.remarks[0]
    assert {row["cpu"] for row in rows(tmp_path / "one")} == {"via-nano-2000"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        pytest.param(SweepSettings(cpus=("amd-zen4",), chunk=2), "its cpus are", id="processor"),
        pytest.param(SweepSettings(cpus=("via-nano-2000",), chunk=3), "its chunk is 2, not 3", id="chunk"),
    ],
)
def test_a_folder_of_another_sweep_is_refused(
    settings: SweepSettings, text: str, space: str, tmp_path: Path
) -> None:
    sweep(plan(space, SETTINGS), tmp_path / "out", engine=here)
    with pytest.raises(ArgumentError, match=text):
        sweep(plan(space, settings), tmp_path / "out", engine=here)


def test_a_space_that_was_edited_is_another_sweep(space: str, tmp_path: Path) -> None:
    sweep(plan(space, SETTINGS), tmp_path / "out", engine=here)
    space_file(tmp_path, LINEAR.format(n=9) + "# a remark")
    with pytest.raises(ArgumentError, match="another version of the space"):
        sweep(plan(space, SETTINGS), tmp_path / "out", engine=here)


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
    what = plan(space, SETTINGS)
    written = 0
    original = os.fsync

    def full(handle: int) -> None:
        nonlocal written
        written += 1
        if written == 4:  # the manifest, two shards, and no more
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


def test_a_worker_killed_in_the_middle_loses_nothing(space: str, tmp_path: Path) -> None:
    what = plan(space, SETTINGS)
    sweep(what, tmp_path / "expected", engine=here)
    killed: list[int] = []

    def kill_one(done: int, failed: int) -> None:
        if not killed:
            worker = next(c for c in children_of(psutil.Process()) if "spawn_main" in str(c.cmdline()))
            killed.append(worker.pid)
            worker.send_signal(signal.SIGKILL)

    sweep(what, tmp_path / "out", engine=process_pool(2), on_chunk=kill_one)
    assert killed
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_a_tracing_process_killed_from_outside_costs_no_row(space: str, tmp_path: Path) -> None:
    what = plan(space, SETTINGS)
    sweep(what, tmp_path / "expected", engine=here)

    def engine(tasks: Iterator[Chunk]) -> Generator[ChunkResult, None, None]:
        for task in tasks:
            if task.number == 2:
                for child in psutil.Process().children():
                    if "addercost.sweep.child_process" in child.cmdline():
                        child.kill()
                        child.wait()
            yield run_chunk(task)

    sweep(what, tmp_path / "out", engine=engine)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_workers_that_always_die_end_the_sweep(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addercost.sweep.chunks.process_pool.run_chunk", dies)
    with pytest.raises(WorkersLostError, match="killed 4 times; see what kills it"):
        sweep(plan(space, SETTINGS), tmp_path / "out", engine=process_pool(1))


def test_a_sweep_killed_at_any_moment_is_finished_by_the_same_command(tmp_path: Path) -> None:
    slow = (
        LINEAR.format(n=40)
        .replace("def arch", "import time\ndef arch")
        .replace("nn.Linear(width, 3)", "time.sleep(0.05) or nn.Linear(width, 3)")
    )
    space = space_file(tmp_path, slow)
    command = [
        sys.executable, "-m", "addercost", "sweep", space, "-o", str(tmp_path / "out"),
        "--chunk", "4", "--workers", "2", "--quiet", "--cpu", "none",
    ]  # fmt: skip
    first = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    process = psutil.Process(first.pid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list((tmp_path / "out").glob("*.parquet"))) < 2:
        time.sleep(0.02)
    family = children_of(process)
    first.kill()
    first.wait()
    done = len(list((tmp_path / "out").glob("*.parquet")))
    assert 2 <= done < 10
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    subprocess.run(
        command, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert len(rows(tmp_path / "out")) == 40
    sweep(plan(space, SweepSettings(chunk=4)), tmp_path / "expected", engine=here)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_a_folder_that_holds_no_sweep_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no sweep"):
        rows(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(DataError, match="is damaged: KeyError"):
        rows(tmp_path)


def test_an_unfinished_sweep_says_so_when_asked(space: str, tmp_path: Path) -> None:
    from addercost.sweep.queries.sweep_data import open_sweep

    sweep(plan(space, SETTINGS), tmp_path / "out", engine=here)
    (tmp_path / "out" / "shard-000001.parquet").unlink()
    (tmp_path / "out" / "shard-000002.parquet").write_bytes(b"")
    data = open_sweep(tmp_path / "out")
    assert "3 of 5 chunks are done" in " ".join(data.remarks)
    assert "shard-000002.parquet is damaged" in " ".join(data.remarks)
    assert data.table("SELECT count(*) AS n FROM sweep").rows == [{"n": 5}]


def test_a_folder_that_cannot_be_made_is_said_to(space: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make"):
        sweep(plan(space, SETTINGS), tmp_path / "file" / "out", engine=here)
