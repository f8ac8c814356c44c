"""`model.py` and `model.py:name`: a model in a Python file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from addercost.errors import ModelError
from addercost.sources.kind import LoadedModel, SpecKind, require_file

if TYPE_CHECKING:
    from torch import nn

    from addercost.trace.inputs import ModelInputs


_LARGEST_BYTES = 1 << 26
"""The largest Python file, since files are read whole."""


def _split(spec: str) -> tuple[str, str]:
    """(file, name within it or "")."""
    file, _, name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
    return file, name


def _recognises(spec: str) -> bool:
    return _split(spec)[0].endswith(".py")


def _load(spec: str) -> LoadedModel:
    from addercost.sources.build import build, import_path
    from addercost.sources.candidates import model_and_inputs
    from addercost.sources.data_free import DataFree

    path, name = _split(spec)
    file = Path(path)
    require_file(file, _LARGEST_BYTES)
    folder = file.resolve().parent

    def make() -> tuple[nn.Module, ModelInputs | None]:
        with import_path(folder):
            return model_and_inputs(_execute(file), name, str(file))

    data_free = DataFree(keeps_calls=True)
    model, inputs = build(make, str(file), data_free)
    title = f"{file.stem}:{name}" if name else file.stem
    return LoadedModel(
        title,
        model,
        inputs,
        rebuild=lambda: data_free.copied_with_values(model),
        with_values=data_free.with_values,
        folder=folder,
    )


def _execute(file: Path) -> ModuleType:
    """Runs the file as a module that is not named __main__."""
    module_name = f"_addercost_model_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look modules up by name.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (UnicodeDecodeError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError) or "null byte" in str(error):
            raise ModelError(f"{file} is not Python source: {error}") from error
        raise
    return module


PYTHON_FILE = SpecKind(
    name="python_file",
    form="model.py, model.py:name",
    summary="a Python file: its only model, the one called `model`, or the one named",
    recognises=_recognises,
    load_model=_load,
    suffixes=(".py",),
)
