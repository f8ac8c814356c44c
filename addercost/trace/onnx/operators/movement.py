"""Operators that compute nothing: views, copies, selections, constants."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.trace.onnx.node import VIEW, OnnxNode
from addercost.trace.onnx.operators.registry import translates
from addercost.trace.record import ArgValue, OpCall

VIEWS = {
    "Reshape": "view", "Flatten": "view", "Squeeze": "squeeze", "Unsqueeze": "unsqueeze",
    "Transpose": "permute", "Identity": "alias", "Dropout": "alias", "Expand": "expand", "Split": "split",
    "Slice": "slice", "BitCast": "view",
}  # fmt: skip
"""In torch their outputs share memory with the input. So do those of slices of step 1 and of splits."""

_COPIES = {
    "Concat": "cat", "Tile": "repeat", "Pad": "constant_pad_nd", "DepthToSpace": "pixel_shuffle",
    "SpaceToDepth": "pixel_unshuffle", "Trilu": "triu", "Compress": "masked_select",
    "ReverseSequence": "flip", "CenterCropPad": "constant_pad_nd", "Col2Im": "col2im",
    "MaxUnpool": "max_unpool2d", "TensorScatter": "index_copy",
}  # fmt: skip
_MADE = {
    "Constant": "full", "ConstantOfShape": "full", "Range": "arange", "EyeLike": "eye", "OneHot": "full",
    "Shape": "sym_size", "Size": "sym_numel",
}  # fmt: skip
_LOOKUPS = {"Gather": "index_select", "GatherElements": "gather", "GatherND": "index"}


@translates(*VIEWS)
def view(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{VIEWS[node.op]}.default", {"self": node.tensor(0)}, tags=(VIEW,))


@translates(*_COPIES)
def copied(node: OnnxNode) -> Iterator[OpCall]:
    values = tuple(value.spec for value in node.given())
    argument: ArgValue = values if node.op == "Concat" else values[0]
    yield node.call(
        f"aten.{_COPIES[node.op]}.default", {"tensors" if node.op == "Concat" else "self": argument}
    )


@translates(*_MADE)
def made(node: OnnxNode) -> Iterator[OpCall]:
    yield node.call(f"aten.{_MADE[node.op]}.default", {})


@translates(*_LOOKUPS)
def looked_up(node: OnnxNode) -> Iterator[OpCall]:
    """A row of a table of parameters is an embedding."""
    table, indices = node.tensor(0), node.tensor(1)
    if node.op == "Gather" and table.role == "parameter" and len(table.shape) == 2:
        yield node.call("aten.embedding.default", {"weight": table, "indices": indices})
    else:
        yield node.call(f"aten.{_LOOKUPS[node.op]}.default", {"self": table, "index": indices})


@translates("ScatterND", "ScatterElements", "Scatter")
def scattered(node: OnnxNode) -> Iterator[OpCall]:
    reduction = str(node.attributes.get("reduction", "none"))
    arguments: dict[str, ArgValue] = {
        "self": node.tensor(0),
        "index": node.tensor(1),
        "src" if node.op != "ScatterND" else "values": node.tensor(2),
    }
    if reduction == "none":
        name = "index_put" if node.op == "ScatterND" else "scatter"
        yield node.call(f"aten.{name}.default", arguments)
        return
    source = node.tensor(2)
    kind = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}.get(reduction, "sum")
    yield node.call("aten.index_reduce.default", {"self": node.tensor(0), "source": source, "reduce": kind})


COMPUTES_NOTHING = frozenset((*VIEWS, *_COPIES, *_MADE, *_LOOKUPS, "Where", "Cast", "CastLike"))
"""Operators that move or select values, whatever the sizes."""
