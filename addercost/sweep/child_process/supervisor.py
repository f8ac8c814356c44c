"""The child process as the worker sees it: it is started when needed, limited in time, and replaced when it
dies.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from addercost.errors import AddercostError
from addercost.sweep.child_process.frames import MessageReader, write_messages
from addercost.sweep.child_process.messages import Started

_OF_THREAD = threading.local()
_DEATHS = 2
"""After so many deaths of the child an architecture counts as failed. One is not enough, since something else
may have killed the child.
"""


class ChildResult(Protocol):
    """The result of a child for one architecture."""

    @property
    def index(self) -> int: ...


R = TypeVar("R", bound=ChildResult)


class ChildDied(Exception):  # noqa: N818  (the end of a child is expected, and becomes a row)
    """The child has ended. timed_out: it was killed because an architecture took too long."""

    def __init__(self, why: str, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class Child:
    """A child process. Threads must not share one."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self.memory_limit_bytes = memory_limit_bytes
        # A worker of a cluster may be a daemon itself, and multiprocessing forbids daemons to have children.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "addercost.sweep.child_process", str(memory_limit_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            stderr=None if os.environ.get("ADDERCOST_SWEEP_DEBUG") else subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )

        assert self._process.stdout is not None
        self._inbox = MessageReader(self._process.stdout)

    @classmethod
    def of_this_thread(cls, memory_limit_bytes: int) -> Child:
        """The calling thread's child. It keeps traced blocks from one chunk to the next."""
        child: Child | None = getattr(_OF_THREAD, "child", None)
        if child is not None and child.memory_limit_bytes != memory_limit_bytes:
            child.kill()
            child = None
        if child is None or child._process.poll() is not None:
            child = _OF_THREAD.child = cls(memory_limit_bytes)
        return child

    def send(self, request: Any) -> None:
        """Sends a message to the child. Raises ChildDied."""
        assert self._process.stdin is not None
        try:
            write_messages(self._process.stdin, request)
        except BrokenPipeError:
            raise self._died() from None

    def receive(self, timeout_s: float = 0.0) -> Any:
        """The next message of the child. A child that sends none within `timeout_s` seconds is killed; 0
        means no limit. Raises ChildDied.
        """
        stream = self._process.stdout
        assert stream is not None

        def wait() -> None:
            if timeout_s and not select.select([stream], [], [], timeout_s)[0]:
                self.kill()
                raise ChildDied(f"took longer than {timeout_s:g} s and was stopped", timed_out=True)

        try:
            return self._inbox.next(wait)
        except EOFError:
            raise self._died() from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _died(self) -> ChildDied:
        status = self._process.wait()
        self.kill()
        if status < 0:
            name = signal.Signals(-status).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return ChildDied(f"its process was ended by {name}{hint}")
        return ChildDied(f"its process exited with {status}")


def results_of_child(
    request: Callable[[int, bool], Any],
    indices: Sequence[int],
    failed: Callable[[int, Started | None, str], R],
    *,
    batched: bool = False,
    timeout_s: float = 0.0,
    memory_limit_bytes: int = 0,
) -> Iterator[R]:
    """The results for the architectures of rising `indices`, even if children die meanwhile.

    request: makes the request that starts at an index; its second argument says whether messages may be
    batched. failed: makes the result for an architecture that ended the child, from its index, its `Started`
    if that arrived, and the reason why the child ended. batched: whether messages may be batched until a
    child has died. After that, each message must be sent at once, so that the last `Started` names the
    architecture that ended the child. timeout_s: the limit for one architecture, 0 for none. Raises the
    AddercostError of a child that cannot answer the request at all.
    """
    deaths: dict[int, int] = {}
    left = deque(indices)
    while left:
        child = Child.of_this_thread(memory_limit_bytes)
        current: Started | None = None
        try:
            child.send(request(left[0], batched))
            while True:
                message: Started | R | AddercostError | None = child.receive(timeout_s if current else 0.0)
                if message is None:
                    return
                if isinstance(message, AddercostError):
                    raise message
                if isinstance(message, Started):
                    current = message
                    continue
                current = None
                _drop_through(left, message.index)
                yield message
        except ChildDied as death:
            if batched:
                batched = False
                continue
            # A death between two architectures, or before the first, counts as a failure of the next one.
            index = current.index if current is not None else left[0] if left else indices[-1]
            deaths[index] = deaths.get(index, 0) + 1
            if death.timed_out or deaths[index] >= _DEATHS:
                yield failed(index, current, str(death))
                _drop_through(left, index)


def _drop_through(left: deque[int], index: int) -> None:
    while left and left[0] <= index:
        left.popleft()
