"""`trace.json`: a trace that `addercost profile … --save-trace` wrote. It is read without torch."""

from __future__ import annotations

from pathlib import Path

from addercost.errors import ArgumentError, DataError
from addercost.results.document_names import JSON_SUFFIX
from addercost.sources.kind import SpecKind, TraceRequest
from addercost.trace.record import Trace


def read_trace(path: Path) -> Trace:
    """Reads what `--save-trace` wrote. Raises DataError."""
    from addercost.results.trace import trace_from_json

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist", "save a trace with `addercost profile … --save-trace`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    return trace_from_json(text, str(path))


def _load(spec: str, request: TraceRequest) -> Trace:
    if request != TraceRequest():
        raise ArgumentError(
            f"{spec} is a trace: what it traced is fixed", "leave --input, --backward and --tracer out"
        )
    return read_trace(Path(spec))


SAVED_TRACE = SpecKind(
    name="saved_trace",
    form="trace.json",
    summary="a trace saved with --save-trace",
    recognises=lambda spec: spec.endswith(JSON_SUFFIX),
    load_trace=_load,
    suffixes=(JSON_SUFFIX,),
)
