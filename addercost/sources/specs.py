"""SPEC → model: a file, an importable name, the zoo, torchvision, or an exported program."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from addercost.arithmetic import Arithmetic, arithmetic_named
from addercost.errors import ArgumentError, ModelError, unknown_name
from addercost.sources.candidates import pick
from addercost.sources.build import build, build_real, import_path
from addercost.trace.inputs import ModelInputs, as_inputs

SPEC_FORMS = (
    "model.py, model.py:name, package.module:name, zoo:lenet5-bn[:adder], torchvision:resnet50, "
    "program.pt2 or trace.json"
)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to trace.

    inputs: those it came with, if any. rebuild: makes it again with real weights. folder: where its code is,
    from which its forward may import more.
    """

    name: str
    model: nn.Module
    inputs: ModelInputs | None = None
    rebuild: Callable[[], nn.Module] | None = None
    folder: Path = Path()


def load_model(spec: str) -> LoadedModel:
    """Loads a model by SPEC; no weight is allocated. Raises ModelError or ArgumentError."""
    kind, colon, rest = spec.partition(":")
    if colon and kind == "zoo":
        return _from_zoo(rest)
    if colon and kind == "torchvision":
        return _from_torchvision(rest)
    if spec.endswith(".pt2"):
        return _from_export(Path(spec))
    file, _, name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
    if file.endswith(".py"):
        return _from_file(Path(file), name)
    if "/" in spec or "\\" in spec or Path(spec).exists():
        raise ModelError(f"cannot read a model from {spec}", f"SPEC is one of {SPEC_FORMS}")
    return _from_package(kind, rest if colon else "")


def _from_zoo(text: str) -> LoadedModel:
    from addercost.models.zoo import ZOO

    name, _, suffix = text.partition(":")
    if name not in ZOO:
        raise unknown_name("zoo model", name, ZOO)
    arithmetic = arithmetic_named(suffix) if suffix else Arithmetic.MAC
    entry = ZOO[name]

    def make() -> nn.Module:
        return entry.build(arithmetic)

    return LoadedModel(text, build(make, f"zoo:{text}"), _one_image(entry.input_shape), make)


def _one_image(shape: tuple[int, ...]) -> ModelInputs:
    import torch

    return ModelInputs((torch.empty(shape, device="meta"),))


def _from_torchvision(name: str) -> LoadedModel:
    from addercost.sources.torchvision_models import image_shape, list_models, make_model

    if name not in list_models():
        raise unknown_name("torchvision model", name, list_models())

    def make() -> nn.Module:
        return make_model(name)

    return LoadedModel(name, build(make, f"torchvision:{name}"), _one_image(image_shape(name)), make)


def _from_file(file: Path, name: str) -> LoadedModel:
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "does not exist"
        raise ModelError(f"{file} {problem}", f"SPEC is one of {SPEC_FORMS}")

    def make() -> tuple[nn.Module, ModelInputs | None]:
        with import_path(file.resolve().parent):
            return _picked(_execute(file), name, str(file))

    model, inputs = build(make, str(file))
    title = f"{file.stem}:{name}" if name else file.stem
    return LoadedModel(title, model, inputs, lambda: build_real(make)[0], file.resolve().parent)


def _execute(file: Path) -> ModuleType:
    """Runs the file as a module of its own, not as __main__."""
    module_name = f"_addercost_model_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look their module up by name.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (UnicodeDecodeError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError) or "null byte" in str(error):
            raise ModelError(f"{file} is not Python source: {error}") from error
        raise
    return module


def _from_package(module_name: str, name: str) -> LoadedModel:
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ArgumentError(f"{module_name!r} is not a model", f"SPEC is one of {SPEC_FORMS}")

    def make() -> tuple[nn.Module, ModelInputs | None]:
        with import_path(Path.cwd()):
            try:
                module = importlib.import_module(module_name)
            except ModuleNotFoundError as error:
                if error.name is None or not (module_name + ".").startswith(error.name + "."):
                    raise
                raise ModelError(
                    f"no file and no module is called {module_name}", f"SPEC is one of {SPEC_FORMS}"
                ) from error
            return _picked(module, name, module_name)

    spec = f"{module_name}:{name}" if name else module_name
    model, inputs = build(make, spec)
    return LoadedModel(name or module_name, model, inputs, lambda: build_real(make)[0])


def _picked(module: ModuleType, name: str, where: str) -> tuple[nn.Module, ModelInputs | None]:
    model = pick(module, name, where)
    example: Any = getattr(module, "example_inputs", None)
    return model, None if example is None else as_inputs(example, where)


def _from_export(file: Path) -> LoadedModel:
    if not file.is_file():
        raise ModelError(f"{file} does not exist", f"SPEC is one of {SPEC_FORMS}")
    from addercost.sources.exported import load_exported

    model, inputs = load_exported(file)
    return LoadedModel(file.stem, model, inputs, None)
