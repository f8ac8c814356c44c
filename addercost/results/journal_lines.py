"""JSON lines that are synced to disk one by one, so that a kill at any moment loses only the line being
written.

A journal's name is the result's name with `.journal` appended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from addercost.errors import OutputError


def journal_path(output: Path) -> Path:
    return output.with_name(output.name + ".journal")


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Writes the record to the disk before it returns. Raises OutputError where that fails."""
    line = json.dumps(record, allow_nan=False) + "\n"
    try:
        with path.open("ab") as file:
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", "free some space") from None


def whole_lines(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(number, line, offset of its end) of each complete line. A crash can cut the last line off, or leave
    zeros.
    """
    start, number = 0, 1
    while (stop := data.find(b"\n", start)) >= 0:
        line = data[start:stop]
        if b"\0" in line:
            return
        yield number, line, stop + 1
        start, number = stop + 1, number + 1
