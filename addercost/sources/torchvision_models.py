"""torchvision's models by name. They can be made even where torch cannot load torchvision's compiled
operators.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from addercost.errors import ModelError
from addercost.sources import torchvision_operators
from addercost.sources.torchvision_inputs import shape_of


def is_built_for_cuda_only() -> bool:
    """Whether torchvision is built for CUDA and torch is not.

    Reads torchvision's version file, since importing torchvision would take seconds and fail.
    """
    spec = importlib.util.find_spec("torchvision")
    if torch.version.cuda is not None or spec is None or spec.origin is None:
        return False
    version = Path(spec.origin).with_name("version.py")
    return version.is_file() and "+cu" in version.read_text(encoding="utf-8")


@functools.cache
def make_importable() -> None:
    """Makes it possible to import a torchvision built for CUDA beside a CPU-only torch, here and in the
    user's code.

    torch cannot load torchvision's compiled operators then, and the import fails because two of their schemas
    are missing. These two are defined here, and later the operators that detectors call.
    """
    if "torchvision" not in sys.modules and is_built_for_cuda_only():
        torchvision_operators.define_before_import()


@functools.cache
def _models() -> Any:
    make_importable()
    try:
        models = importlib.import_module("torchvision.models")
    except ImportError as error:
        raise ModelError("torchvision is not installed", "pip install 'addercost[vision]'") from error
    torchvision_operators.let_torchvision_call_them()
    return models


@functools.cache
def list_models() -> tuple[str, ...]:
    """Every model torchvision can build."""
    return tuple(_models().list_models())


def make_model(name: str, **overrides: Any) -> nn.Module:
    """A torchvision model without pretrained weights. overrides: arguments of its builder."""
    builder = _models().get_model_builder(name)
    options: dict[str, Any] = {"weights": None}
    if "weights_backbone" in inspect.signature(builder).parameters:
        options["weights_backbone"] = None
    if "segmentation" in builder.__module__ and not name.startswith("lraspp"):
        # The published operation counts are those of the pretrained configuration, which has this head.
        options["aux_loss"] = True
    if task_of(name) == "quantization":
        options["quantize"] = True
    model: nn.Module = builder(**options | overrides)
    return model


def task_of(name: str) -> str:
    """The folder of torchvision.models that a model is in, "" for those that classify images."""
    module = str(_models().get_model_builder(name).__module__)
    return module.removeprefix("torchvision.models.").rpartition(".")[0]


def keypoints_of(model: nn.Module) -> int:
    """How many keypoints of each object a detector finds; 0 for a detector without keypoints."""
    predictor = getattr(getattr(model, "roi_heads", None), "keypoint_predictor", None)
    layer = getattr(predictor, "kps_score_lowres", None)
    return layer.out_channels if isinstance(layer, nn.ConvTranspose2d) else 0


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """The result of `make()` with the same random weights each time, for a model whose work depends on their
    values.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def image_shape(name: str) -> tuple[int, ...]:
    """The shape of the pretrained configuration's input, with a batch of one: the crop on which it was
    evaluated.
    """
    task = task_of(name)
    own = shape_of(task, name)
    if own is not None:
        return own
    weights = _models().get_model_weights(name)
    best = getattr(weights, "DEFAULT", None)
    transforms = best.transforms() if best is not None else None
    size = getattr(transforms, "crop_size", None) or getattr(transforms, "resize_size", None) or [224]
    height, width = (size[0], size[-1]) if isinstance(size, list | tuple) else (size, size)
    if task == "video":
        return (1, 3, 16, height, width)
    return (1, 3, height, width)


def published_operations(name: str) -> float | None:
    """Multiply-adds in G that torchvision publishes for the default weights (it calls them GFLOPS)."""
    weights = getattr(_models().get_model_weights(name), "DEFAULT", None)
    found = weights.meta.get("_ops") if weights is not None else None
    return float(found) if found is not None else None
