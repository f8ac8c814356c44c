"""Networks of MONAI for medical images in two and three dimensions.

Some state their widths only where they are made (`ours`); the others have their defaults.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.real_models.case import Case, Make

_PLANE = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
_SPACE = {**_PLANE, "spatial_dims": 3}
_STEPS = {"channels": (16, 32, 64, 128, 256), "strides": (2, 2, 2, 2)}
_KERNELS = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}


def _made(name: str, shape: tuple[int, ...], settings: Mapping[str, Any], ours: bool = False) -> Case:
    nets = importlib.import_module("monai.networks.nets")
    return Case(getattr(nets, name)(**settings), (torch.rand(1, 1, *shape),), ours=ours)


def cases() -> dict[str, Make]:
    make = functools.partial
    plane, space = (128, 128), (32, 32, 32)
    unetr = {"in_channels": 1, "out_channels": 2, "img_size": space}
    return {
        "UNet": make(_made, "UNet", plane, {**_PLANE, **_STEPS}, ours=True),
        "UNet 3-D": make(_made, "UNet", space, {**_SPACE, **_STEPS}, ours=True),
        "BasicUNet": make(_made, "BasicUNet", plane, _PLANE),
        "AttentionUnet": make(_made, "AttentionUnet", plane, {**_PLANE, **_STEPS}, ours=True),
        "SegResNet": make(_made, "SegResNet", space, _SPACE),
        "DynUNet": make(_made, "DynUNet", plane, {**_PLANE, **_KERNELS}, ours=True),
        "VNet": make(_made, "VNet", space, _SPACE),
        "UNETR": make(_made, "UNETR", space, unetr),
        "SwinUNETR": make(_made, "SwinUNETR", plane, _PLANE),
        "DenseNet121": make(_made, "DenseNet121", plane, _PLANE),
    }
