"""Keeps stdout for results: nothing that a model prints gets into it.

`redirect_stdout` redirects only Python's own prints. Subprocesses, libraries in C, and threads that continue
after the model was traced write to file descriptor 1. The command line therefore calls `claim_stdout` before
it runs a user's code. From then on descriptor 1 is stderr, and results go to a copy of the original.
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
    """Enables `claim_stdout`. It is called only where the process belongs to the command line."""
    global _claimable
    _claimable = True


def claim_stdout() -> None:
    """Keeps stdout for results until the process ends. It has no effect inside another program."""
    global _result, _claimable
    stream = sys.__stdout__
    if not _claimable or stream is None or sys.stdout is not stream:
        return
    _claimable = False
    try:
        kept = os.dup(1)
    except OSError:
        return  # stdout is closed: writing a result will report that
    stream.flush()
    _result = os.fdopen(kept, "w", encoding=stream.encoding, errors=stream.errors, newline="")
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def is_terminal() -> bool:
    """Whether the stdout of results is a terminal."""
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
    """Prints `text`. Characters that stdout's encoding lacks are replaced by similar ones.

    Raises OutputError when stdout is full or closed. A reader that has closed its end of a pipe is no error.
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
    """Points the stream at /dev/null. Otherwise Python would write to it again when it ends, fail, and exit
    with another code.
    """
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


_NEAR = str.maketrans(
    dict(zip("×→–—−─█·", ("x", "->", "-", "-", "-", "-", "#", "*"), strict=True))
    | {"≥": ">=", "≤": "<=", "±": "+-"}
)
"""Replacements for characters that the encoding lacks and that Unicode does not decompose (as it does `²` to
`2`).
"""


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
