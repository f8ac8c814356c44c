"""The trace of an ONNX graph: its nodes in order, each as the calls of torch's operators that compute the
same.

What depends only on shapes is computed here and costs nothing, as in a model with fixed shapes. A branch is
followed if its condition is known, and a loop is repeated as often as its count says if that is known.
Otherwise the count is a lower bound, and a note says so.
"""

from __future__ import annotations

import re
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.errors import DataError, TraceError
from addercost.trace.input_shapes import InputShape
from addercost.trace.onnx import known_values
from addercost.trace.onnx.control_flow import FOLLOWED, UnknownFlowError
from addercost.trace.onnx.fused_quantization import fused_call, pending_dequantization
from addercost.trace.onnx.graph_inputs import input_specs
from addercost.trace.onnx.model_file import OnnxFile, domain_of, read_onnx
from addercost.trace.onnx.node import OnnxNode
from addercost.trace.onnx.operators import TRANSLATORS
from addercost.trace.onnx.operators.movement import COMPUTES_NOTHING, VIEWS
from addercost.trace.onnx.operators.shapes import OUTPUT_TYPES
from addercost.trace.onnx.scopes import modules_of
from addercost.trace.onnx.storages import graph_storages
from addercost.trace.onnx.values import (
    Value,
    of_initializer,
    of_type,
    output_role,
)
from addercost.trace.record import NODE, OpCall, TensorSpec, Trace

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

MOST_CALLS = 1_000_000
"""A graph that makes more calls than this is refused."""

_WEIGHTED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))
_PATH = re.compile(r"[\w.]+")
_AGAIN = re.compile(r"(.+)_\d+")
"""The older exporter numbers the calls of a module from the second on: relu, relu_1."""

_HANDS_ON = frozenset(("Identity", "Dropout"))
"""Operators whose first output is their input, because a graph is run for inference."""

_BY_INPUTS = frozenset(("NonZero", "NonMaxSuppression", "Unique"))
"""Operators whose work depends only on the sizes of their inputs, but whose number of results depends on
data.
"""


def trace_onnx(
    path: Path, inputs: Sequence[InputShape] = (), name: str | None = None, batch: int = 1
) -> Trace:
    """The trace of an ONNX file.

    inputs: shapes of the graph's inputs, in order or by name; needed where the graph leaves sizes open.
    batch: multiplies those first sizes that the graph leaves open.
    Raises ArgumentError where inputs are missing or do not fit, DataError for a damaged file, and TraceError
    for a graph that makes more than `MOST_CALLS` calls.
    """
    file = read_onnx(path)
    walk = _Walk(file, str(path))
    graph_inputs = walk.begin(inputs, batch)
    walk.run(file.graph)
    return Trace(
        model=name or path.stem,
        calls=tuple(replace(call, index=i) for i, call in enumerate(walk.calls)),
        modules=walk.modules,
        parameters=walk.parameters,
        inputs=graph_inputs,
        tracer="meta",
        versions={"onnx": _version(), "opset": str(file.opsets[""])},
        notes=tuple(walk.notes),
        storages=graph_storages(walk.calls, graph_inputs, walk.outputs(), walk.constants.values()),
        returned=tuple([spec.number for spec in walk.outputs()]),
    )


def _version() -> str:
    import onnx

    return str(onnx.__version__)


