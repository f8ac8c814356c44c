"""Ends a model's code that takes too long."""

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
    """Raised in a model's code when its time is over. It is no Exception, so that code which catches
    Exception does not catch it.
    """


def set_command_limit(seconds: float) -> None:
    """Sets the command line's limit, which applies where no other limit is given."""
    global _of_command_s
    _of_command_s = seconds


@contextmanager
def load_limit(what: str) -> Iterator[None]:
    """Raises ModelError where the block, which makes a model, takes longer than the command line allows."""
    with _limit(_of_command_s, ModelError(f"{what} takes longer than {_of_command_s:g} s to load", _HINT)):
        yield


@contextmanager
def forward_limit(what: str, seconds: float | None = None) -> Iterator[None]:
    """Raises TraceError where the block, a forward, takes longer than the limit in seconds. 0 means no limit,
    None the limit of the command line.

    Raises ArgumentError outside the main thread, since no other thread can be interrupted.
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
