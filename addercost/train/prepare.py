"""Makes a model and its data so that they fit each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from addercost.errors import AddercostError, ModelError, TraceError
from addercost.text import error_text
from addercost.train.data import open_data
from addercost.train.images import Data
from addercost.train.randomness import derived_seed
from addercost.train.rates import set_adder_gradient
from addercost.train.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model and its data. folder: of the model's code; its forward may import more files from there."""

    model: nn.Module
    data: Data
    folder: Path


def prepare(settings: TrainSettings, module: nn.Module | None = None, workers: int = 0) -> Prepared:
    """The data, and the model with initial weights drawn from the seed. A given `module` is used as it is.

    A zoo model gets as many classes as the data has. Images get the size and the channels of the model's
    example input. Raises ModelError for a model that cannot be trained, and for data without images.
    """
    maker = _given(module) if module is not None else _from_spec(settings.model)
    size = settings.image_size or maker.size
    data = open_data(settings.data, maker.channels, size, settings.augment, workers)
    if not len(data.train.labels) or not len(data.test.labels):
        raise ModelError(f"{data.title} has no image to train or to test with", "choose other data")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed("weights", settings.seed))
        model = maker.make(data)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"{settings.model} has no parameter that learns", "there is nothing to train")
    set_adder_gradient(model, settings.adder_gradient)
    return Prepared(model, data, maker.folder)


@dataclass(frozen=True, slots=True)
class _Maker:
    """How to make the model.

    channels, size: of its images; None if unknown. make: makes the model with its weights, for given data.
    folder: of its code.
    """

    channels: int | None
    size: int | None
    make: Callable[[Data], nn.Module]
    folder: Path


def _given(module: nn.Module) -> _Maker:
    return _Maker(None, None, lambda _: module, Path())


def _from_spec(spec: str) -> _Maker:
    from addercost.sources.loading import load_model
    from addercost.sources.registry import kind_of

    cannot = ModelError(f"{spec} cannot be trained", "name the model it was made from")
    if kind_of(spec).load_model is None:
        raise cannot
    loaded = load_model(spec)
    rebuild, with_classes = loaded.rebuild, loaded.with_classes
    if rebuild is None:
        raise cannot
    channels, size = _image_shape(loaded.inputs.args if loaded.inputs else ())

    def make(data: Data) -> nn.Module:
        return rebuild() if with_classes is None else with_classes(len(data.classes))

    return _Maker(channels, size, make, loaded.folder)


def _image_shape(inputs: tuple[Any, ...]) -> tuple[int | None, int | None]:
    """(channels, size) of a model's example input, if this is one batch of square images; else None
    for both.
    """
    if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].dim() == 4:
        _, channels, height, width = inputs[0].shape
        if height == width:
            return channels, height
    return None, None


@torch.no_grad()
def check_fit(model: nn.Module, data: Data, device: torch.device, spec: str) -> None:
    """Runs two images through the model in evaluation mode, which changes nothing in the model.

    Raises TraceError if its forward fails, and ModelError if it does not have one output for each class.
    """
    images, _ = next(data.test.batches([torch.arange(min(2, len(data.test.labels)))]))
    shape = "x".join(str(n) for n in images.shape)
    was_training = model.training
    model.eval()
    try:
        output = model(images.to(device))
    except AddercostError:
        raise
    except Exception as error:
        said = error_text(error)[:200]
        raise TraceError(
            f"the forward of {spec} does not take {data.title}'s images, {shape}: {said}",
            "give it another --image-size, or the file an example_inputs of the right shape",
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[0] != images.shape[0]:
        found = "x".join(map(str, output.shape)) if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(
            f"{spec} makes {found} of {shape} images", "it must put out one row of scores an image"
        )
    if output.shape[1] != len(data.classes):
        raise ModelError(
            f"{spec} has {output.shape[1]} output classes, {data.title} has {len(data.classes)}",
            "build the model with as many classes as the data",
        )
