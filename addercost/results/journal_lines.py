"""JSON lines that are on the disk one by one: a kill at any moment loses the line in flight and no other.

A journal has the name of the result that it is for with `.journal` after it.
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
    """(number, line, offset after it) of the whole lines; a crash cuts the last one off, or leaves zeros."""
    start, number = 0, 1
    while (stop := data.find(b"\n", start)) >= 0:
        line = data[start:stop]
        if b"\0" in line:
            return
        yield number, line, stop + 1
        start, number = stop + 1, number + 1
