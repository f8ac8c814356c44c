"""The child process from outside: started when needed, listened to with a time limit, killed when it is
exceeded.
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
from addercost.sweep.child import Frames, write_frame

_OF_THREAD = threading.local()
_DEATHS = 2
"""An architecture being looked at when its child died is tried once more: others may have killed it."""


class Finding(Protocol):
    """What a child says of one architecture. begins: only that it is now being looked at."""

    @property
    def index(self) -> int: ...

    @property
    def begins(self) -> bool: ...


F = TypeVar("F", bound=Finding)


class ChildDied(Exception):  # noqa: N818  (it is news, and becomes a row)
    """The child is gone. timed_out: because it was killed for taking too long."""

    def __init__(self, why: str, timed_out: bool = False) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class Child:
    """A child process. Not shared between threads."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self.memory_limit_bytes = memory_limit_bytes
        # A worker of a cluster may itself be a daemon, which multiprocessing forbids to have children.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "addercost.sweep.child", str(memory_limit_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            stderr=None if os.environ.get("ADDERCOST_SWEEP_DEBUG") else subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )

        assert self._process.stdout is not None
        self._frames = Frames(self._process.stdout)

    @classmethod
    def of_this_thread(cls, memory_limit_bytes: int) -> Child:
        """The calling thread's child, which keeps what it has traced from one chunk to the next."""
        child: Child | None = getattr(_OF_THREAD, "child", None)
        if child is not None and child.memory_limit_bytes != memory_limit_bytes:
            child.kill()
            child = None
        if child is None or child._process.poll() is not None:
            child = _OF_THREAD.child = cls(memory_limit_bytes)
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, request: Any) -> None:
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin, request)
        except BrokenPipeError:
            raise self._died() from None

    def receive(self, timeout_s: float = 0.0) -> Any:
        """The next message; a child that sends none within `timeout_s` (if not 0) is killed. Raises
        ChildDied.
        """
        stream = self._process.stdout
        assert stream is not None

        def wait() -> None:
            if timeout_s and not select.select([stream], [], [], timeout_s)[0]:
                self.kill()
                raise ChildDied(f"took longer than {timeout_s:g} s and was stopped", timed_out=True)

        try:
            return self._frames.next(wait)
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


def findings(
    request: Callable[[int, bool], Any],
    indices: Sequence[int],
    failed: Callable[[int, F | None, str], F],
    *,
    together: bool = False,
    timeout_s: float = 0.0,
    memory_limit_bytes: int = 0,
) -> Iterator[F]:
    """What the child finds of the architectures of rising `indices`, whatever happens to it on the way.

    request: what to send it to begin at an index, and whether it may send findings together, a little late.
    failed: the finding of one that ended the child, from its index, what the child said when it began, and
    why it ended. together: findings may come together until a child has died; the next one has to tell them
    one by one, to show who did it. timeout_s: for one, 0 for ever.
    Raises the AddercostError of a child that cannot do what was asked at all.
    """
    deaths: dict[int, int] = {}
    left = deque(indices)
    while left:
        child = Child.of_this_thread(memory_limit_bytes)
        current: F | None = None
        try:
            child.send(request(left[0], together))
            while True:
                found: F | AddercostError | None = child.receive(timeout_s if current else 0.0)
                if found is None:
                    return
                if isinstance(found, AddercostError):
                    raise found
                if found.begins:
                    current = found
                    continue
                current = None
                _drop(left, found.index)
                yield found
        except ChildDied as death:
            if together:
                together = False
                continue
            # Death between two architectures, or before the first, is charged to the next.
            index = current.index if current is not None else left[0] if left else indices[-1]
            deaths[index] = deaths.get(index, 0) + 1
            if death.timed_out or deaths[index] >= _DEATHS:
                yield failed(index, current, str(death))
                _drop(left, index)


def _drop(left: deque[int], index: int) -> None:
    while left and left[0] <= index:
        left.popleft()
