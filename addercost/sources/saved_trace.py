"""`trace.json`: a trace that `addercost profile … --save-trace` wrote. It is read without torch."""

from __future__ import annotations

from pathlib import Path

from addercost.errors import ArgumentError
from addercost.input_files import read_text
from addercost.results.document_names import JSON_SUFFIX
from addercost.sources.kind import SpecKind, TraceRequest
from addercost.trace.record import Trace


def read_trace(path: Path) -> Trace:
    """Reads what `--save-trace` wrote. Raises DataError."""
    from addercost.results.trace import trace_from_json

    text = read_text(path, "save a trace with `addercost profile … --save-trace`")
    return trace_from_json(text, str(path))


def _load(spec: str, request: TraceRequest) -> Trace:
    if request != TraceRequest(memory=request.memory):
        raise ArgumentError(
            f"{spec} is a trace: what it traced is fixed",
            "leave --input, --batch, --backward, --tracer and --no-fuse-attention out",
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
