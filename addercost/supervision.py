"""Runs the command line's work in a child process, so that every call ends in a documented way.

A model's code may end its process, crash it, leave a thread running, or block the interpreter while Ctrl-C is
pressed. The parent process only waits. It passes signals on, ends the child and all that the child has
started when they take too long, and prints in one line how the call ended. The child reports to its parent by
`note` what it is doing. Without `fork`, and inside another program, the work runs in the calling process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

from addercost.errors import INTERRUPTED, TERMINATED, ModelError, TraceError

GRACE_S = 1.5
"""Seconds that the child has after a signal to clean up."""

_END_S = 3.0
"""Seconds for users' code when its process ends: exit handlers, and threads that still run."""

_KILL_WITH_PARENT, _ADOPT_ORPHANS = 1, 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of linux/prctl.h."""

_notes: tuple[int, int] | None = None
"""In the child: (the descriptor to which its notes are written, the id of the process that writes them)."""


_received = 0
_waiting, _waited = False, 0


def received() -> int:
    """The signal for which this process must end; 0 where none came. It is needed because an interrupted
    import or a library may turn KeyboardInterrupt into any other exception.
    """
    return _received


def note(kind: str, text: object = "") -> None:
    """Reports to the parent process, if there is one, what this process does.

    kind: `load` or `run`: a model's code begins to be loaded or to run. `limit`: a time limit in seconds or
    0, the exit code when it is over, and the message. `temporary`: a file that must be removed if this
    process is killed. `stopped`: the signal for which this process ends without a message. `end`: the exit
    code.
    """
    if _notes is not None and _notes[1] == os.getpid():
        with contextlib.suppress(OSError):
            os.write(_notes[0], f"{kind} {text}\0".encode("utf-8", "surrogateescape"))


def supervised(work: Callable[[], int]) -> int:
    """The exit code of `work`, which runs in a child process and prints its own errors.

    In the child, SIGINT and SIGTERM raise KeyboardInterrupt, once. The call ends within two seconds, with 130
    and 143.
    """
    global _notes
    if not hasattr(os, "fork") or threading.active_count() > 1:
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return work()
    stops = {
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN
    }
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    reader, writer = os.pipe()
    wake_reader, wake_writer = os.pipe()
    for end in (reader, wake_reader, wake_writer):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, _ignored)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        for end in (reader, wake_reader, wake_writer):
            os.close(end)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _notes = writer, os.getpid()
        end_with_the_parent(parent)
        for number in stops:
            signal.signal(number, _stop)
        sys.unraisablehook = _print_unraisable
        threading.excepthook = _print_end_of_thread
        try:
            # A signal that came meanwhile is raised here, before the work reports how it ends.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
            code = work()
            # The work is finished here. A signal could change nothing, and would cause a traceback.
            signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        except KeyboardInterrupt:
            code = _said(*STOPPED[_received or signal.SIGINT])
        except BaseException:
            note("end", 1)
            raise
        note("end", code)
        _say_no_more()
        return code
    os.close(writer)
    signal.set_wakeup_fd(wake_writer)
    for number in stops:
        signal.signal(number, _ignored)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    _prctl(_ADOPT_ORPHANS, 1)
    code = _Supervisor(child, reader, wake_reader, stops).wait()
    _end_descendants()
    os._exit(code)


def _say_no_more() -> None:
    """Drops what libraries print on stderr while the process ends: everything was said. DuckDB's bindings for
    one list dozens of objects then, depending on the order in which Python deletes them.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Delays a signal that ends the call until the end of the block.

    Blocking signals in this thread would not be enough: the system would deliver the signal to another
    thread, and Python would handle it in this one.
    """
    global _waiting, _waited
    _waiting = True
    try:
        yield
    finally:
        _waiting = False
        if _waited:
            number, _waited = _waited, 0
            _stop(number, None)


def end_with_the_parent(parent: int) -> None:
    """Asks Linux to kill this process with its parent, which is the process `parent` unless it has ended."""
    _prctl(_KILL_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@dataclass(slots=True)
class _Supervisor:
    """The parent's view of the child. code: the child's exit code, once it has reported it. stopped_by: the
    first signal that came. deadline_s: the time at which the child is killed.
    """

    child: int
    reader: int
    wake_reader: int
    stops: set[signal.Signals]
    code: int | None = None
    stopped_by: int = 0
    doing: str = ""
    limit: tuple[str, int] = ("", 0)
    deadline_s: float | None = None
    temporary: str = ""
    unread: bytes = field(default=b"", repr=False)

    def wait(self) -> int:
        """Waits until the child has ended or was killed, prints how it ended, and returns the exit code."""
        import select

        while True:
            left_s = None if self.deadline_s is None else self.deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                os.kill(self.child, signal.SIGKILL)
                return self._ended(os.waitpid(self.child, 0)[1], too_long=True)
            readable = [self.wake_reader] + [self.reader] * (self.reader >= 0)
            select.select(readable, [], [], left_s)
            self._read_notes()
            self._pass_signals_on()
            ended, status = os.waitpid(self.child, os.WNOHANG)
            if ended:
                return self._ended(status, too_long=False)

    def _read_notes(self) -> None:
        data = _available(self.reader) if self.reader >= 0 else b""
        if data is None:
            # The other end is closed.
            os.close(self.reader)
            self.reader = -1
            return
        *notes, self.unread = (self.unread + data).split(b"\0")
        for each in notes:
            kind, _, text = each.decode("utf-8", "surrogateescape").partition(" ")
            if kind == "end":
                self.code = int(text)
                self._end_within(_END_S)
            elif kind == "limit":
                seconds, code, line = text.split(" ", 2)
                self.limit = line, int(code)
                if not self.stopped_by:
                    self.deadline_s = time.monotonic() + float(seconds) if float(seconds) else None
            elif kind == "temporary":
                self.temporary = text
            elif kind == "stopped":
                self.stopped_by = self.stopped_by or int(text)
            else:
                self.doing = kind

    def _pass_signals_on(self) -> None:
        for number in _available(self.wake_reader) or b"":
            if number in self.stops and not self.stopped_by:
                self.stopped_by = number
                self._end_within(GRACE_S)
                os.kill(self.child, number)

    def _end_within(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.deadline_s = end if self.deadline_s is None else min(self.deadline_s, end)

    def _ended(self, status: int, too_long: bool) -> int:
        self._read_notes()
        if self.code is not None:
            return self.code
        if os.isatty(2):
            # The child may have hidden the cursor while it showed progress.
            os.write(2, b"\x1b[?25h")
        if self.temporary:
            with contextlib.suppress(OSError):
                os.unlink(self.temporary)  # noqa: PTH108
        if self.stopped_by:
            return _said(*STOPPED[self.stopped_by])
        code = ModelError.exit_code if self.doing == "load" else TraceError.exit_code
        if too_long:
            return _said(f"addercost: {self.limit[0]}", self.limit[1])
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            why = f"{name} killed it{' (out of memory?)' if name == 'SIGKILL' else ''}"
        else:
            why = f"it exited with {os.waitstatus_to_exitcode(status)}"
        who = "the model" if self.doing else "something outside"
        return _said(f"addercost: {who} ended the program: {why}", code)


STOPPED = {
    int(signal.SIGINT): ("interrupted", INTERRUPTED),
    int(signal.SIGTERM): ("terminated", TERMINATED),
}
"""For each signal: (the words after the call has ended by it, the exit code)."""


def _said(line: str, code: int) -> int:
    print(line, file=sys.stderr, flush=True)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    global _received, _waited
    if _waiting:
        _waited = number
        return
    _received = number
    # A terminal's Ctrl-C reaches the child directly, and again through the parent.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    if _imports(frame):
        # torch's C++ code calls Python while it is imported, and ends the process when Python raises.
        note("stopped", number)
        os._exit(128 + number)
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Whether `frame` or one of its callers runs the top-level code of a module."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False


def _print_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Prints errors that cannot be raised, as Python does, but none after a signal. A signal may come while
    an object is being deleted, or leave a pool of processes half closed, and the parent prints how the call
    ended.
    """
    if not _received:
        sys.__unraisablehook__(unraisable)


def _print_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Prints the exception of a thread, as Python does, but none after a signal."""
    if not _received:
        threading.__excepthook__(ended)


def _ignored(number: int, frame: FrameType | None) -> None:
    """A signal handler that does nothing; the signal wakes the parent up."""


def _available(descriptor: int) -> bytes | None:
    """The bytes that can be read without waiting; None at the end of the file."""
    data = b""
    while True:
        try:
            more = os.read(descriptor, 65536)
        except BlockingIOError:
            return data
        if not more:
            return data or None
        data += more


def _end_descendants() -> None:
    """Kills the processes that the child has left running. Linux makes them children of this process."""
    children = f"/proc/self/task/{os.getpid()}/children"
    while True:
        try:
            with open(children, encoding="ascii") as file:  # noqa: PTH123
                left = [int(text) for text in file.read().split()]
            for process in left:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        except OSError:
            return
        if not left:
            return


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    import ctypes

    try:
        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)
    except (OSError, AttributeError):
        return
