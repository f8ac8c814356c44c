"""`torch.export` archives: the graph back as modules, with the paths and classes it was exported from."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from addercost.errors import DataError
from addercost.trace.inputs import ModelInputs


def load_exported(file: Path) -> tuple[nn.Module, ModelInputs | None]:
    """The program as a module tree, and the inputs it was exported with. Raises DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(file)
            model = torch.export.unflatten(program)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise DataError(
            f"{file} is not an exported program: {type(error).__name__}: {text}",
            "make it with torch.export.save(torch.export.export(model, inputs), file)",
        ) from error
    _restore_types(model, program)
    inputs: Any = program.example_inputs
    return model, ModelInputs(tuple(inputs[0]), dict(inputs[1])) if inputs else None


def _restore_types(model: nn.Module, program: torch.export.ExportedProgram) -> None:
    """Unflattened modules are all of one class; the graph remembers each one's own."""
    types: dict[str, str] = {}
    for node in program.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            name = kind if isinstance(kind, str) else getattr(kind, "__qualname__", str(kind))
            types[path] = name.rpartition(".")[2]
    for path, module in model.named_modules():
        if path in types:
            module.__dict__["_addercost_type"] = types[path]
