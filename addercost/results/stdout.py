"""stdout belongs to the result: nothing that a model prints gets into it.

`redirect_stdout` redirects Python's own prints alone. A subprocess, a library in C and a thread that goes on
after the model was traced write to file descriptor 1. The command line therefore calls `claim_stdout` before
it runs code of a user's: from then on descriptor 1 is stderr, and results go to a copy of what it was.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from typing import TextIO

from addercost.errors import OutputError
from addercost.results.files import advice

_claimable = False
_result: TextIO | None = None


def allow_claim() -> None:
    """From now on `claim_stdout` works. Called where this process is the command line's own."""
    global _claimable
    _claimable = True


def claim_stdout() -> None:
    """Keeps stdout for results alone, to the end of the process. Without effect inside another program."""
    global _result, _claimable
    stream = sys.__stdout__
    if not _claimable or stream is None or sys.stdout is not stream:
        return
    _claimable = False
    try:
        kept = os.dup(1)
    except OSError:
        return  # it is closed: writing a result will say so
    stream.flush()
    _result = os.fdopen(kept, "w", encoding=stream.encoding, errors=stream.errors, newline="")
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def is_terminal() -> bool:
    """Whether results go to a terminal."""
    stream = _stream()
    return stream is not None and not stream.closed and stream.isatty()


def terminal_columns() -> int:
    """Width of the terminal that results go to: $COLUMNS if set, else what the terminal reports, else 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    try:
        stream = _stream()
        return os.get_terminal_size(stream.fileno() if stream else 1).columns or 80
    except (OSError, ValueError):
        return 80


def write_stdout(text: str) -> None:
    """Prints `text`; characters that stdout's encoding lacks are replaced by near ones.

    Raises OutputError when stdout is full or closed; a reader that has gone away is no error.
    """
    stream = _stream()
    if stream is None:
        raise OutputError("cannot write to stdout: it is closed", "name a file with -o")
    try:
        stream.write(_encodable(text, stream.encoding))
        stream.flush()
    except BrokenPipeError:
        _abandon(stream)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = advice(error) if isinstance(error, OSError) else "name a file with -o"
        _abandon(stream)
        raise OutputError(f"cannot write to stdout: {reason}", hint) from error


def _stream() -> TextIO | None:
    return sys.stdout if _result is None else _result


def _abandon(stream: TextIO) -> None:
    """Points the stream at /dev/null. Else Python would write to it once more at its end, fail, and exit with
    a code of its own."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_NEAR = str.maketrans(
    dict(zip("×→–—−─█·", ("x", "->", "-", "-", "-", "-", "#", "*"), strict=True))
    | {"≥": ">=", "≤": "<=", "±": "+-"}
)
"""What is written where the encoding lacks a character and Unicode names no parts of it (`²` is a `2`)."""


def _encodable(text: str, encoding: str | None) -> str:
    if encoding is None:
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_in_encoding(character, encoding) for character in text)
    return text


def _in_encoding(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        near = unicodedata.normalize("NFKD", character.translate(_NEAR))
        return near.encode(encoding, "replace").decode(encoding)
    return character
