"""Work in processes of their own: what they know, what comes back, and how they end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addercost.errors import ArgumentError
from addercost.measure.separate_process import ProcessEndedError, SeparateProcesses

STATE = {"runs": 0}


def work(request: str) -> Any:
    STATE["runs"] += 1
    match request:
        case "state":
            return STATE["runs"], os.getpid()
        case "error":
            raise ArgumentError("no such layer", "name another")
        case "exit":
            return os._exit(7)
        case "stop":
            return sys.exit(0)
        case "killed":
            return os.kill(os.getpid(), signal.SIGKILL)
        case "no text":
            return lambda: None
        case _:
            Path(request).write_text(str(os.getpid()))
            time.sleep(60)
            return None


@pytest.fixture
def in_processes() -> Iterator[Callable[[str], Any]]:
    processes = SeparateProcesses(work)
    yield processes
    processes.close()


def test_each_request_finds_what_was_there_when_the_processes_were_made(
    in_processes: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STATE, "runs", 100)
    found = [in_processes("state") for _ in range(3)]
    assert [runs for runs, _ in found] == [1, 1, 1]
    assert len({pid for _, pid in found} | {os.getpid()}) == 4
    assert STATE["runs"] == 100


@pytest.mark.parametrize(
    ("request_", "how"),
    [
        ("exit", "its process exited with 7"),
        ("stop", "its process exited with 1"),
        ("no text", "its process exited with 1"),
        ("killed", r"its process was ended by SIGKILL \(out of memory\?\)"),
    ],
)
def test_a_process_without_an_answer_is_an_error_and_the_next_one_works(
    in_processes: Callable[[str], Any], request_: str, how: str
) -> None:
    with pytest.raises(ProcessEndedError, match=f"^{how}$"):
        in_processes(request_)
    assert in_processes("state")[0] == 1


def test_an_error_comes_back_with_its_hint(in_processes: Callable[[str], Any]) -> None:
    with pytest.raises(ArgumentError, match="no such layer") as raised:
        in_processes("error")
    assert raised.value.hint == "name another"


def test_without_the_process_that_starts_others_each_call_is_an_error() -> None:
    processes = SeparateProcesses(work)
    os.kill(processes._keeper, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(ProcessEndedError, match="starts all others was ended"):
            processes("state")
    processes.close()


def test_closing_ends_a_process_that_works(tmp_path: Path) -> None:
    processes = SeparateProcesses(work)
    path = tmp_path / "pid"
    processes._channel.send(str(path))
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    processes.close()
    worker = Path(f"/proc/{path.read_text()}/stat")
    for _ in range(500):
        # A process that has ended and that nobody has asked about is a zombie.
        if not worker.exists() or worker.read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        pytest.fail("the process still runs")


def test_elsewhere_the_work_runs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(STATE, "runs", 0)
    processes = SeparateProcesses(work)
    assert processes("state") == (1, os.getpid())
    processes.close()
