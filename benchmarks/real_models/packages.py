"""The eight packages whose models are traced, in the order of the table."""

from __future__ import annotations

import importlib

from benchmarks.real_models.case import Make

PACKAGES = (
    "torchvision",
    "timm",
    "transformers",
    "diffusers",
    "ultralytics",
    "segmentation_models_pytorch",
    "torch_geometric",
    "monai",
)


def cases_of(package: str) -> dict[str, Make]:
    """Functions that make each of a package's models, by name. The package is imported, and no model is
    made.
    """
    made: dict[str, Make] = importlib.import_module(f"benchmarks.real_models.{package}").cases()
    return made
