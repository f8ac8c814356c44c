"""How a failed call ends: with one line on stderr and an exit code."""

from __future__ import annotations

import errno
import signal
import sys

import click

from addercost.errors import AddercostError, ArgumentError, OutputError, TraceError
from addercost.supervision import STOPPED, received
from addercost.text import error_line, error_text

_FAULT = 70
"""EX_SOFTWARE of sysexits.h."""

_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)
_PLACES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)
"""Errors of the system that come from a file's name, and those that come from the state of a disk or the
process.
"""


def ending(error: BaseException) -> tuple[str, int]:
    """(the line, the exit code) for the exception that ended a command."""
    if received() or isinstance(error, click.Abort | KeyboardInterrupt):
        return STOPPED[received() or signal.SIGINT]
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "addercost"
        line = f"{error_line(error.format_message().rstrip('.'))}; see {path} --help"
        return f"addercost: {line}", error.exit_code
    if isinstance(error, AddercostError):
        return f"addercost: {error_line(str(error))}", error.exit_code
    if isinstance(error, MemoryError):
        return "addercost: out of memory; try a smaller input", TraceError.exit_code
    if isinstance(error, OSError) and error.errno in (*_NAMES, *_PLACES):
        code = ArgumentError.exit_code if error.errno in _NAMES else OutputError.exit_code
        name = error.filename or "the system"
        return f"addercost: {error_line(f'{name}: {error.strerror}')}", code
    text = error_line(f"{type(error).__name__}: {error_text(error)}")
    if isinstance(error, Exception):
        return f"addercost: a fault of ours: {text}; run again with --debug and report it", _FAULT
    # Click raises no SystemExit here, so the model's code did, or it raised a class outside Exception.
    text = error_line(f"{type(error).__name__} {error_text(error)}".strip())
    return f"addercost: the model ended the program: {text}; --debug shows where", TraceError.exit_code


def say(line: str) -> None:
    """Prints a line on stderr. Where stderr is full, only the exit code says how the call ended."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return
