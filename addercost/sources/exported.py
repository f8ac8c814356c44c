"""`program.pt2`: a `torch.export` archive, as modules with the paths and classes it was exported from."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from addercost.errors import DataError
from addercost.sources.exported_archive import read_program
from addercost.sources.kind import TRUST, LoadedModel, SpecKind, require_file
from addercost.text import error_text

if TYPE_CHECKING:
    import torch
    from torch import nn

    from addercost.trace.inputs import ModelInputs

SUFFIX = ".pt2"


def _load(spec: str) -> LoadedModel:
    """The program as modules without data, and inputs like those of its export. Raises DataError."""
    file = Path(spec)
    require_file(file)

    def with_values() -> nn.Module:
        with _reading(file):
            return _modules(_program(file, with_values=True))

    with _reading(file):
        program = _program(file, with_values=False)
        return LoadedModel(file.stem, _modules(program), _inputs(program), rebuild=with_values)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turns the errors that torch and zipfile raise for a damaged file, which are of many classes, into
    one.
    """
    try:
        with warnings.catch_warnings(), _no_log("torch.export"):
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Exception as error:
        text = error_text(error)[:300]
        raise DataError(
            f"{file} is not an exported program: {type(error).__name__}: {text}",
            "make it with torch.export.save(torch.export.export(model, inputs), file)",
        ) from error


def _program(file: Path, with_values: bool) -> torch.export.ExportedProgram:
    import torch

    with file.open("rb") as opened:
        if os.environ.get(TRUST) == "1":
            return torch.export.load(opened)
        return read_program(file, opened, with_values)


def _modules(program: torch.export.ExportedProgram) -> nn.Module:
    import torch

    model = torch.export.unflatten(program)
    _restore_types(model, program)
    return model


def _inputs(program: torch.export.ExportedProgram) -> ModelInputs:
    """The arguments of the graph: tensors without data, with the sizes that they had in the export."""
    import torch
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils._pytree import tree_unflatten

    from addercost.trace.inputs import ModelInputs

    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    flat = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            value = spec.arg.value if isinstance(spec.arg, ConstantArgument) else values[spec.arg.name]
            if isinstance(value, torch.Tensor):
                sizes = [int(size) for size in value.shape]
                value = torch.empty(sizes, dtype=value.dtype, device="meta")
            flat.append(value)
    arguments, named = tree_unflatten(flat, program.call_spec.in_spec)
    return ModelInputs(tuple(arguments), dict(named))


@contextmanager
def _no_log(name: str) -> Iterator[None]:
    """Turns off torch's log inside the block. torch logs the traceback of errors that it raises."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _restore_types(model: nn.Module, program: torch.export.ExportedProgram) -> None:
    """Gives each module the name of the class that it was exported from. torch's unflattening gives all
    modules one class.
    """
    types: dict[str, str] = {}
    for node in program.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            name = kind if isinstance(kind, str) else getattr(kind, "__qualname__", str(kind))
            types[path] = name.rpartition(".")[2]
    for path, module in model.named_modules():
        if path in types:
            module.__dict__["_addercost_type"] = types[path]


EXPORTED = SpecKind(
    name="exported",
    form="program.pt2",
    summary="a torch.export archive",
    recognises=lambda spec: spec.endswith(SUFFIX),
    load_model=_load,
    suffixes=(SUFFIX,),
)
