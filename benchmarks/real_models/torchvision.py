"""Networks of torchvision for images, segmentation and video."""

from __future__ import annotations

import importlib

import torch

from benchmarks.real_models.case import Case, Make, image, named

_SIZES = {"inception_v3": 299, "swin_v2_t": 256}
_IMAGES = (
    "alexnet", "vgg16", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121",
    "squeezenet1_1", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large", "mnasnet1_0",
    "shufflenet_v2_x1_0", "efficientnet_b0", "efficientnet_v2_s", "regnet_y_800mf", "convnext_tiny",
    "vit_b_16", "swin_t", "swin_v2_t", "maxvit_t",
)  # fmt: skip


def _of_images(name: str) -> Case:
    from addercost.sources.torchvision_models import make_model

    return Case(make_model(name), (image(_SIZES.get(name, 224)),))


def _of_segmentation(name: str) -> Case:
    models = importlib.import_module("torchvision.models.segmentation")
    return Case(getattr(models, name)(weights=None, weights_backbone=None), (image(256),))


def _of_video(name: str) -> Case:
    models = importlib.import_module("torchvision.models.video")
    return Case(getattr(models, name)(weights=None), (torch.rand(1, 3, 8, 112, 112),))


def cases() -> dict[str, Make]:
    return {
        **named(_IMAGES, _of_images),
        **named(("deeplabv3_resnet50", "lraspp_mobilenet_v3_large"), _of_segmentation),
        **named(("r3d_18",), _of_video),
    }
