"""What is read whole is a regular file of a size that fits: a pipe would block for ever."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from addercost.cli import run
from addercost.errors import DataError
from addercost.input_files import check_readable, read_bytes, read_text
from addercost.train.checkpoint import read_checkpoint


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    """It takes no space on the disk, and 8 GiB in memory."""
    with path.open("wb") as file:
        file.truncate(1 << 33)


KINDS = pytest.mark.parametrize("make", [fifo, device, sparse], ids=["FIFO", "device", "8 GiB"])


@KINDS
@pytest.mark.parametrize("read", [read_text, read_bytes, check_readable])
def test_it_is_refused_at_once(
    read: Callable[[Path], object], make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "a")
    with pytest.raises(DataError, match=r"cannot read .*a: (it is a pipe|it has 8,589,934,592 bytes)"):
        read(tmp_path / "a")


@KINDS
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.json", ["profile", "a.json"]),
        ("a.json", ["report", "a.json", "-o", "r.html"]),
        ("a.json", ["bench", "show", "a.json"]),
        ("a.py", ["profile", "a.py"]),
        ("a.py", ["sweep", "a.py", "-o", "out"]),
        ("a.pt2", ["profile", "a.pt2"]),
        ("a.onnx", ["profile", "a.onnx"]),
        ("a.tflite", ["profile", "a.tflite"]),
        ("a.gguf", ["profile", "a.gguf"]),
        ("a.html", ["profile", "a.html"]),
        ("config.json", ["profile", "hf:config.json"]),
        ("a.toml", ["profile", "zoo:lenet5-bn", "--what-if", "mixed:a.toml"]),
        ("a.toml", ["hardware", "check", "a.toml"]),
        ("a.json", ["profile", "zoo:lenet5-bn", "--what-if", "mixed:a.json"]),
        ("a.csv", ["validate", "--measured", "a.csv", "--column", "ms", "--cpu", "amd-zen4"]),
        ("sweep.json", ["query", ".", "SELECT 1"]),
        ("run.json", ["train", "zoo:lenet5-bn", "-o", ".", "--resume"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_no_command_waits_for_it(
    name: str,
    arguments: list[str],
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    assert run(arguments) in (2, 3, 6)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "does not exist" not in said
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_checkpoint_may_be_large_but_is_a_file(tmp_path: Path) -> None:
    sparse(tmp_path / "large")
    check_readable(tmp_path / "large", largest=sys.maxsize)
    fifo(tmp_path / "checkpoint.pt")
    with pytest.raises(DataError, match="a pipe, socket or device"):
        read_checkpoint(tmp_path / "checkpoint.pt")