class _Walk:
    """Walks through a graph, node by node."""

    def __init__(self, file: OnnxFile, where: str) -> None:
        self.calls: list[OpCall] = []
        self.modules: dict[str, str] = {"": ""}
        self.parameters: dict[str, int] = {}
        self.constants: dict[str, TensorSpec] = {}
        self.notes: dict[str, None] = {}
        self._file, self._where = file, where
        self._values: ChainMap[str, Value] = ChainMap()
        self._readers: dict[str, list[NodeProto]] = {}
        self._declared: dict[str, ValueInfoProto] = {}
        self._pending: dict[str, OpCall] = {}
        self._rescaled: set[str] = set()
        self._statistics: set[str] = set()
        self._made = 0

    def begin(self, inputs: Sequence[InputShape], batch: int) -> tuple[TensorSpec, ...]:
        """Sets the graph's inputs and returns their specs."""
        graph = self._file.graph
        constants = {tensor.name for tensor in graph.initializer}
        open_inputs = [info for info in graph.input if info.name not in constants]
        specs = input_specs(open_inputs, inputs, self._where, batch)
        for info, spec in zip(open_inputs, specs, strict=True):
            self._values[info.name] = Value(spec)
        return specs

    def run(self, graph: GraphProto) -> None:
        """Follows all nodes of a graph. Its values are added to the innermost scope."""
        self._statistics |= {
            name
            for node in graph.node
            if node.op_type == "BatchNormalization"
            for name in list(node.input)[3:5]
        }
        for tensor in graph.initializer:
            self._values[tensor.name] = self._constant(tensor, tensor.name)
        for sparse in graph.sparse_initializer:
            dense = of_type(None, "parameter", sparse.values.name)
            self._values[sparse.values.name] = replace(
                dense, spec=replace(dense.spec, shape=tuple(sparse.dims)), complete=True
            )
        readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                readers[name].append(node)
        self._readers = readers
        self._declared = {info.name: info for info in (*graph.value_info, *graph.output)}
        for node in graph.node:
            self._node(node)
            if len(self.calls) > MOST_CALLS:
                raise TraceError(
                    f"{self._where} makes more than {MOST_CALLS:,} calls",
                    "give smaller inputs, or split its loops",
                )
        for info in graph.output:
            if info.name in self._pending:
                self.calls.append(self._pending.pop(info.name))

    def outputs(self) -> list[TensorSpec]:
        """The specs of the whole graph's outputs, after it was run."""
        found = (self._values.get(info.name) for info in self._file.graph.output)
        return [value.spec for value in found if value is not None]

    def _constant(self, tensor: TensorProto, name: str) -> Value:
        """A tensor in the file. Statistics of a batch norm are a buffer, other weights are parameters."""
        value = self._of_role(tensor, name)
        self.constants[name] = value.spec
        return value

    def _of_role(self, tensor: TensorProto, name: str) -> Value:
        value = of_initializer(tensor, "constant")
        if name in self._statistics:
            return value.with_role("buffer", name)
        if value.spec.numel <= 1 or value.spec.dtype.startswith(("int32", "int64", "bool")):
            return value.with_role("constant", name)
        self.parameters[name] = value.spec.numel
        return value.with_role("parameter", name)

    def _node(self, proto: NodeProto) -> None:
        before = len(self.calls)
        self._follow(proto)
        self.calls[before:] = (_of_node(call, proto.name) for call in self.calls[before:])

    def _follow(self, proto: NodeProto) -> None:
        if proto.output and proto.output[0] in self._rescaled:
            return
        inputs = tuple(self._value(name, proto) if name else None for name in proto.input)
        tensor = _tensor_of(proto)
        if tensor is not None:
            self._values[proto.output[0]] = self._constant(tensor, proto.output[0])
            return
        known = known_values.computed(proto, inputs, self._file)
        if known is not None:
            self._values.update(zip(proto.output, known, strict=False))
            return
        if not domain_of(proto.domain) and self._is_followed(proto, inputs):
            return
        node = self._seen(proto, inputs)
        if node.op == "DequantizeLinear" and node.outputs[0].complete:
            self._pending[proto.output[0]] = _of_node(pending_dequantization(node), proto.name)
            self._values[proto.output[0]] = replace(node.outputs[0], dequantized=node.value(0))
            return
        reader = self._only_reader(proto)
        fused = fused_call(node, reader.op_type if reader is not None else "")
        if fused is None:
            for name in proto.input:
                if name in self._pending:
                    self.calls.append(self._pending.pop(name))
            self.calls.extend(self._calls_of(node))
        else:
            self.calls.append(fused)
        self._values.update(zip(proto.output, node.outputs, strict=False))
        if fused is not None and reader is not None and reader.op_type == "QuantizeLinear":
            # The fused call has already rescaled its sums to the reader's scale.
            self._values[reader.output[0]] = Value(fused.output)
            self._rescaled.add(reader.output[0])

    def _is_followed(self, proto: NodeProto, inputs: tuple[Value | None, ...]) -> bool:
        """Handles a node that computes nothing itself: one that passes its input on, or one that runs other
        graphs. Returns False for all other nodes.
        """
        if proto.op_type in _HANDS_ON and inputs[0] is not None:
            self._values[proto.output[0]] = inputs[0]
            return len(proto.output) == 1 or not proto.output[1]
        if proto.op_type not in FOLLOWED:
            return False
        before = len(self.calls)
        try:
            results = FOLLOWED[proto.op_type](proto, inputs, self._inside)
        except UnknownFlowError as error:
            del self.calls[before:]
            self.notes[f"{error}: what it computes is not counted"] = None
            node = self._seen(proto, inputs)
            self.calls.append(node.uncounted())
            results = list(node.outputs)
        self._values.update(zip(proto.output, results, strict=False))
        return True

    def _inside(self, graph: GraphProto, given: Mapping[str, Value]) -> list[Value]:
        """Follows a graph inside a node, which may use the values around the node. Returns its outputs."""
        outside = self._values, self._readers, self._declared
        self._values = self._values.new_child(dict(given))
        try:
            self.run(graph)
            return [self._values[info.name] for info in graph.output]
        except KeyError as error:
            raise DataError(f"{self._where}: a graph inside a node has no value {error}") from None
        finally:
            self._values, self._readers, self._declared = outside

    def _only_reader(self, proto: NodeProto) -> NodeProto | None:
        name = proto.output[0]
        readers = self._readers.get(name, [])
        outputs = {info.name for info in self._file.graph.output}
        return readers[0] if len(readers) == 1 and name not in outputs else None

    def _value(self, name: str, node: NodeProto) -> Value:
        try:
            return self._values[name]
        except KeyError:
            raise DataError(
                f"{self._where}: node {node.name!r} ({node.op_type}) reads {name!r}, which nothing makes",
                "export the model again",
            ) from None

    def _seen(self, proto: NodeProto, inputs: tuple[Value | None, ...]) -> OnnxNode:
        """The node, with what shape inference, the file or our own functions know about its outputs."""
        module = self._module(proto, inputs)
        domain = domain_of(proto.domain)
        keeps_role = proto.op_type in VIEWS and not domain
        role, name = output_role([value for value in inputs if value is not None], keeps_role)
        node = OnnxNode(
            proto.op_type,
            domain,
            module,
            {entry.name: _attribute(entry) for entry in proto.attribute},
            inputs,
            (),
            self._file.opsets.get(domain, 1),
        )
        types = known_values.inferred(proto, inputs, self._file)
        given = OUTPUT_TYPES.get((domain, proto.op_type))
        outputs = []
        own = given(node) if given is not None else ()
        for position, output in enumerate(proto.output):
            value = of_type(types.get(output), role, name)
            if position < len(own):
                value = Value(replace(own[position], role=role, name=name))
            if not value.complete and output in self._declared:
                declared = of_type(self._declared[output].type, role, name)
                value = declared if declared.complete else value
            self._made += 1
            outputs.append(replace(value, spec=replace(value.spec, number=self._made)))
        return replace(node, outputs=tuple(outputs))

    def _module(self, proto: NodeProto, inputs: Sequence[Value | None]) -> str:
        """The path of the module that a node belongs to. Adds the modules around it to `modules`."""
        modules = modules_of(proto)
        for path, kind in modules:
            self.modules.setdefault(path, kind)
        path = modules[-1][0] if modules else ""
        weight = inputs[1].spec.name if len(inputs) > 1 and inputs[1] is not None else ""
        owner = weight.removesuffix(".weight")
        if proto.op_type in _WEIGHTED and owner != weight and _PATH.fullmatch(owner):
            # An exporter that folds a batch norm into a convolution names the node after the norm.
            path = owner
        called_again = _AGAIN.fullmatch(path)
        if called_again and self.modules.get(called_again[1]) == proto.op_type:
            path = called_again[1]
        if path and not self.modules.get(path):
            self.modules[path] = proto.op_type
        return path

    def _calls_of(self, node: OnnxNode) -> Iterable[OpCall]:
        translator = TRANSLATORS.get((node.domain, node.op))
        if translator is None:
            return [node.uncounted()]
        unknown = not all(value.complete for value in (*node.given(), *node.outputs))
        if unknown:
            self.notes[
                f"sizes after {node.title} in {node.module or 'the graph'} depend on data: counted as 0"
                if node.op in _BY_INPUTS
                else "some sizes depend on data, and what computes with them is not counted"
            ] = None
            if node.op in _BY_INPUTS and all(value.complete for value in node.given()):
                return [*translator(node), node.uncounted()]
            if node.op not in COMPUTES_NOTHING:
                return [node.uncounted()]
        return translator(node)


def _of_node(call: OpCall, name: str) -> OpCall:
    """The call, tagged with its node. A call that has such a tag keeps it: it belongs to a node inside, or to
    an earlier one.
    """
    if not name or any(tag.startswith(NODE) for tag in call.tags):
        return call
    return replace(call, tags=(*call.tags, NODE + name))


def _tensor_of(node: NodeProto) -> TensorProto | None:
    """The tensor inside a Constant node, if the node contains one."""
    if node.op_type != "Constant" or domain_of(node.domain):
        return None
    return next((entry.t for entry in node.attribute if entry.name == "value"), None)


def _attribute(entry: AttributeProto) -> Any:
    """The value of an attribute, with bytes as str; None for a graph."""
    from onnx import AttributeProto, helper

    if entry.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
        return None
    value = helper.get_attribute_value(entry)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if entry.type == AttributeProto.STRINGS:
        return [item.decode("utf-8", "replace") for item in value]
    return value
