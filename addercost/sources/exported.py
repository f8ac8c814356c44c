"""`program.pt2`: a `torch.export` archive, as modules with the paths and classes it was exported from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.errors import DataError
from addercost.sources.exported_archive import check_archive
from addercost.sources.kind import LoadedModel, NoSuchModelError, SpecKind
from addercost.text import error_text

if TYPE_CHECKING:
    import torch
    from torch import nn

SUFFIX = ".pt2"


def _load(spec: str) -> LoadedModel:
    """The program as a module tree, and the inputs it was exported with. Raises DataError."""
    import torch

    from addercost.trace.inputs import ModelInputs

    file = Path(spec)
    if not file.is_file():
        raise NoSuchModelError(f"{file} does not exist")
    try:
        # The file is opened once, so torch reads what was checked even if another file takes its place.
        with file.open("rb") as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_archive(file, opened)
            opened.seek(0)
            with _no_log("torch.export"):
                program = torch.export.load(opened)
                model = torch.export.unflatten(program)
    except DataError:
        raise
    except Exception as error:
        text = error_text(error)[:300]
        raise DataError(
            f"{file} is not an exported program: {type(error).__name__}: {text}",
            "make it with torch.export.save(torch.export.export(model, inputs), file)",
        ) from error
    _restore_types(model, program)
    examples: Any = program.example_inputs
    inputs = ModelInputs(tuple(examples[0]), dict(examples[1])) if examples else None
    return LoadedModel(file.stem, model, inputs)


@contextmanager
def _no_log(name: str) -> Iterator[None]:
    """torch logs the traceback of an error that it raises as well."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _restore_types(model: nn.Module, program: torch.export.ExportedProgram) -> None:
    """Gives each module the class name it was exported from: unflattening makes all of one class."""
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
