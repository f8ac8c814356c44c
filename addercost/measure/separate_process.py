"""Does each piece of work in a process of its own, as a program does that has done nothing else.

Networks that run in one process after others are slower, since memory is left in pieces: on an Ice Lake core
ResNet-20 took 2.6 ms in a program of its own, 2.9 to 3.1 after eight other networks, and 3.7 to 3.8 after
fifty networks and their layers. A validation would measure that, and no user of one network meets it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Generic, NoReturn, TypeVar

from addercost.supervision import end_with_the_parent, signals_wait

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class ProcessEndedError(Exception):
    """The process of a request ended without an answer; the message says how."""


class SeparateProcesses(Generic[Request, Answer]):
    """A function of a request whose every call runs `work` in a new process.

    Each process is a copy (`os.fork`) of this one as it was when the object was made, so nothing should have
    run before. No call may have computed with several threads by then, since a copy has only one thread and
    would wait for the others. Requests, answers and exceptions have to be picklable. A call raises what
    `work` raises, and ProcessEndedError. Outside Linux, `work` runs in this process.
    """

    def __init__(self, work: Callable[[Request], Answer]) -> None:
        self._work, self._keeper = work, 0
        if sys.platform != "linux":
            return
        self._channel, channel = multiprocessing.Pipe()
        parent = os.getpid()
        # A signal would go on here in both processes, with the caller's code.
        with signals_wait():
            self._keeper = os.fork()
            if self._keeper == 0:
                self._channel.close()
                _answer_all(work, channel, parent)
        channel.close()

    def __call__(self, request: Request) -> Answer:
        if not self._keeper:
            return self._work(request)
        try:
            self._channel.send(request)
            found: tuple[Answer, Exception | None] = self._channel.recv()
        except (EOFError, ConnectionError):
            raise ProcessEndedError("the process that starts all others was ended (out of memory?)") from None
        answer, error = found
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        """Ends the processes, also one that still works."""
        if self._keeper:
            self._channel.close()
            os.kill(self._keeper, signal.SIGKILL)
            os.waitpid(self._keeper, 0)
            self._keeper = 0


def _answer_all(work: Callable[[Any], Any], channel: Connection, parent: int) -> NoReturn:
    """Answers requests in the process that stays as it was. Ctrl-C reaches every process of the terminal; the
    parent decides when this one ends.
    """
    try:
        end_with_the_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            channel.send(_answered(partial(work, channel.recv())))
    finally:
        # The caller's own exit handlers are not this process's.
        os._exit(1)


def _answered(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """(what `work` returns in a new process, the exception instead)."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    parent = os.getpid()
    process = os.fork()
    if process == 0:
        _answer_one(work, writer, parent)
    writer.close()
    found: tuple[Any, Exception | None] | None = None
    try:
        found = reader.recv()
    except EOFError:
        pass
    finally:
        reader.close()
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if found is not None:
        return found
    how = f"exited with {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
    return None, ProcessEndedError(f"its process {how}{' (out of memory?)' * (status == -signal.SIGKILL)}")


def _answer_one(work: Callable[[], Any], writer: Connection, parent: int) -> NoReturn:
    try:
        end_with_the_parent(parent)
        try:
            found: tuple[Any, Exception | None] = work(), None
        except Exception as error:
            found = None, error
        writer.send(found)
        os._exit(0)
    finally:
        os._exit(1)
