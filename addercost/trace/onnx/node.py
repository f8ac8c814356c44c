"""A node of the graph as translators see it, and how they make its calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from addercost.errors import DataError
from addercost.trace.onnx.values import Value
from addercost.trace.record import ArgValue, OpCall, TensorSpec

VIEW = "view"


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One node. inputs: None for an optional input that is left out. outputs: what is known about them.
    opset: the version of the operators of the node's domain.
    """

    op: str
    domain: str
    module: str
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    opset: int

    @property
    def title(self) -> str:
        return f"{self.domain or 'onnx'}.{self.op}"

    def value(self, position: int) -> Value:
        """The input at a position. Raises DataError if it is missing."""
        found = self.optional(position)
        if found is None:
            raise DataError(f"the ONNX node {self.title} of {self.module!r} lacks input {position}")
        return found

    def optional(self, position: int) -> Value | None:
        return self.inputs[position] if position < len(self.inputs) else None

    def tensor(self, position: int) -> TensorSpec:
        return self.value(position).spec

    def optional_tensor(self, position: int) -> TensorSpec | None:
        value = self.optional(position)
        return None if value is None else value.spec

    @property
    def output(self) -> TensorSpec:
        return self.outputs[0].spec

    def given(self) -> list[Value]:
        """The inputs that are not left out."""
        return [value for value in self.inputs if value is not None]

    def integers(self, name: str, position: int | None = None) -> tuple[int, ...] | None:
        """A list of integers that is an input in newer opsets and an attribute in older ones. None if it is
        neither, or if its values are unknown.
        """
        if position is not None:
            value = self.optional(position)
            if value is not None:
                return None if value.data is None else tuple(int(n) for n in value.data.reshape(-1))
        attribute = self.attributes.get(name)
        return None if attribute is None else tuple(int(n) for n in attribute)

    def call(
        self,
        op: str,
        args: Mapping[str, ArgValue],
        outputs: Sequence[TensorSpec] | None = None,
        tags: tuple[str, ...] = (),
    ) -> OpCall:
        """A call of one of torch's operators. Its index in the trace is set later."""
        outputs = tuple(value.spec for value in self.outputs) if outputs is None else tuple(outputs)
        return OpCall(op, self.module, dict(args), outputs, 0, tags)

    def uncounted(self) -> OpCall:
        """A call of the node itself, which no rule counts. The count is then a lower bound."""
        args = {str(i): value.spec for i, value in enumerate(self.inputs) if value is not None}
        return self.call(f"{self.title}.default", args)


def reshaped(spec: TensorSpec, shape: Sequence[int]) -> TensorSpec:
    """The same elements in another shape."""
    return replace(spec, shape=tuple(shape))
