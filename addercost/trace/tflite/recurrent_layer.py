"""What TFLite's layers with a state have in common: LSTM, RNN and SVDF.

Here, all steps of a sequence are one call of each operator: the vectors of the steps are rows of one matrix.
Weights count as read once, and a state as read and written at every step.

Products of int8 are summed in 32 bits. In a network of integers these sums are rescaled to 16 bits. Gates and
cells are computed in 16 bits, by the formulas of their functions, and a product of two such numbers is
rescaled by a shift. In a network of floats with integer weights, vectors are rounded to int8 once in each
step, and sums are scaled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from addercost.errors import DataError
from addercost.trace.record import IN_REGISTERS, OpCall, TensorSpec
from addercost.trace.tflite.node import TfliteNode, is_integer

_NOWHERE = 1 << 16
"""An input position that no operator has."""


@dataclass(frozen=True, slots=True)
class Places:
    """The positions of one direction's tensors among an operator's inputs; for an LSTM, that of the first of
    four gates.

    Layer norms, biases of a projection and further inputs may be missing.
    """

    x: int
    inputs: int
    recurrent: int
    bias: int
    peephole: int = _NOWHERE
    projection: int = _NOWHERE
    norms: int = _NOWHERE
    further: int = _NOWHERE
    further_x: int = _NOWHERE


class RecurrentLayer:
    """One direction of a layer: what its calls have in common, and the calls of its sums.

    rows: the number of input vectors in all steps together.
    """

    def __init__(self, node: TfliteNode, x: TensorSpec) -> None:
        if not x.shape:
            raise DataError(f"the TFLite operator {node.operator.op} of {node.module!r} has no input vectors")
        self.node, self.rows = node, x.numel // x.shape[-1] if x.shape[-1] else 0
        self.is_integer = is_integer(x)
        self.dtype = "int16" if self.is_integer else x.dtype

    def vectors(self, width: int, dtype: str | None = None) -> TensorSpec:
        return TensorSpec((self.rows, width), dtype or self.dtype, IN_REGISTERS)

    def operands(self, x: TensorSpec, weights: TensorSpec) -> Iterator[OpCall]:
        """The calls that an input needs before its products: rounding, if only the weights are integers."""
        if is_integer(weights) and not is_integer(x):
            made = [TensorSpec(x.shape, weights.dtype, IN_REGISTERS)]
            yield self.node.call("aten.quantize_per_tensor_dynamic.default", {"self": x}, made)

    def sums(
        self, terms: Sequence[tuple[TensorSpec, TensorSpec]], bias: TensorSpec | None
    ) -> Iterator[OpCall]:
        """Σ W·x + bias over terms (x, W): [rows, n]. A W with one axis is a diagonal matrix."""
        call, made = self.node.call, self.vectors(terms[0][1].shape[0])
        wide = replace(made, dtype="int32")
        for position, (x, w) in enumerate(terms):
            if not w.shape:
                op, module = self.node.operator.op, self.node.module
                raise DataError(f"the TFLite operator {op} of {module!r} has weights without an axis")
            added = bias if position == 0 else None
            if len(w.shape) == 1:
                yield call("aten.mul.Tensor", {"self": x, "other": w}, [made])
            elif self.is_integer:
                yield call("aten.linear.default", {"input": x, "weight": w, "bias": added}, [wide])
                yield call("aten.quantize_per_tensor.default", {"self": wide}, [made])
            elif is_integer(w):
                rounded = TensorSpec(x.shape, w.dtype, IN_REGISTERS)
                yield call("aten.linear.default", {"input": rounded, "weight": w, "bias": None}, [wide])
                yield call("aten.mul.Tensor", {"self": wide}, [made])
                if added is not None:
                    yield call("aten.add.Tensor", {"self": made, "other": added}, [made])
            else:
                yield call("aten.linear.default", {"input": x, "weight": w, "bias": added}, [made])
            if position:
                yield call("aten.add.Tensor", {"self": made, "other": made}, [made])

    def multiplied(self, a: TensorSpec, b: TensorSpec) -> Iterator[OpCall]:
        made = self.vectors(a.shape[-1])
        yield self.node.call("aten.mul.Tensor", {"self": a, "other": b}, [made])
        if self.is_integer:
            yield self.node.call("aten.bitwise_right_shift.Tensor", {"self": made}, [made])

    def stored(self, made: TensorSpec, out: TensorSpec) -> Iterator[OpCall]:
        """The call that converts a result to the output's format, if it does not have this format."""
        if self.is_integer:
            yield self.node.call("aten.quantize_per_tensor.default", {"self": made}, [out])

    def clipped(self, option: str, made: TensorSpec, out: TensorSpec) -> Iterator[OpCall]:
        if self.node.operator.options.get(option):
            yield self.node.call("aten.hardtanh.default", {"self": made}, [out])


def into(calls: Iterator[OpCall], out: TensorSpec) -> Iterator[OpCall]:
    """The calls, changed so that the last one makes `out`."""
    *first, last = calls
    yield from first
    yield replace(last, outputs=(out,))


def both_directions(
    node: TfliteNode,
    layer: Callable[[TfliteNode, Places, TensorSpec], Iterator[OpCall]],
    forward: Places,
    backward: Places,
    further_weights: int,
) -> Iterator[OpCall]:
    """The calls of both directions.

    A second input that has no weights of its own is the input of the backward direction. Merged outputs are
    one vector for each step. further_weights: a position at which there are weights if the second input
    belongs to both directions.
    """
    if node.optional(forward.further_x) is not None and node.optional(further_weights) is None:
        backward = replace(backward, x=backward.further_x)
    if node.operator.options.get("MergeOutputs"):
        whole = node.output
        half = replace(whole, shape=(*whole.shape[:-1], whole.shape[-1] // 2)) if whole.shape else whole
        outputs = (half, half)
    elif len(node.outputs) == 2:
        outputs = node.outputs[0], node.outputs[1]
    else:
        raise DataError(f"the TFLite operator {node.operator.op} of {node.module!r} lacks an output")
    for places, out in zip((forward, backward), outputs, strict=True):
        yield from layer(node, places, out)
