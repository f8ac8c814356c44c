"""Files are written whole or not at all, are as readable as others, and replace nothing unasked."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addercost.errors import DataError, OutputError
from addercost.input_files import read_text
from addercost.results import files, stdout
from addercost.results.files import check_target, make_folder, write_file
from addercost.results.stdout import write_stdout


@pytest.fixture
def umask() -> Iterator[Any]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_file_has_the_mode_that_the_umask_leaves(tmp_path: Path, umask: Any, mask: int, mode: int) -> None:
    """mkstemp makes files private; a result is a file like any other."""
    umask(mask)
    write_file(tmp_path / "a.json", "x")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == mode
    assert os.umask(mask) == mask, "the umask itself stays"


def test_the_content_is_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename that reaches the disk before the data leaves an empty file after a power cut."""
    done: list[str] = []
    replace, fsync = os.replace, os.fsync

    def synced(handle: int) -> None:
        done.append(f"sync of {os.fstat(handle).st_size} bytes")
        fsync(handle)

    def renamed(source: str, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(files.os, "replace", renamed)
    write_file(tmp_path / "a.json", "four")
    assert done == ["sync of 4 bytes", "rename"]


@pytest.mark.parametrize("content", ["größer\n", "größer\n".encode()], ids=["text", "bytes"])
def test_what_is_written_is_there(tmp_path: Path, content: str | bytes) -> None:
    write_file(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == "größer\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(path, "one")
    with pytest.raises(OutputError, match="exists; give --force"):
        write_file(path, "two")
    assert path.read_text() == "one"
    write_file(path, "two", force=True)
    assert path.read_text() == "two"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a"
    write_file(path, "one")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, failing, full)
    with pytest.raises(OutputError, match="No space left on device; free some space") as caught:
        write_file(path, "two", force=True)
    assert caught.value.exit_code == 5
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and path.read_text() == "one"


def test_targets_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="is a folder; name a file in it"):
        check_target(tmp_path, force=True)
    with pytest.raises(OutputError, match="does not exist; make it: mkdir -p"):
        check_target(tmp_path / "no" / "a", force=False)
    monkeypatch.setattr(files.os, "access", lambda folder, mode: mode != os.W_OK | os.X_OK)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_target(tmp_path / "a", force=False)
    with pytest.raises(OutputError, match="cannot be written to"):
        make_folder(tmp_path / "b")


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make"):
        make_folder(tmp_path / "file")


def test_reading_a_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("größer", encoding="utf-8")
    assert read_text(tmp_path / "a") == "größer"
    with pytest.raises(DataError, match="b does not exist; make one"):
        read_text(tmp_path / "b", "make one")
    (tmp_path / "c").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"cannot read .*c"):
        read_text(tmp_path / "c")
    with pytest.raises(DataError, match="cannot read"):
        read_text(tmp_path)


class Stream:
    """A stdout that fails."""

    def __init__(self, error: OSError) -> None:
        self.error, self.encoding = error, "utf-8"

    def write(self, text: str) -> None:
        raise self.error

    def fileno(self) -> int:
        raise OSError("no descriptor")


def test_a_full_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdout.sys, "stdout", Stream(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="cannot write to stdout: No space left on device; free some space"):
        write_stdout("x")
    monkeypatch.setattr(stdout.sys, "stdout", Stream(OSError(5, "Input/output error")))
    with pytest.raises(OutputError, match="choose another place"):
        write_stdout("x")


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path, umask: Any) -> None:
    umask(0o022)
    path = tmp_path / "a.json"
    path.write_text("private")
    path.chmod(0o600)
    write_file(path, "x", force=True)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("x", 0o600)


@pytest.mark.parametrize("force", [False, True], ids=["asked", "forced"])
@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
def test_only_regular_files_are_written(tmp_path: Path, kind: str, force: bool) -> None:
    """A rename would put a file in the place of a device, and its readers would wait for ever."""
    path = tmp_path / "special"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        path = Path(os.devnull)
    before = path.stat().st_mode
    with pytest.raises(OutputError, match=f"is a {kind}, which is not replaced by a file; name a file"):
        write_file(path, "x", force)
    assert path.stat().st_mode == before


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    """The link stays, and what it names is replaced, in the folder that it is in."""
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "a.json", tmp_path / "link.json"
    link.symlink_to(target)
    write_file(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    with pytest.raises(OutputError, match="exists"):
        write_file(link, "again")
    write_file(link, "again", force=True)
    assert link.is_symlink() and target.read_text() == "again"


@pytest.mark.parametrize(
    ("name", "said"), [("x" * 300, "File name too long"), ("a\0b", "null")], ids=["too long", "null byte"]
)
def test_a_name_that_no_file_can_have_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(OutputError, match=f"(?s)cannot write .*{said}.*; choose another name"):
        check_target(tmp_path / name, force=False)


def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputError, match="cannot write"):
        check_target(tmp_path / "loop", force=True)
