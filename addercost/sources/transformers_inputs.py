"""Inputs that fit a model of transformers: tokens, images, clips, spectra or samples of sound."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from addercost.trace.inputs import ModelInputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS = 128
"""The number of tokens of a text, and of the text that a decoder has written; fewer where the model takes
fewer.
"""

SAMPLES = 16_000
"""The samples in a second of sound, at the rate of speech models."""


def usual_inputs(model: PreTrainedModel) -> ModelInputs | None:
    """Inputs with a batch of one, without data; None for a model whose main input is of an unknown kind.

    A model that compares images or sounds with texts, or reads both, gets both.
    """
    make = _MAKERS.get(model.main_input_name)
    if make is None:
        return None
    accepted = inspect.signature(model.forward).parameters
    kwargs = {model.main_input_name: make(model)}
    own = dict(model.named_parameters(recurse=False))
    if "pixel_values" in accepted and ("logit_scale" in own or model.config.model_type in _OF_BOTH):
        kwargs = {"input_ids": _tokens(model), "pixel_values": _image(model)}
    if "input_features" in accepted and "input_ids" in accepted and "logit_scale_a" in own:
        kwargs = {"input_ids": _tokens(model), "input_features": _mel_image(model)}
    if getattr(model.config, "is_encoder_decoder", False) and "decoder_input_ids" in accepted:
        kwargs["decoder_input_ids"] = _tokens(model)
    return ModelInputs((), kwargs)


_OF_BOTH = ("blip", "vilt")
"""Types that read a picture and a text without image tokens in the text."""


def _tokens(model: PreTrainedModel) -> Tensor:
    longest = _setting(model, "max_position_embeddings", "n_positions", "max_target_positions")
    length = min(TOKENS, longest) if isinstance(longest, int) and longest > 0 else TOKENS
    return torch.zeros(1, length, dtype=torch.int64, device="meta")


def _image(model: PreTrainedModel) -> Tensor:
    channels = _setting(model, "num_channels", "in_channels", "in_chans") or 3
    size = _setting(model, "image_size", "img_size") or 224
    height, width = (size[0], size[-1]) if isinstance(size, list | tuple) else (size, size)
    frames = _setting(model, "num_frames")
    shape = (1, frames, channels, height, width) if frames else (1, channels, height, width)
    return torch.empty(shape, dtype=model.dtype, device="meta")


def _spectrum(model: PreTrainedModel) -> Tensor:
    """Bands by frames, as Whisper has them; frames by bands elsewhere."""
    bands = _setting(model, "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim") or 80
    frames = _setting(model, "max_source_positions")
    if _setting(model, "num_mel_bins") and frames:
        return torch.empty(1, bands, 2 * frames, dtype=model.dtype, device="meta")
    return torch.empty(1, 1000, bands, dtype=model.dtype, device="meta")


def _mel_image(model: PreTrainedModel) -> Tensor:
    """[1, 1, frames, bands]: 1,001 frames, ten seconds as CLAP hears them."""
    bands = _setting(model, "num_mel_bins") or 64
    return torch.empty(1, 1, 1001, bands, dtype=model.dtype, device="meta")


def _patches(model: PreTrainedModel) -> Tensor:
    """[1, patches, values]: the values of a patch are its row, its column and its pixels."""
    patch, channels = _setting(model, "patch_size") or 16, _setting(model, "num_channels") or 3
    number = _setting(model, "seq_len") or 4096
    return torch.empty(1, number, 2 + patch * patch * channels, dtype=model.dtype, device="meta")


def _sound(model: PreTrainedModel) -> Tensor:
    channels = _setting(model, "audio_channels")
    if channels:
        return torch.empty(1, channels, _setting(model, "sampling_rate") or SAMPLES, device="meta")
    bands, frames = _setting(model, "num_mel_bins"), _setting(model, "max_length")
    if bands and frames:
        return torch.empty(1, frames, bands, dtype=model.dtype, device="meta")
    return torch.empty(1, SAMPLES, dtype=model.dtype, device="meta")


_MAKERS: dict[str, Callable[[PreTrainedModel], Tensor]] = {
    "input_ids": _tokens,
    "pixel_values": _image,
    "pixel_values_videos": _image,
    "input_features": _spectrum,
    "flattened_patches": _patches,
    "input_values": _sound,
}


def _setting(model: PreTrainedModel, *names: str) -> Any:
    """The value of the first of these settings that the configuration, or a nested one, has."""
    for config in _configs(model.config):
        for name in names:
            value = getattr(config, name, None)
            if value is not None:
                return value
    return None


def _configs(config: Any) -> Iterator[Any]:
    yield config
    for value in list(vars(config).values()):
        if hasattr(value, "model_type") and hasattr(value, "to_dict"):
            yield from _configs(value)
