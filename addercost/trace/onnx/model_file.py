"""Reads an ONNX file: its graph, with functions inlined. Weights in other files are not needed and
not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from addercost.errors import ArgumentError, DataError
from addercost.text import error_text

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto

LARGEST_BYTES = 1 << 31
"""The largest protocol buffer. A larger model keeps its weights in other files."""

DOMAIN = ""
"""The name of the standard's own operators. `ai.onnx` is another name for it."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """An ONNX model. opsets: for each domain, the version of its operators that the graph uses."""

    graph: GraphProto
    opsets: Mapping[str, int]
    ir_version: int
    producer: str


def domain_of(name: str) -> str:
    return DOMAIN if name == "ai.onnx" else name


def read_onnx(path: Path) -> OnnxFile:
    """Reads a file. Raises ArgumentError without the package `onnx`, and DataError for a file that is not an
    ONNX model.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise ArgumentError(f"{path} needs the package onnx", "pip install 'addercost[onnx]'") from None
    try:
        size = path.stat().st_size
        if not path.is_file() or size >= LARGEST_BYTES:
            raise DataError(f"{path} is no ONNX file", "a file of less than 2 GiB is expected")
        model: ModelProto = onnx.load(str(path), load_external_data=False)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:
        # The parser's exceptions have no common base class.
        text = error_text(error)[:200]
        raise DataError(f"{path} is not an ONNX model: {text}", "export it again") from error
    if not model.HasField("graph") or not model.graph.node:
        raise DataError(f"{path} has no graph", "export it again")
    if model.functions:
        model = _inlined(model, path)
    opsets = {domain_of(entry.domain): entry.version for entry in model.opset_import}
    if DOMAIN not in opsets:
        raise DataError(f"{path}: opset_import names no version of the ONNX operators", "export it again")
    newest = onnx.defs.onnx_opset_version()
    if opsets[DOMAIN] > newest:
        raise DataError(
            f"{path} is written in opset {opsets[DOMAIN]}; the installed onnx {onnx.__version__} knows "
            f"those up to {newest}",
            "pip install --upgrade onnx",
        )
    return OnnxFile(model.graph, opsets, model.ir_version, model.producer_name)


def _inlined(model: ModelProto, path: Path) -> ModelProto:
    import onnx.inliner

    names: list[FunctionProto] = list(model.functions)
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:
        raise DataError(
            f"{path}: its {len(names)} functions cannot be inlined: {error_text(error)[:200]}",
            "export it again",
        ) from error
