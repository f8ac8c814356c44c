"""Finds the model and its inputs among the objects of a Python module."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import nn

from addercost.errors import ModelError, unknown_name
from addercost.trace.inputs import ModelInputs, as_inputs

_FACTORY_NAME = re.compile(r"(?:build|make|create|get)(?:_\w+)?|model|net|network")


def model_and_inputs(module: ModuleType, name: str, where: str) -> tuple[nn.Module, ModelInputs | None]:
    """The model of a Python module as `pick` finds it, and its `example_inputs` if it has any."""
    model = pick(module, name, where)
    example: Any = getattr(module, "example_inputs", None)
    return model, None if example is None else as_inputs(example, where)


def pick(module: ModuleType, name: str, where: str) -> nn.Module:
    """The object called `name`. Without a name: `model`, else the only model, else the only class or factory.

    A class or factory is called without arguments. Raises ModelError listing the candidates.
    """
    if name:
        return _made(_attribute(module, name, where), name, where)
    chosen = getattr(module, "model", None)
    if chosen is not None and (isinstance(chosen, nn.Module) or callable(chosen)):
        return _made(chosen, "model", where)
    instances = {key: value for key, value in _own(module) if isinstance(value, nn.Module)}
    makers = {key: value for key, value in _own(module) if _makes_models(value, module)}
    ready = instances or {key: value for key, value in makers.items() if not _required(value)}
    if len(ready) == 1:
        ((key, value),) = ready.items()
        return _made(value, key, where)
    if ready:
        raise ModelError(
            f"{where} has {len(ready)} models: {_listed(ready)}",
            f"name one, as {where}:{next(iter(ready))}, or assign it to `model`",
        )
    if makers:
        key, value = next(iter(makers.items()))
        needs = "; ".join(f"{k} needs {', '.join(_required(v))}" for k, v in list(makers.items())[:8])
        raise ModelError(
            f"no model in {where} can be made without arguments: {needs}",
            f"add a line such as `model = {key}({', '.join(f'{p}=…' for p in _required(value))})`",
        )
    raise ModelError(f"no model in {where}", "it needs an nn.Module, best under the name `model`")


def _attribute(module: ModuleType, name: str, where: str) -> Any:
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise ModelError(
                str(unknown_name("name", name, [key for key, _ in _own(module)])) + f" in {where}"
            )
        value = getattr(value, part)
    return value


def _own(module: ModuleType) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in vars(module).items() if not key.startswith("_")]


def _makes_models(value: Any, module: ModuleType) -> bool:
    """Whether a value is a model class or a factory of models that this file defines."""
    if getattr(value, "__module__", None) != module.__name__:
        return False
    if inspect.isclass(value):
        return issubclass(value, nn.Module)
    if not inspect.isfunction(value):
        return False
    annotation = value.__annotations__.get("return")
    if inspect.isclass(annotation):
        return issubclass(annotation, nn.Module)
    if isinstance(annotation, str):
        returned = getattr(
            module, annotation.removeprefix("nn."), getattr(nn, annotation.split(".")[-1], None)
        )
        return inspect.isclass(returned) and issubclass(returned, nn.Module)
    # Without an annotation a function is called only if its name promises a model: it could be train().
    return annotation is None and bool(_FACTORY_NAME.fullmatch(value.__name__))


def _required(maker: Callable[..., Any]) -> list[str]:
    """The names of the arguments without defaults."""
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind not in kinds
    ]


def _listed(names: dict[str, Any]) -> str:
    shown = list(names)[:12]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _made(value: Any, name: str, where: str) -> nn.Module:
    if isinstance(value, nn.Module):
        return value
    if not callable(value):
        raise ModelError(f"{name} in {where} is a {type(value).__name__}, not a model")
    needed = _required(value)
    if needed:
        raise ModelError(
            f"{name} in {where} needs arguments: {', '.join(needed)}",
            f"add a line such as `model = {name}({', '.join(f'{p}=…' for p in needed)})`",
        )
    made = value()
    if not isinstance(made, nn.Module):
        raise ModelError(f"{name}() in {where} returns a {type(made).__name__}, not an nn.Module")
    return made
