"""Keeps the traces of a run's networks beside its journal, so that a continued run does not trace them
again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from addercost.errors import DataError, OutputError
from addercost.results.files import write_file
from addercost.results.trace import trace_from_json, trace_to_json
from addercost.trace.record import Trace


def folder_beside(document: Path) -> Path:
    return document.with_name(document.name + ".traces")


class KeptTraces:
    """One file for each network. document: the path of the run's result; where it is None, nothing is
    kept.
    """

    def __init__(self, document: Path | None) -> None:
        self._folder = folder_beside(document) if document is not None else None

    def trace(self, name: str, make: Callable[[], Trace]) -> Trace:
        """The trace that is kept under this name, else a new one. A damaged file is replaced."""
        if self._folder is None:
            return make()
        file = self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
        try:
            return trace_from_json(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError, DataError):
            trace = make()
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self._folder}: {error.strerror}", "choose another -o") from None
        write_file(file, trace_to_json(trace), force=True)
        return trace


def remove_traces(document: Path) -> None:
    """Removes the traces that were kept for this result."""
    shutil.rmtree(folder_beside(document), ignore_errors=True)
