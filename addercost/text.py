"""Texts from models and files, made harmless for the place where they are written."""

from __future__ import annotations

import re
from typing import Any

_MARKDOWN = re.compile(r"([\\`*_\[\]|<>])")


def printable(text: str) -> str:
    """Control characters (terminal escapes, line breaks, direction overrides) as visible escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def markdown_cell(text: str) -> str:
    """Text that stays text inside a Markdown table."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def spreadsheet_cell(value: Any) -> Any:
    """The value; a text that a spreadsheet would run as a formula gets a quote mark in front."""
    if isinstance(value, str):
        text = printable(value)
        return "'" + text if text[:1] in ("=", "+", "-", "@") else text
    return value


def shortened(text: str, width: int) -> str:
    """At most `width` characters. The middle is left out, since paths differ at both ends."""
    if len(text) <= width:
        return text
    if width <= 1:
        return text[:width]
    tail = (width - 1) * 2 // 3
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]
