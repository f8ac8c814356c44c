"""Work in forks of this process, which has imported what takes long (torch, pytest) and nothing of ours."""

from __future__ import annotations

import importlib.machinery
import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any


@dataclass
class _Child:
    pid: int
    pipe: int
    key: Any
    deadline: float
    received: bytes = b""


def in_forks(
    tasks: Sequence[tuple[Any, Callable[[], Any]]], jobs: int, limit_s: float
) -> Iterator[tuple[Any, Any]]:
    """(key, result) of each task as it ends, at most `jobs` at a time. The result is None for a task that
    died or took longer than `limit_s`."""
    waiting = list(reversed(tasks))
    running: dict[int, _Child] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            key, task = waiting.pop()
            child = _started(key, task, limit_s)
            running[child.pipe] = child
        ready, _, _ = select.select(list(running), [], [], 0.2)
        for pipe in ready:
            child = running[pipe]
            part = os.read(pipe, 1 << 16)
            child.received += part
            if not part:
                del running[pipe]
                yield child.key, _ended(child)
        for pipe, child in list(running.items()):
            if time.monotonic() > child.deadline:
                del running[pipe]
                os.killpg(child.pid, signal.SIGKILL)
                _ended(child)
                yield child.key, None


def _started(key: Any, task: Callable[[], Any], limit_s: float) -> _Child:
    receiving, sending = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        os.close(sending)
        return _Child(pid, receiving, key, time.monotonic() + limit_s)
    os.setpgid(0, 0)
    os.close(receiving)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    try:
        result = pickle.dumps(task())
        with os.fdopen(sending, "wb") as stream:
            stream.write(result)
    finally:
        os._exit(0)


def _ended(child: _Child) -> Any:
    os.close(child.pipe)
    os.waitpid(child.pid, 0)
    try:
        return pickle.loads(child.received)
    except (EOFError, pickle.UnpicklingError):
        return None


def replace_source(file: str, source: str) -> None:
    """From now on this process imports `file` as if `source` were in it; the file stays as it is."""
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: importlib.machinery.SourceFileLoader, name: str) -> CodeType | None:
        path = self.get_filename(name)
        return compile(source, path, "exec") if path == file else usual(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
