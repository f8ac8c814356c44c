"""Models of the zoo and of torchvision whose names fit a shell pattern, as a space."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from addercost.errors import unknown_name
from addercost.sweep.spaces.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn


def named_models(collection: str, pattern: str) -> Sequence[Architecture]:
    """pattern: such as `resnet*`, and for the zoo `lenet*:adder`. Raises ArgumentError where no name fits."""
    if collection == "zoo":
        from addercost.models.zoo import ZOO

        known: Iterable[str] = ZOO
    else:
        from addercost.sources.torchvision_models import list_models

        known = list_models()
    name, _, _ = pattern.partition(":")
    found = [item for item in known if fnmatch.fnmatchcase(item, name)]
    if not found:
        raise unknown_name(f"{collection} model", name, known)
    return [_architecture(f"{collection}:{item}{pattern[len(name) :]}") for item in found]


def _architecture(spec: str) -> Architecture:
    def make() -> nn.Module:
        from addercost.sources.specs import load_model

        return load_model(spec).model

    def make_whole() -> nn.Module:
        from addercost.sources.specs import load_model

        loaded = load_model(spec)
        return loaded.rebuild() if loaded.rebuild is not None else loaded.model

    def inputs(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        import torch

        return (torch.empty(_shape(spec, batch), device="meta"),), {}

    return Architecture(spec.partition(":")[2], make, inputs, make_whole=make_whole)


def _shape(spec: str, batch: int) -> tuple[int, ...]:
    collection, _, name = spec.partition(":")
    if collection == "zoo":
        from addercost.models.zoo import ZOO

        shape = ZOO[name.partition(":")[0]].input_shape
    else:
        from addercost.sources.torchvision_models import image_shape

        shape = image_shape(name)
    return (shape[0] * batch, *shape[1:])
