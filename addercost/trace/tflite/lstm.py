"""TFLite's LSTM: one step, a sequence, both directions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from addercost.errors import DataError
from addercost.trace.record import ArgValue, OpCall, TensorSpec
from addercost.trace.tflite.node import TfliteNode
from addercost.trace.tflite.recurrent_layer import Places, RecurrentLayer, both_directions, into

_INPUT, _FORGET, _CELL, _OUTPUT = range(4)
"""The gates of an LSTM, in the order of their tensors among an operator's inputs."""


def _layer(node: TfliteNode, at: Places, out: TensorSpec) -> Iterator[OpCall]:
    """One direction. A gate is σ(W·x + R·h + p·c + b), where the cell's gate has an activation instead of σ
    and no p.

    c' = f·c + i·g, clipped; h' = P·(o·activation(c')) + d, clipped. Without an input gate, i is 1 - f. If a
    gate has a layer norm, it comes before the bias is added.
    """
    x = node.tensor(at.x)
    layer = RecurrentLayer(node, x)
    forget, recurrent = node.ranked(at.inputs + _FORGET, 2), node.tensor(at.recurrent + _FORGET)
    projection = node.optional(at.projection)
    cells = forget.shape[0]
    width = projection.shape[0] if projection is not None and projection.shape else cells
    state = TensorSpec((layer.rows, width), x.dtype)
    cell = TensorSpec((layer.rows, cells), layer.dtype)
    further = node.optional(at.further_x) if node.optional(at.further + _FORGET) is not None else None
    coupled = node.optional(at.inputs + _INPUT) is None
    made = layer.vectors(cells)

    yield from layer.operands(x, forget)
    yield from layer.operands(state, recurrent)
    if further is not None:
        yield from layer.operands(further, node.tensor(at.further + _FORGET))

    def gate(which: int) -> Iterator[OpCall]:
        terms = [(x, node.ranked(at.inputs + which, 2)), (state, node.tensor(at.recurrent + which))]
        if further is not None:
            terms.insert(1, (further, node.ranked(at.further + which, 2)))
        norm, bias = node.optional(at.norms + which), node.optional(at.bias + which)
        yield from layer.sums(terms, None if norm is not None else bias)
        peephole = {_INPUT: 0, _FORGET: 1, _OUTPUT: 2}.get(which)
        diagonal = node.optional(at.peephole + peephole) if peephole is not None else None
        if diagonal is not None:
            yield from layer.multiplied(cell, diagonal)
            yield node.call("aten.add.Tensor", {"self": made, "other": made}, [made])
        if norm is not None:
            given: dict[str, ArgValue] = {
                "input": made, "normalized_shape": (cells,), "weight": norm, "bias": bias,
            }  # fmt: skip
            yield node.call("aten.native_layer_norm.default", given, [made])
        if which == _CELL:
            yield from node.activation(made, made)
        else:
            yield node.call("aten.sigmoid.default", {"self": made}, [made])

    for which in (_FORGET, _CELL) if coupled else (_INPUT, _FORGET, _CELL):
        yield from gate(which)
    if coupled:
        yield node.call("aten.rsub.Scalar", {"self": made, "other": 1}, [made])
    yield from layer.multiplied(made, cell)
    yield from layer.multiplied(made, made)
    yield node.call("aten.add.Tensor", {"self": made, "other": made}, [cell])
    yield from layer.clipped("CellClip", cell, cell)
    yield from gate(_OUTPUT)
    yield from node.activation(made, made)
    if projection is None:
        yield from _product_of_gates(layer, made, out)
        return
    narrow = replace(made, dtype=x.dtype)
    yield from _product_of_gates(layer, made, narrow)
    yield from layer.operands(narrow, projection)
    bias = node.optional(at.projection + 1)
    yield from into(layer.sums([(narrow, node.ranked(at.projection, 2))], bias), out)
    yield from layer.clipped("ProjClip", out, out)


def _product_of_gates(layer: RecurrentLayer, made: TensorSpec, out: TensorSpec) -> Iterator[OpCall]:
    """The output gate times the cell's activation."""
    name, given = "aten.mul.Tensor", {"self": made, "other": made}
    yield layer.node.call(name, dict(given), [made if layer.is_integer else out])
    yield from layer.stored(made, out)


def _basic(node: TfliteNode) -> Iterator[OpCall]:
    """x: [B, I], h: [B, O], w: [4·O, I + O], c: [B, O]: one product for all gates of x and h."""
    x, h, w, bias, cell = node.tensor(0), node.tensor(1), node.ranked(2, 2), node.optional(3), node.tensor(4)
    if len(node.outputs) < 2:
        raise DataError(f"the TFLite operator LSTM of {node.module!r} lacks an output")
    layer, units = RecurrentLayer(node, x), w.shape[0] // 4
    joined = TensorSpec((layer.rows, w.shape[1]), x.dtype)
    yield node.call("aten.cat.default", {"tensors": (x, h)}, [joined])
    yield from layer.operands(joined, w)
    yield from layer.sums([(joined, w)], bias)
    made, out, new_cell = layer.vectors(units), *node.outputs[:2]
    for name in ("sigmoid", "sigmoid", "sigmoid", "tanh"):
        yield node.call(f"aten.{name}.default", {"self": made}, [made])
    yield from layer.multiplied(made, cell)
    yield from layer.multiplied(made, made)
    yield node.call("aten.add.Tensor", {"self": made, "other": made}, [new_cell])
    yield node.call("aten.tanh.default", {"self": new_cell}, [made])
    yield from _product_of_gates(layer, made, out)


_FORWARD = Places(x=0, inputs=1, recurrent=5, peephole=9, bias=12, projection=16)
_BACKWARD = Places(x=0, inputs=18, recurrent=22, peephole=26, bias=29, projection=33)


def lstm(node: TfliteNode) -> Iterator[OpCall]:
    """One step, or a sequence of steps."""
    if node.operator.op == "LSTM" and len(node.inputs) == 5:
        yield from _basic(node)
    else:
        yield from _layer(node, replace(_FORWARD, norms=20), node.output)


def two_lstms(node: TfliteNode) -> Iterator[OpCall]:
    forward = replace(_FORWARD, further_x=39, further=40)
    backward = replace(_BACKWARD, further_x=39, further=44)
    yield from both_directions(node, _layer, forward, backward, forward.further + _FORGET)
