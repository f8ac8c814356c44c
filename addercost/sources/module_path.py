"""`package.module:name`: a model in a module that Python can import."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from addercost.sources.kind import LoadedModel, NoSuchModelError, SpecKind

if TYPE_CHECKING:
    from torch import nn

    from addercost.trace.inputs import ModelInputs


def _recognises(spec: str) -> bool:
    """Whether a SPEC is a dotted name. All other kinds are asked first, since `zoo:resnet18` could be a
    module as well.
    """
    module_name = spec.partition(":")[0]
    is_name = all(part.isidentifier() for part in module_name.split("."))
    return is_name and not ("/" in spec or "\\" in spec or _exists(spec))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:  # The name is too long for the file system.
        return False


def _load(spec: str) -> LoadedModel:
    from addercost.sources.build import build, import_path
    from addercost.sources.candidates import model_and_inputs
    from addercost.sources.data_free import DataFree

    module_name, _, name = spec.partition(":")

    def make() -> tuple[nn.Module, ModelInputs | None]:
        with import_path(Path.cwd()):
            try:
                module = importlib.import_module(module_name)
            except ModuleNotFoundError as error:
                if error.name is None or not (module_name + ".").startswith(error.name + "."):
                    raise
                raise NoSuchModelError(f"no file and no module is called {module_name}") from error
            return model_and_inputs(module, name, module_name)

    data_free = DataFree(keeps_calls=True)
    model, inputs = build(make, f"{module_name}:{name}" if name else module_name, data_free)
    return LoadedModel(
        name or module_name,
        model,
        inputs,
        rebuild=lambda: data_free.copied_with_values(model),
        with_values=data_free.with_values,
    )


MODULE_PATH = SpecKind(
    name="module_path",
    form="package.module:name",
    summary="a model of an installed package or of a package in this folder",
    recognises=_recognises,
    load_model=_load,
)
