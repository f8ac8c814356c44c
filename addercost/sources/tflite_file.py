"""`model.tflite`: a network for phones and microcontrollers. It is counted without torch."""

from __future__ import annotations

from pathlib import Path

from addercost.errors import ArgumentError
from addercost.sources.kind import SpecKind, TraceRequest, require_file
from addercost.trace.record import Trace

SUFFIX = ".tflite"


def _load(spec: str, request: TraceRequest) -> Trace:
    if request.backward or request.tracer != "dispatch" or request.batch != 1:
        raise ArgumentError(
            f"{spec} is a TFLite graph, which has one forward of fixed sizes",
            "leave --backward, --batch and --tracer out",
        )
    path = Path(spec)
    require_file(path)
    from addercost.trace.tflite.tracer import trace_tflite

    return trace_tflite(path, request.input_shapes())


TFLITE_FILE = SpecKind(
    name="tflite",
    form="model.tflite",
    summary="a TFLite graph, such as the integer networks of microcontrollers",
    recognises=lambda spec: spec.endswith(SUFFIX),
    load_trace=_load,
    suffixes=(SUFFIX,),
)
