"""Networks of segmentation-models-pytorch, each with a small encoder."""

from __future__ import annotations

import importlib

from benchmarks.real_models.case import Case, Make, image, named

_ENCODERS = {
    "Unet": "resnet18",
    "UnetPlusPlus": "resnet18",
    "MAnet": "resnet18",
    "Linknet": "resnet18",
    "FPN": "mobilenet_v2",
    "PSPNet": "resnet18",
    "PAN": "resnet18",
    "DeepLabV3": "resnet18",
    "DeepLabV3Plus": "resnet18",
    "UPerNet": "resnet18",
    "Segformer": "mit_b0",
}


def _made(name: str) -> Case:
    package = importlib.import_module("segmentation_models_pytorch")
    return Case(getattr(package, name)(_ENCODERS[name], encoder_weights=None), (image(256),))


def cases() -> dict[str, Make]:
    return named(_ENCODERS, _made)
