"""torchvision publishes one operation count a model, in billions of MACs to three decimals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from addercost.counts.model import count
from addercost.sources import torchvision_models
from addercost.sources.build import DataFree
from addercost.trace.tracer import trace


def published() -> list[tuple[str, Any]]:
    """(model, weights entry) for every set of weights that states its operations and whose input is known."""
    found = []
    models = torchvision_models._models()
    for name in torchvision_models.list_models():
        module = models.get_model_builder(name).__module__
        # A detector's count depends on the boxes it finds, optical flow's on its iterations.
        if any(task in module for task in ("detection", "optical_flow", "quantization")):
            continue
        for weights in models.get_model_weights(name):
            if "_ops" in weights.meta:
                found.append((name, weights))
    return found


def built(name: str, weights: Any) -> nn.Module:
    options = {}
    if "min_size" in weights.meta and name.startswith("vit"):
        options["image_size"] = weights.meta["min_size"][0]
    with DataFree():
        return torchvision_models.make_model(name, **options)


def image(name: str, weights: Any) -> torch.Tensor:
    transforms = weights.transforms()
    size = getattr(transforms, "crop_size", None) or transforms.resize_size
    height, width = (size[0], size[-1]) if isinstance(size, list | tuple) else (size, size)
    module = torchvision_models._models().get_model_builder(name).__module__
    if "video" in module:
        return torch.empty(1, 3, 16, height, width, device="meta")
    if "segmentation" in module:
        height = width = 520
    return torch.empty(1, 3, height, width, device="meta")


def family(name: str, weights: Any) -> tuple[str, bool]:
    """Models of one file of torchvision, apart from those that were trained on larger images end to end."""
    builder = torchvision_models._models().get_model_builder(name)
    return builder.__module__, "E2E" in weights.name


PUBLISHED = published()
SMALLEST: dict[tuple[str, bool], tuple[str, Any]] = {}
"""Of each family the model with the fewest parameters."""
for _name, _weights in sorted(PUBLISHED, key=lambda entry: entry[1].meta["num_params"]):
    SMALLEST.setdefault(family(_name, _weights), (_name, _weights))


LONG = ("mvit_v2_s", "swin3d_t", "maxvit_t")
"""Attention in windows over videos or in four stages: each takes a second."""


def cases(entries: list[tuple[str, Any]]) -> list[Any]:
    return [
        pytest.param(
            name,
            weights,
            id=f"{name}-{weights.name}",
            marks=pytest.mark.exhaustive if name in LONG else (),
        )
        for name, weights in entries
    ]


@pytest.mark.parametrize(("name", "weights"), cases(list(SMALLEST.values())))
def test_sites_are_the_published_operations(name: str, weights: Any) -> None:
    check(name, weights)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "weights"), cases([entry for entry in PUBLISHED if entry not in SMALLEST.values()])
)
def test_sites_are_the_published_operations_of_every_other_model(name: str, weights: Any) -> None:
    check(name, weights)


def check(name: str, weights: Any) -> None:
    counts = count(trace(built(name, weights), image(name, weights)), "macs")
    assert counts.complete
    assert round(counts.mac_sites / 1e9, 3) == weights.meta["_ops"]


def test_every_group_of_models_is_present() -> None:
    """Were torchvision to rename what is read above, the test would shrink to nothing unnoticed."""
    modules = {module for module, _ in SMALLEST}
    assert {"torchvision.models.video.resnet", "torchvision.models.segmentation.fcn"} <= modules
    assert len(modules) >= 20
    assert len(PUBLISHED) >= 100
