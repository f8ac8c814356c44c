"""TFLite's plain recurrent layer: one step, a sequence, both directions."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.record import OpCall, TensorSpec
from addercost.trace.tflite.node import TfliteNode
from addercost.trace.tflite.recurrent_layer import Places, RecurrentLayer, both_directions, into


def _layer(node: TfliteNode, at: Places, out: TensorSpec) -> Iterator[OpCall]:
    """h' = activation(W·x + R·h + b)."""
    x, w = node.tensor(at.x), node.ranked(at.inputs, 2)
    layer = RecurrentLayer(node, x)
    state = TensorSpec((layer.rows, w.shape[0]), x.dtype)
    terms = [(x, w), (state, node.ranked(at.recurrent, 2))]
    if node.optional(at.further) is not None:
        terms.append((node.tensor(at.further_x), node.ranked(at.further, 2)))
    for given, weights in terms:
        yield from layer.operands(given, weights)
    calls = layer.sums(terms, node.optional(at.bias))
    if node.fused_activation:
        yield from calls
        yield from node.activation(layer.vectors(w.shape[0]), out)
    else:
        yield from into(calls, out)


def rnn(node: TfliteNode) -> Iterator[OpCall]:
    yield from _layer(node, Places(x=0, inputs=1, recurrent=2, bias=3), node.output)


def two_rnns(node: TfliteNode) -> Iterator[OpCall]:
    forward = Places(x=0, inputs=1, recurrent=2, bias=3, further_x=9, further=10)
    backward = Places(x=0, inputs=5, recurrent=6, bias=7, further_x=9, further=11)
    yield from both_directions(node, _layer, forward, backward, forward.further)
