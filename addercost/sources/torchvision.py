"""`torchvision:resnet50`: a model of torchvision, without pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from addercost.errors import unknown_name
from addercost.sources.kind import Catalogue, LoadedModel, SpecKind

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torchvision:"


def _load(spec: str) -> LoadedModel:
    from addercost.sources.build import build
    from addercost.sources.torchvision_models import image_shape, list_models, make_model
    from addercost.trace.inputs import one_image

    name = spec.removeprefix(PREFIX)
    if name not in list_models():
        raise unknown_name("torchvision model", name, list_models())

    def make() -> nn.Module:
        return make_model(name)

    return LoadedModel(name, build(make, spec), one_image(image_shape(name)), make)


def _names() -> Sequence[str]:
    from addercost.sources.torchvision_models import list_models

    return list_models()


def _input_shape(name: str) -> tuple[int, ...]:
    from addercost.sources.torchvision_models import image_shape

    return image_shape(name)


def _published_gmacs(name: str) -> float | None:
    from addercost.sources.torchvision_models import published_operations

    return published_operations(name)


def _complete(incomplete: str) -> Iterable[str]:
    """The prefix alone: to list the models takes seconds, for which no shell should wait."""
    return [PREFIX] if PREFIX.startswith(incomplete) else []


TORCHVISION_MODEL = SpecKind(
    name="torchvision",
    form="torchvision:resnet50",
    summary="a model of torchvision by its name, without pretrained weights",
    recognises=lambda spec: spec.startswith(PREFIX),
    load_model=_load,
    complete=_complete,
    catalogue=Catalogue(_names, _input_shape, _published_gmacs),
)
