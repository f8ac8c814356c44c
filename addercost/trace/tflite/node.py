"""An operator of a TFLite graph as translators see it. Translators turn it into calls of torch's
operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from addercost.errors import DataError
from addercost.trace.record import IN_REGISTERS, ArgValue, OpCall, TensorSpec
from addercost.trace.tflite.model_file import FileOperator

ACTIVATIONS = {1: "relu", 2: "hardtanh", 3: "hardtanh", 4: "tanh"}
"""RELU, RELU_N1_TO_1, RELU6 and TANH, which a kernel can apply to its results. 0 means none."""


@dataclass(frozen=True, slots=True)
class TfliteNode:
    """An operator of the graph. inputs: None for one that is left out."""

    operator: FileOperator
    module: str
    inputs: tuple[TensorSpec | None, ...]
    outputs: tuple[TensorSpec, ...]

    def tensor(self, position: int) -> TensorSpec:
        """The input at a position. Raises DataError if it is missing."""
        found = self.optional(position)
        if found is None:
            raise DataError(f"TFLite operator {self.operator.op} of {self.module!r} lacks input {position}")
        return found

    def optional(self, position: int) -> TensorSpec | None:
        return self.inputs[position] if 0 <= position < len(self.inputs) else None

    def ranked(self, position: int, rank: int) -> TensorSpec:
        return of_rank(self.tensor(position), rank, self)

    @property
    def output(self) -> TensorSpec:
        if not self.outputs:
            raise DataError(f"the TFLite operator {self.operator.op} of {self.module!r} has no output")
        return self.outputs[0]

    def call(
        self,
        name: str,
        args: dict[str, ArgValue],
        outputs: Sequence[TensorSpec] | None = None,
        tags: tuple[str, ...] = (),
    ) -> OpCall:
        """A call of one of torch's operators. Its index in the trace is set later."""
        return OpCall(name, self.module, args, self.outputs if outputs is None else tuple(outputs), 0, tags)

    def uncounted(self) -> OpCall:
        """A call of the operator itself, which no rule counts. The count is then a lower bound."""
        name = "".join(c if c.isalnum() or c == "_" else "_" for c in self.operator.op)
        given = {str(i): spec for i, spec in enumerate(self.inputs) if spec is not None}
        return self.call(f"tflite.{'custom_' if self.operator.custom else ''}{name}.default", dict(given))

    @property
    def fused_activation(self) -> int:
        """The number of the function that the kernel applies to its results; 0 means none."""
        return self.operator.options.get("FusedActivationFunction", 0)

    def activation(self, given: TensorSpec, out: TensorSpec) -> Iterator[OpCall]:
        """The call of the fused function, if there is one. A function without a rule makes the count a lower
        bound.
        """
        function = self.fused_activation
        if function:
            known = ACTIVATIONS.get(function)
            name = f"aten.{known}.default" if known else "tflite.SIGN_BIT.default"
            yield self.call(name, {"self": given}, [out])

    def activated(self, kind: Callable[[TensorSpec], OpCall], out: TensorSpec) -> Iterator[OpCall]:
        """The call that makes `out`, then the call of the function that the kernel applies to it before
        storing it.
        """
        inner = replace(out, role=IN_REGISTERS) if self.fused_activation else out
        yield kind(inner)
        yield from self.activation(inner, out)


def of_rank(spec: TensorSpec, rank: int, node: TfliteNode) -> TensorSpec:
    if len(spec.shape) != rank:
        raise DataError(
            f"the TFLite operator {node.operator.op} of {node.module!r} has a tensor of {len(spec.shape)} "
            f"dimensions, not {rank}"
        )
    return spec


def channels_first(spec: TensorSpec) -> TensorSpec:
    n, *sides, channels = spec.shape
    return replace(spec, shape=(n, channels, *sides))


def is_integer(spec: TensorSpec) -> bool:
    return spec.dtype in ("int4", "int8", "uint8", "int16")


def rescaled(
    node: TfliteNode, name: str, given: dict[str, ArgValue], x: TensorSpec, out: TensorSpec
) -> Iterator[OpCall]:
    """The call of a product. If it is of integers, its sums are rescaled to the output's scale by a further
    call.
    """
    if not is_integer(x):
        yield from node.activated(lambda made: node.call(name, given, [made]), out)
        return
    sums = replace(out, dtype="int32", role=IN_REGISTERS)
    yield node.call(name, given, [sums])
    scale = "aten.quantize_per_tensor.default"
    yield from node.activated(lambda made: node.call(scale, {"self": sums}, [made]), out)
