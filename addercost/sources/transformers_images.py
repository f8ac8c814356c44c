"""Models of transformers that read an image and a text and write a text.

Their forward replaces the image tokens of a text, which it finds by value, by the image's features. A run
without data has no values. So the two parts run one after the other here: first the image's features, then
the text with as many additional tokens. The replacement itself computes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from addercost.errors import TraceError
from addercost.trace.attended_scores import give_values
from addercost.trace.inputs import ModelInputs
from addercost.trace.tracer import trace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEXT_TOKENS = 128
_SIDE = 224
"""Pixels of an image where the configuration does not say how many."""


def reads_images(model: PreTrainedModel) -> bool:
    """Whether the model has an image part, which a text without image does not use."""
    return hasattr(model.config, "vision_config") and hasattr(model, "get_image_features")


def without_images(model: PreTrainedModel, reason: str) -> tuple[str, ...]:
    """The note for counts without an image, with the reason."""
    found = (module for name, module in model.named_modules() if "vision" in name.rpartition(".")[2])
    part = next(found, None)
    n = sum(parameter.numel() for parameter in part.parameters()) if part is not None else 0
    what = f" ({n:,} parameters)" if n else ""
    return (
        f"INCOMPLETE: a text alone was given, so the part that reads images{what} is not counted; "
        f"given {reason}",
    )


def with_images(model: PreTrainedModel) -> ModelInputs | str:
    """Changes the model's forward so that it takes an image and a text as two parts. Returns such inputs, or
    the reason why its image part does not run.
    """
    features = _features_of(model)
    if isinstance(features, str):
        return features
    shape, further = features
    kind: Any = type(model)
    pixels = inspect.signature(kind.forward).parameters.get("pixel_values")
    needs_pixels = pixels is not None and pixels.default is inspect.Parameter.empty

    def forward(self: Any, input_ids: Tensor, pixel_values: Tensor) -> Any:
        batch = len(input_ids)
        images = _Images.of(self, pixel_values, {name: value * batch for name, value in further.items()})
        places = torch.zeros(batch, _tokens_of(images) // batch, dtype=torch.int64, device=input_ids.device)
        tokens = torch.cat([places, input_ids], dim=1)
        written = (
            self.language_model(input_ids=tokens) if needs_pixels else kind.forward(self, input_ids=tokens)
        )
        return written, images

    model.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    return ModelInputs(
        (),
        {
            "input_ids": torch.zeros(1, TEXT_TOKENS, dtype=torch.int64, device="meta"),
            "pixel_values": _pixels(shape, model),
        },
    )


def _pixels(shape: tuple[int, ...], model: PreTrainedModel) -> Tensor:
    """An image without data. Where values are needed they are ones, since some models ignore images of
    zeros.
    """
    made = torch.empty(shape, dtype=model.dtype, device="meta")
    return give_values(made, torch.ones(1, dtype=model.dtype).expand(shape))


def _features_of(model: PreTrainedModel) -> tuple[tuple[int, ...], dict[str, Any]] | str:
    """(shape of the pixels, further arguments) with which the image part can be traced; or the reason why the
    most usual arguments fail.
    """
    refused = ""
    compute: Any = model.get_image_features
    accepted = inspect.signature(compute).parameters
    for shape, further in _candidates(model.config, accepted):
        try:
            trace(_Images(model, further), _pixels(shape, model), name="that part")
        except TraceError as error:
            # The model may need another form of image, or values.
            refused = refused or f"{'x'.join(map(str, shape))} {error.message}"
            continue
        return shape, further
    return refused


class _Images(nn.Module):
    """A module of only the part of a model that computes the features of images."""

    def __init__(self, model: PreTrainedModel, further: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.further = model, further

    def forward(self, pixel_values: Tensor) -> Any:
        images = self.of(self.model, pixel_values, self.further)
        _tokens_of(images)
        return images

    @staticmethod
    def of(model: Any, pixel_values: Tensor, further: dict[str, Any]) -> Any:
        given = {name: torch.tensor(value) for name, value in further.items()}
        return model.get_image_features(pixel_values=pixel_values, **given)


def _candidates(whole: Any, accepted: Any) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    config = whole.vision_config
    channels = getattr(config, "num_channels", None) or getattr(config, "in_channels", None) or 3
    size = getattr(config, "image_size", None) or _SIDE
    height, width = (size[0], size[-1]) if isinstance(size, list | tuple) else (size, size)
    if "image_grid_thw" in accepted:
        patch = getattr(config, "patch_size", 14)
        step = patch * getattr(config, "spatial_merge_size", 1)
        rows = _SIDE // step * step // patch
        values = channels * getattr(config, "temporal_patch_size", 1) * patch * patch
        yield (rows * rows, values), {"image_grid_thw": [[1, rows, rows]]}
    elif "image_sizes" in accepted:
        # Some models cut an image into parts. A square image becomes two parts and the whole of it: three.
        for shape in ((1, channels, height, width), (1, 3, channels, height, width)):
            yield shape, {"image_sizes": [[height, width]]}
    yield (1, channels, height, width), {}
    yield (1, 1, channels, height, width), {}
    joined = getattr(whole, "scale_factor", None)
    if isinstance(joined, int) and joined > 0:
        # So many patches along a side become one token. A smaller image may fit where the configured one does
        # not.
        step = getattr(config, "patch_size", 14) * joined
        yield (1, 1, channels, height // step * step, width // step * step), {}


def _tokens_of(images: Any) -> int:
    """How many tokens of a text the features replace."""
    found = getattr(images, "pooler_output", images)
    parts = found if isinstance(found, list | tuple) else (found,)
    return sum(part.numel() // part.shape[-1] for part in parts)
