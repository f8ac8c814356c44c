"""What is known about a node's outputs before anything runs.

Their values are computed where its inputs are known (shapes, indices). Otherwise ONNX's shape inference gives
their types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from addercost.trace.onnx.model_file import OnnxFile, domain_of
from addercost.trace.onnx.values import MOST_FLOATS, MOST_INTEGERS, Value, of_data, of_type, type_of

if TYPE_CHECKING:
    from onnx import NodeProto, TypeProto

_NEVER = frozenset(
    ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial",
     "DequantizeLinear", "QuantizeLinear", "If", "Loop", "Scan")
)  # fmt: skip


def computed(node: NodeProto, inputs: Sequence[Value | None], file: OnnxFile) -> list[Value] | None:
    """The outputs of a node whose inputs are all known, if these are small; else None."""
    if node.op_type == "Shape" and inputs[0] is not None and inputs[0].complete:
        bounds = {a.name: a.i for a in node.attribute}
        shape = inputs[0].spec.shape[bounds.get("start") : bounds.get("end")]
        return [of_data(np.array(shape, dtype=np.int64), "int64")]
    if node.op_type == "Size" and inputs[0] is not None and inputs[0].complete:
        return [of_data(np.array(inputs[0].spec.numel, dtype=np.int64), "int64")]
    given = [value for value in inputs if value is not None]
    if node.op_type in _NEVER or domain_of(node.domain) or any(value.data is None for value in given):
        return None
    if not given and node.op_type != "Constant":
        return None
    types = inferred(node, inputs, file)
    if not all(kind is not None and _is_small(kind) for kind in types.values()):
        return None
    results = _evaluated(node, inputs, file)
    if results is None:
        return None
    return [of_data(np.asarray(result), str(np.asarray(result).dtype)) for result in results]


def _is_small(kind: TypeProto) -> bool:
    value = of_type(kind, "constant")
    whole = value.spec.dtype.startswith(("int", "uint", "bool"))
    return value.complete and value.spec.numel <= (MOST_INTEGERS if whole else MOST_FLOATS)


def _evaluated(node: NodeProto, inputs: Sequence[Value | None], file: OnnxFile) -> list[Any] | None:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names = [name for name in dict.fromkeys(node.input) if name]
    try:
        graph = helper.make_graph(
            [node],
            "one node",
            [helper.make_value_info(name, type_of(_by_name(node, inputs)[name])) for name in names],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        feeds = {name: _by_name(node, inputs)[name].data for name in names}
        return list(ReferenceEvaluator(graph, opsets=dict(file.opsets)).run(None, feeds))
    except Exception:
        # What cannot be computed stays unknown.
        return None


def _by_name(node: NodeProto, inputs: Sequence[Value | None]) -> dict[str, Value]:
    return {
        name: value for name, value in zip(node.input, inputs, strict=False) if name and value is not None
    }


def inferred(
    node: NodeProto, inputs: Sequence[Value | None], file: OnnxFile
) -> Mapping[str, TypeProto | None]:
    """The types of the outputs, by name. A type is None where inference does not know the operator or
    fails.
    """
    from onnx import OperatorSetIdProto, defs, numpy_helper, shape_inference

    unknown: dict[str, TypeProto | None] = {name: None for name in node.output if name}
    domain = domain_of(node.domain)
    if domain not in file.opsets:
        return unknown
    try:
        schema = defs.get_schema(node.op_type, file.opsets[domain], domain)
    except Exception:
        return unknown
    known = _by_name(node, inputs)
    types = {name: type_of(value) for name, value in known.items()}
    data = {
        name: numpy_helper.from_array(value.data.copy(), name)
        for name, value in known.items()
        if value.data is not None
    }
    opsets = [OperatorSetIdProto(domain=name, version=version) for name, version in file.opsets.items()]
    try:
        found = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=opsets, ir_version=file.ir_version
        )
    except Exception:
        return unknown
    return unknown | dict(found)
