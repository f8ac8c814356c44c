"""timm's models by name, without pretrained weights. Nothing is downloaded."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from torch import nn

from addercost.errors import ModelError, unknown_name
from addercost.sources.torchvision_models import make_importable


@functools.cache
def _timm() -> Any:
    make_importable()
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ModelError("timm is not installed", "pip install 'addercost[timm]'") from error


@functools.cache
def architectures() -> tuple[str, ...]:
    """Every architecture that timm can build, without tags."""
    return tuple(_timm().list_models())


def check_name(name: str) -> None:
    """Checks a name: an architecture (`resnet50`), or an architecture with the tag of its weights
    (`resnet50.a1_in1k`).

    A tag names the configuration with which those weights were trained. It may change the size of the image
    and the number of classes. Raises ArgumentError for a name that timm does not have.
    """
    architecture, _, tag = name.partition(".")
    if architecture not in architectures():
        raise unknown_name("timm model", name, architectures())
    tagged = _timm().models.get_arch_pretrained_cfgs(architecture)
    if tag and name not in tagged:
        raise unknown_name("timm model", name, (architecture, *tagged))


def make_model(name: str) -> nn.Module:
    """The model of that name with weights as its constructor makes them."""
    model: nn.Module = _timm().create_model(name, pretrained=False)
    return model


def image_shape(name: str) -> tuple[int, ...]:
    """The shape of the input in the name's configuration, with a batch of one; 224² pixels where timm has no
    configuration.
    """
    found = _timm().get_pretrained_cfg(name)
    return (1, *(found.input_size if found is not None else (3, 224, 224)))
