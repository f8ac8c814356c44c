"""Attempts at breaking the tool, each in a process of its own, a fork of one that has everything imported."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_S = 60.0
IDLE_S = 60.0
TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack, or some that share a process.

    run: makes it in an empty folder, and returns a line for each thing that broke. tries: how many attacks
    it makes. longest_s: of processor time, after which it counts as hanging; it does as well after IDLE_S in
    which it did nothing. So a busy machine, or one that stops its processes for a while, fails no attempt.
    """

    name: str
    run: Callable[[Path], list[str]]
    tries: int = 1
    longest_s: float = LONGEST_S


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    tries: int
    faults: tuple[str, ...]
    seconds: float


def outcomes(attempts: Sequence[Attempt], processes: int) -> Iterator[Outcome]:
    """The attempts in `processes` processes at once, in the order in which they end."""
    readers = {}
    for first in range(processes):
        reader, writer = os.pipe()
        sys.stdout.flush()
        if os.fork() == 0:
            os.close(reader)
            for attempt in attempts[first::processes]:
                _write(writer, _tried(attempt))
            os._exit(0)
        os.close(writer)
        readers[reader] = b""
    while readers:
        for reader in select.select(list(readers), [], [])[0]:
            data = os.read(reader, 1 << 20)
            if not data:
                os.close(reader)
                assert not readers.pop(reader), "a process of the attack ended in the middle of an attempt"
                os.wait()
                continue
            readers[reader] += data
            while (outcome := _first(readers[reader])) is not None:
                readers[reader] = readers[reader][8 + outcome[1] :]
                yield outcome[0]


def _tried(attempt: Attempt) -> Outcome:
    """Runs the attempt in a child, which is ended with all that it started."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        os.chdir(folder)
        try:
            faults = attempt.run(folder)
        except BaseException:
            faults = ["the attack itself failed: " + traceback.format_exc()]
        _write(writer, Outcome(attempt.name, attempt.tries, tuple(faults), time.monotonic() - began))
        os._exit(0)
    os.close(writer)
    data, idle_s, used_s = b"", 0.0, 0.0
    while (outcome := _first(data)) is None:
        ready = select.select([reader], [], [], TICK_S)[0]
        if ready:
            data += (more := os.read(reader, 1 << 20))
            if more:
                continue
            outcome = Outcome(attempt.name, attempt.tries, ("its process died",), time.monotonic() - began), 0
            break
        before, used_s = used_s, processor_s(child)
        idle_s = 0.0 if used_s != before else idle_s + TICK_S
        if idle_s >= IDLE_S or used_s >= attempt.longest_s:
            why = f"did not end: {used_s:.0f} s of processor time, nothing for {idle_s:.0f} s"
            outcome = Outcome(attempt.name, attempt.tries, (why,), time.monotonic() - began), 0
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    shutil.rmtree(folder, ignore_errors=True)
    return outcome[0]


def processor_s(session: int) -> float:
    """What the processes of a session have used, with those that they waited for."""
    return sum(each.processor_s for each in processes_of(session))


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str
    processor_s: float


def processes_of(session: int) -> list[Process]:
    """Those that run; one that has ended and waits to be noticed does not."""
    found, tick = [], os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (entry / "stat").read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, its_session, *numbers = rest.split()
        if int(its_session) == session and state not in "ZX":
            found.append(Process(int(entry.name), name, sum(map(int, numbers[7:11])) / tick))
    return found


def _write(writer: int, outcome: Outcome) -> None:
    data = pickle.dumps(outcome)
    with open(writer, "wb", closefd=False) as file:
        file.write(len(data).to_bytes(8, "little") + data)


def _first(data: bytes) -> tuple[Outcome, int] | None:
    """The first outcome that was written, if it is there whole, and how many bytes it has."""
    size = int.from_bytes(data[:8], "little")
    return (pickle.loads(data[8 : 8 + size]), size) if len(data) >= 8 and len(data) >= 8 + size else None
