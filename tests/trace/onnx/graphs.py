"""Small ONNX graphs for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL, UINT8, INT8 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.UINT8,
    TensorProto.INT8,
)
OPSET = 21


def node(op: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> onnx.NodeProto:
    """inputs, outputs: names between blanks; `-` is an optional one that is left out."""
    return helper.make_node(
        op,
        ["" if name == "-" else name for name in inputs.split()],
        outputs.split(),
        domain=domain,
        **attributes,
    )


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: str = "y",
    constants: Mapping[str, Any] | None = None,
    types: Mapping[str, int] | None = None,
) -> onnx.GraphProto:
    """inputs: shapes by name, with texts for open sizes. constants: arrays, or shapes of fp32 weights."""
    types = types or {}
    initializers = []
    for name, value in (constants or {}).items():
        array = value if isinstance(value, np.ndarray) else np.ones(value, dtype=np.float32)
        initializers.append(numpy_helper.from_array(array, name))
    return helper.make_graph(
        list(nodes),
        "graph",
        [
            helper.make_tensor_value_info(name, types.get(name, FLOAT), shape)
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, types.get(name, FLOAT), None) for name in outputs.split()],
        initializers,
    )


def saved(graph: onnx.GraphProto, folder: Path, opset: int = OPSET, **model: Any) -> str:
    """The path of a file that has the graph."""
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10, **model), str(path))
    return str(path)


def integers(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64)
