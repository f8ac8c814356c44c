"""Eight-bit layers."""

from __future__ import annotations

from dataclasses import replace

from addercost.counts.what_if.layer_calls import map_tensors
from addercost.counts.what_if.registry import alternative
from addercost.trace.record import TensorSpec, Trace


@alternative("int8", "layers take and give int8 and accumulate in int32; requantisation is not counted")
def int8(trace: Trace, layers: frozenset[int], value: float) -> Trace:
    """Inputs, weights and outputs of the layers in int8, biases in int32; other calls stay.

    Source: Jacob et al., CVPR 2018 (integer-arithmetic-only inference).
    """

    def narrow(name: str, spec: TensorSpec) -> TensorSpec:
        if not spec.dtype.startswith(("float", "bfloat")):
            return spec
        # addmm calls its bias `self`.
        is_bias = name == "bias" or (name == "self" and spec.role == "parameter" and len(spec.shape) == 1)
        return replace(spec, dtype="int32" if is_bias else "int8")

    calls = tuple(map_tensors(call, narrow) if i in layers else call for i, call in enumerate(trace.calls))
    return replace(trace, calls=calls)
