"""tools/limited_run.py: a command ends, or is ended, with all it started."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "limited_run.py"
SLEEPS_TWICE = ("sh", "-c", "exec 3>pipe; sleep 60 & echo started; sleep 60")
"""Both processes have `pipe` open."""


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("limited_run", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("script", "code", "last_line"),
    [
        pytest.param("echo one; echo two; echo", 0, "two", id="the last line that is not empty"),
        pytest.param("echo out; echo why >&2; exit 3", 3, "why", id="failed"),
        pytest.param("exit 1", 1, "", id="silent"),
        pytest.param("kill -9 $$", -9, "", id="killed by another"),
    ],
)
def test_what_came_of_it(tool: ModuleType, tmp_path: Path, script: str, code: int, last_line: str) -> None:
    with (tmp_path / "log").open("w+b") as output:
        ended = tool.run_limited(("sh", "-c", script), 60, output, tmp_path)
    assert (ended.code, ended.last_line) == (code, last_line)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[int]:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    yield reader
    os.close(reader)


def nobody_has_open(reader: int) -> bool:
    """A pipe is readable, to its end, once every writer is gone."""
    return bool(select.select([reader], [], [], 10)[0])


def test_late_with_all_it_started(tool: ModuleType, tmp_path: Path, pipe: int) -> None:
    with (tmp_path / "log").open("w+b") as output:
        ended = tool.run_limited(SLEEPS_TWICE, 3, output, tmp_path)
    assert (ended.code, ended.last_line) == (None, "started")
    assert nobody_has_open(pipe)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_with_all_it_started(tool: ModuleType, tmp_path: Path, pipe: int) -> None:
    log = tmp_path / "log"

    def interrupt_once_it_has_started() -> None:
        while "started" not in log.read_text():
            time.sleep(0.02)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with log.open("w+b") as output:
        watcher = threading.Thread(target=interrupt_once_it_has_started)
        watcher.start()
        with pytest.raises(KeyboardInterrupt):
            tool.run_limited(SLEEPS_TWICE, 60, output, tmp_path)
        watcher.join()
    assert log.read_text() == "started\n"
    assert nobody_has_open(pipe)
