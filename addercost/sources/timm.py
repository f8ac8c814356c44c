"""`timm:resnet50.a1_in1k`: a model of timm, without pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from addercost.sources.kind import Catalogue, LoadedModel, SpecKind

if TYPE_CHECKING:
    from torch import nn

PREFIX = "timm:"


def _load(spec: str) -> LoadedModel:
    from addercost.sources.build import build
    from addercost.sources.timm_models import check_name, image_shape, make_model
    from addercost.trace.inputs import one_image

    name = spec.removeprefix(PREFIX)
    check_name(name)

    def make() -> nn.Module:
        return make_model(name)

    return LoadedModel(name, build(make, spec), one_image(image_shape(name)), make)


def _names() -> Sequence[str]:
    from addercost.sources.timm_models import architectures

    return architectures()


def _input_shape(name: str) -> tuple[int, ...]:
    from addercost.sources.timm_models import image_shape

    return image_shape(name)


def _complete(incomplete: str) -> Iterable[str]:
    from addercost.sources.registered_names import completions

    return completions(PREFIX, incomplete)


TIMM_MODEL = SpecKind(
    name="timm",
    form="timm:resnet50.a1_in1k",
    summary="a model of timm by its name, with or without a tag; nothing is downloaded",
    recognises=lambda spec: spec.startswith(PREFIX),
    load_model=_load,
    complete=_complete,
    catalogue=Catalogue(_names, _input_shape),
)
