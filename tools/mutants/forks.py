"""Runs tasks in forks of this process, which return their results through a pipe."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tools.mutants.idleness import Idleness, running_processes

LOOK_S = 2.0
IDLE_S = 60.0
"""A run that sleeps for so long counts as changed by the mutant, since no test sleeps for a minute."""
MEMORY_BYTES = 6 << 30
_PR_SET_PDEATHSIG = 1  # Of Linux's <sys/prctl.h>.


@dataclass(frozen=True, slots=True)
class Task:
    """A task for a fork. cpu_s: the limit of its processor time; waiting for a processor does not count.
    errors: whether it writes to the standard error of this process.
    """

    key: Any
    run: Callable[[], Any]
    cpu_s: float
    errors: bool = False


@dataclass(frozen=True, slots=True)
class NoResult:
    """Stands for the result of a task that has none. why: the reason in words. own_doing: False where others
    ended the task, so that nothing is known of it.
    """

    why: str
    own_doing: bool


@dataclass
class _Child:
    pid: int
    pipe: int
    key: Any
    idleness: Idleness
    received: bytes = b""


def in_forks(tasks: Iterable[Task], jobs: int, idle_s: float = IDLE_S) -> Iterator[tuple[Any, Any]]:
    """(key, result) of each task as it ends, at most `jobs` at a time. The result is a `NoResult` for a task
    that raised an error, died, exceeded its processor time or memory, or slept for `idle_s`. A task that
    waits for a processor does not count as asleep.
    """
    waiting = iter(tasks)
    running: dict[int, _Child] = {}
    look_s = min(LOOK_S, idle_s / 2)
    next_look = time.monotonic() + look_s
    try:
        while True:
            while len(running) < jobs and (task := next(waiting, None)) is not None:
                child = _started(task)
                running[child.pipe] = child
            if not running:
                return
            ready, _, _ = select.select(list(running), [], [], min(0.2, look_s))
            for pipe in ready:
                child = running[pipe]
                part = os.read(pipe, 1 << 16)
                child.received += part
                if not part:
                    del running[pipe]
                    yield child.key, _ended(child)
            if idle_s == math.inf or time.monotonic() < next_look:
                continue
            processes = running_processes()
            for pipe, child in list(running.items()):
                child.idleness.look(processes)
                if child.idleness.looks * look_s >= idle_s:
                    del running[pipe]
                    yield child.key, _ended(child, NoResult(f"did nothing for {idle_s:.0f} s", True))
            next_look = time.monotonic() + look_s
    finally:
        for child in running.values():
            _ended(child)


def _started(task: Task) -> _Child:
    receiving, sending = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        os.close(sending)
        return _Child(pid, receiving, task.key, Idleness(pid))
    os.setpgid(0, 0)
    _end_with_parent()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.close(receiving)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1) if task.errors else (0, 1, 2):
        os.dup2(nowhere, descriptor)
    cpu_s = int(time.process_time() + task.cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))  # SIGXCPU comes first and shows the reason.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        with os.fdopen(sending, "wb") as stream:
            stream.write(pickle.dumps(_result(task)))
    finally:
        os._exit(0)


def _end_with_parent() -> None:
    """Makes a fork end with its parent. A fork of a fork has its own process group, so ending the first group
    would leave it running.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _result(task: Task) -> Any:
    try:
        return task.run()
    except BaseException as error:
        if task.errors:
            traceback.print_exc()
        return NoResult(f"{type(error).__name__}: {error}", True)


def _ended(child: _Child, why: NoResult | None = None) -> Any:
    """The result that the child sent. Processes that the child has started are ended with it."""
    os.close(child.pipe)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
    try:
        return why or pickle.loads(child.received)
    except (EOFError, pickle.UnpicklingError):
        return _death(status)


def _death(status: int) -> NoResult:
    if not os.WIFSIGNALED(status):
        return NoResult("ended itself", True)
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return NoResult("more processor time than it may take", True)
    if number in (signal.SIGKILL, signal.SIGTERM):
        return NoResult(f"ended by {signal.Signals(number).name}: by a person or for want of memory", False)
    return NoResult(f"died by {signal.Signals(number).name}", True)
