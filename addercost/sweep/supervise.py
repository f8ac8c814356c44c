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
from typing import Any

from addercost.sweep.child import read_frame, write_frame

_OF_THREAD = threading.local()


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
        if timeout_s:
            # The pipe is unbuffered on this side, so that select sees all there is.
            ready, _, _ = select.select([stream], [], [], timeout_s)
            if not ready:
                self.kill()
                raise ChildDied(f"took longer than {timeout_s:g} s and was stopped", timed_out=True)
        try:
            return read_frame(stream)
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
