"""An end to a model's code that takes too long."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from addercost.errors import AddercostError, ArgumentError, ModelError, TraceError
from addercost.supervision import GRACE_S, note

_HINT = "--timeout SECONDS gives it longer, 0 as long as it takes"
_of_command_s = 0.0


class _TooLong(KeyboardInterrupt):
    """Raised in a model's code at its limit. Code that catches Exception lets it pass, as it does Ctrl-C."""


def set_command_limit(seconds: float) -> None:
    """From now on this is the limit where none is given: the command line's."""
    global _of_command_s
    _of_command_s = seconds


@contextmanager
def load_limit(what: str) -> Iterator[None]:
    """Raises ModelError where the block, which makes a model, takes longer than the command line allows."""
    with _limit(_of_command_s, ModelError(f"{what} takes longer than {_of_command_s:g} s to load", _HINT)):
        yield


@contextmanager
def forward_limit(what: str, seconds: float | None = None) -> Iterator[None]:
    """Raises TraceError where the block, a forward, takes longer than so many seconds: 0 is no limit, None
    that of the command line.

    Raises ArgumentError outside the main thread, which alone can be interrupted.
    """
    limit_s = _of_command_s if seconds is None else seconds
    with _limit(limit_s, TraceError(f"the forward of {what} takes longer than {limit_s:g} s", _HINT)):
        yield


@contextmanager
def _limit(seconds: float, error: AddercostError) -> Iterator[None]:
    if not seconds:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise ArgumentError("only the main thread can limit a forward's time", "leave timeout_s out")

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # Code in C, or code that catches everything, is not stopped by an exception.
    note("limit", f"{seconds + GRACE_S} {error.exit_code} {error}")
    try:
        yield
    except _TooLong:
        raise error from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        note("limit", "0 0 ")
