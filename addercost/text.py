"""Makes texts from models and files harmless for the place where they are written."""

from __future__ import annotations

import re
from typing import Any

_MARKDOWN = re.compile(r"([\\`*_\[\]|<>])")


_COMMAND = re.compile(r"(?<!\S):(?=:)|:(?=:[\w-]+(?: [^:]*=[^:]*)?::)|#(?=#(?:\[|vso\[))")
"""The character that makes a line a command to GitHub Actions (`::error::` at its start, `##[error]`
anywhere) or to Azure Pipelines (`##vso[` anywhere). A line may be broken at any place when it is printed, so
that `::error::` may come to its start from everywhere."""

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Characters with which a spreadsheet formula begins. Full-width forms count in some languages of the
program.
"""

LONGEST_ERROR = 1024
"""The most characters of an error's line, since a model's error may be megabytes long."""


def printable(text: str) -> str:
    """The text with visible escapes for control characters (terminal escapes, line breaks, direction
    overrides), and for texts that a runner of continuous integration would treat as a command.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text


def harmless_json(text: str) -> str:
    """The same JSON, in which no text is a command to such a runner. No line of JSON begins with a text."""
    return text.replace("##", "#\\u0023")


def error_line(text: str) -> str:
    """The text as one line of an error message, at most `LONGEST_ERROR` characters."""
    return shortened(printable(text), LONGEST_ERROR)


def error_text(error: BaseException | None) -> str:
    """The error's text on one line; "" where it has none or its `__str__` fails."""
    try:
        return " ".join(str(error).split()) if error is not None else ""
    except Exception:
        return ""


def markdown_cell(text: str) -> str:
    """Text that stays text inside a Markdown table."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def spreadsheet_cell(value: Any) -> Any:
    """The value for a cell. A text that a spreadsheet would run as a formula gets a quote mark in front."""
    if isinstance(value, str):
        text = printable(value)
        return "'" + text if text.startswith(_FORMULA) else text
    return value


def shortened(text: str, width: int) -> str:
    """The text with at most `width` characters. The middle is left out, since paths differ at both ends."""
    if len(text) <= width:
        return text
    if width <= 1:
        return text[:width]
    tail = (width - 1) * 2 // 3
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]
