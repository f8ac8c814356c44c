"""`torchvision:resnet50`: a model of torchvision, without pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from addercost.errors import unknown_name
from addercost.sources.kind import Catalogue, LoadedModel, SpecKind

if TYPE_CHECKING:
    from torch import nn

    from addercost.trace.inputs import ModelInputs

PREFIX = "torchvision:"
QUANTIZATION = "quantization"

_BOXES_FOUND = (
    "what follows the boxes depends on how many are found, here with random weights: trained ones may find "
    "others",
)


def _load(spec: str) -> LoadedModel:
    from addercost.sources.build import build
    from addercost.sources.torchvision_inputs import DETECTION, OPTICAL_FLOW, inputs_of
    from addercost.sources.torchvision_models import (
        image_shape,
        keypoints_of,
        list_models,
        make_model,
        seeded,
        task_of,
    )
    from addercost.trace.inputs import one_image

    name = spec.removeprefix(PREFIX)
    if name not in list_models():
        raise unknown_name("torchvision model", name, list_models())
    task, shape = task_of(name), image_shape(name)

    def make() -> nn.Module:
        return make_model(name)

    if task == QUANTIZATION:
        # Quantised weights need values when they are packed.
        return LoadedModel(name, seeded(make), one_image(shape), lambda: seeded(make))
    model = build(make, spec)
    if task not in (DETECTION, OPTICAL_FLOW):
        return LoadedModel(name, model, one_image(shape), make)

    def inputs_for(batch: int, training: bool) -> ModelInputs:
        return inputs_of(task, shape, batch, training, keypoints_of(model))

    return LoadedModel(
        name,
        model,
        inputs_for(1, False),
        lambda: seeded(make),
        inputs_for=inputs_for,
        notes=_BOXES_FOUND if task == DETECTION else (),
    )


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
    from addercost.sources.registered_names import completions

    return completions(PREFIX, incomplete)


TORCHVISION_MODEL = SpecKind(
    name="torchvision",
    form="torchvision:resnet50",
    summary="a model of torchvision by its name, without pretrained weights",
    recognises=lambda spec: spec.startswith(PREFIX),
    load_model=_load,
    complete=_complete,
    catalogue=Catalogue(_names, _input_shape, _published_gmacs),
)
