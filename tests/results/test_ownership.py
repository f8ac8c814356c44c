"""One call at a time in a folder or on a document, by a lock that ends with its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from addercost.errors import OutputError
from addercost.results import ownership
from addercost.results.ownership import own_file, own_folder

Own = Callable[[Path], AbstractContextManager[None]]
BOTH = pytest.mark.parametrize("own", [own_folder, own_file], ids=["folder", "file"])
HOLDER = """
import sys, time
from pathlib import Path
from addercost.results import ownership
with getattr(ownership, sys.argv[1])(Path(sys.argv[2])):
    Path(sys.argv[3]).touch()
    time.sleep(600)
"""


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "_WAIT_S", 0.0)


@BOTH
def test_a_second_call_is_refused_until_the_first_has_ended(own: Own, tmp_path: Path, no_wait: None) -> None:
    path = tmp_path / "a"
    with own(path):
        with (
            pytest.raises(OutputError, match=r"another call works on .*a; wait until it has ended"),
            own(path),
        ):
            pass
        assert path.exists(), "the refused call left it alone"
    with own(path):
        pass


@BOTH
def test_the_lock_dies_with_its_holder(own: Own, tmp_path: Path) -> None:
    path, ready = tmp_path / "a", tmp_path / "ready"
    arguments = [sys.executable, "-c", HOLDER, own.__name__, str(path), str(ready)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    holder = subprocess.Popen(arguments, env=environment)
    deadline = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(OutputError, match="another call"), own(path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with own(path):
        pass


@BOTH
def test_a_forked_child_does_not_keep_the_lock(own: Own, tmp_path: Path, no_wait: None) -> None:
    reader, writer = os.pipe()
    path = tmp_path / "a"
    with own(path):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    with own(path):
        pass
    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)


@BOTH
def test_what_was_made_and_stayed_empty_is_removed(own: Own, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), own(tmp_path / "a"):
        raise ValueError("refused")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_or_is_filled_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with own_folder(tmp_path / "there"), own_folder(tmp_path / "new" / "deep"):
        (tmp_path / "new" / "result").touch()
    with own_file(tmp_path / "file"):
        (tmp_path / "file").write_text("x")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "new", "result", "there"]


def test_what_a_killed_call_left_half_written_is_removed(tmp_path: Path) -> None:
    names = (".sweep.json.12-0123abcd.tmp", ".mine.tmp", "a.12-0123abcd.tmp")
    for name in names:
        (tmp_path / name).touch()
    with own_folder(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


def test_a_file_that_its_holder_removed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other call's result is there by now; going on would write over it."""
    import fcntl

    path, lock = tmp_path / "a", fcntl.flock

    def late(descriptor: int, how: int) -> None:
        path.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(OutputError, match="another call"), own_file(path):
        pass


def test_where_the_file_system_has_no_locks_nothing_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def none(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with own_folder(tmp_path / "a"), own_folder(tmp_path / "a"):
        pass
