"""`model.onnx`: an ONNX graph. It is counted without torch."""

from __future__ import annotations

from pathlib import Path

from addercost.errors import ArgumentError
from addercost.sources.kind import SpecKind, TraceRequest, require_file
from addercost.trace.record import Trace

SUFFIX = ".onnx"


def _load(spec: str, request: TraceRequest) -> Trace:
    if request.backward or request.tracer != "dispatch":
        raise ArgumentError(
            f"{spec} is an ONNX graph, which has one forward", "leave --backward and --tracer out"
        )
    path = Path(spec)
    require_file(path)
    from addercost.trace.onnx.tracer import trace_onnx

    return trace_onnx(path, request.input_shapes(), batch=request.batch)


ONNX_FILE = SpecKind(
    name="onnx",
    form="model.onnx",
    summary="an ONNX graph; sizes that it leaves open come from --input",
    recognises=lambda spec: spec.endswith(SUFFIX),
    load_trace=_load,
    suffixes=(SUFFIX,),
)
