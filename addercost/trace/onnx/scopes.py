"""Which module a node belongs to. torch's newer exporter writes it into the node's metadata, the older one
into the node's name.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto

_SCOPES, _CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"


def modules_of(node: NodeProto) -> list[tuple[str, str]]:
    """(path, class or "") of the modules around a node, the outermost first, without the root.

    A node without a scope counts as a module with its own name. A node without a name is in no module.
    """
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    paths, classes = _listed(metadata.get(_SCOPES)), _listed(metadata.get(_CLASSES))
    if paths:
        # The last scope is the operator itself.
        kinds = [*classes, *[""] * len(paths)]
        return [
            (path, kind.rpartition(".")[2]) for path, kind in zip(paths[:-1], kinds, strict=False) if path
        ]
    path = path_in_name(node.name)
    ends = [i for i, character in enumerate(path) if character == "."]
    return [(path[:end], "") for end in [*ends, len(path)] if path]


def path_in_name(name: str) -> str:
    """The path in a node's name: `layer1.0.conv1` for `/layer1/layer1.0/conv1/Conv`. A part that repeats the
    one before it continues a container's path.
    """
    *parts, _ = name.strip("/").split("/")
    if not parts:
        return name.strip("/")
    path: list[str] = []
    for i, part in enumerate(parts):
        if i and part.startswith(parts[i - 1] + "."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def _listed(text: str | None) -> Sequence[str]:
    """A Python list of strings in the exporter's notation. Empty for anything else."""
    if not text or len(text) > 1 << 16:
        return ()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else ()
