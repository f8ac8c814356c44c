"""Recurrent layers: one layer, one or two directions."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import OnnxNode, reshaped
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import OpCall

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@translates(*_GATES)
def recurrent(node: OnnxNode) -> Iterator[OpCall]:
    """x: [T, N, C], w: [D, G·H, C], r: [D, G·H, H], b: [D, 2·G·H]."""
    w, r, b = node.tensor(1), node.tensor(2), node.optional_tensor(3)
    params = []
    for _ in range(w.shape[0]):
        params += [reshaped(w, w.shape[1:]), reshaped(r, r.shape[1:])]
        if b is not None:
            params += [reshaped(b, (b.shape[1] // 2,))] * 2
    kind = node.op.lower()
    if kind == "rnn":
        activations = node.attributes.get("activations") or ["Tanh"]
        kind = "rnn_relu" if activations[0] == "Relu" else "rnn_tanh"
    yield node.call(
        f"aten.{kind}.input",
        {
            "input": node.tensor(0),
            "params": tuple(params),
            "num_layers": 1,
            "bidirectional": w.shape[0] == 2,
        },
    )
