"""Layers that compute with narrow numbers, and weights stored in fewer bits than the layer computes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from addercost.counts.what_if.registry import TraceChange, alternative
from addercost.trace.record import OpCall, TensorSpec, Trace, map_tensors

_PACKED = ("int32", "int64", "uint", "quint", "qint", "bool", "complex")
"""Beginnings of dtypes that stay as they are: packed words, quantised tensors, truth values and complex
numbers.
"""


def narrowed(call: OpCall, numbers: str, weights: str, sums: str) -> OpCall:
    """The layer with inputs and outputs of dtype `numbers`, weights of dtype `weights`, and a bias of dtype
    `sums`.
    """

    def narrow(name: str, spec: TensorSpec) -> TensorSpec:
        # `self` is addmm's name for the bias.
        if name == "bias" or (name == "self" and spec.role == "parameter" and len(spec.shape) == 1):
            return replace(spec, dtype=sums)
        if spec.dtype.startswith(_PACKED):
            return spec
        return replace(spec, dtype=weights if spec.role in ("parameter", "derived") else numbers)

    return map_tensors(call, narrow)


def in_bits(call: OpCall, bits: int) -> OpCall:
    """The layer with weights of `bits` bits, at most 16. It computes in the next wider integers that
    processors have, of 8 or 16 bits, and sums in int32.
    """
    return narrowed(call, "int8" if bits <= 8 else "int16", f"int{bits}", "int32")


def _fp8(call: OpCall) -> OpCall:
    return narrowed(call, "float8_e4m3fn", "float8_e4m3fn", "float32")


def _changer(change_layer: Callable[[OpCall], OpCall]) -> TraceChange:
    def change(trace: Trace, layers: frozenset[int], value: object) -> Trace:
        """The same sites; other calls stay as they are. Unpacking, scaling and requantisation are not
        counted.
        """
        calls = tuple(change_layer(call) if i in layers else call for i, call in enumerate(trace.calls))
        return replace(trace, calls=calls)

    return change


_CHANGES: dict[str, tuple[str, Callable[[OpCall], OpCall]]] = {
    # Jacob et al., CVPR 2018: integer-arithmetic-only inference.
    "int8": (
        "layers take and give int8 and accumulate in int32; requantisation is not counted",
        lambda call: in_bits(call, 8),
    ),
    # Dettmers and Zettlemoyer, ICML 2023: 4 bits for each weight. Scales of blocks are left out here.
    "int4": (
        "weights of 4 bits, widened to int8, which layers take and give; they accumulate in int32; "
        "unpacking, scales and requantisation are not counted",
        lambda call: in_bits(call, 4),
    ),
    # Micikevicius et al., 2022: E4M3 for weights and activations.
    "fp8": ("layers take and give fp8 (E4M3) and accumulate in fp32; scaling is not counted", _fp8),
}

for _name, (_summary, _change) in _CHANGES.items():
    alternative(_name, _summary)(_changer(_change))
