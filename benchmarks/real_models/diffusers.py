"""Networks of diffusers on the meta device, by the defaults of their classes.

The autoencoder's defaults are a toy, so it has the widths of Stable Diffusion's.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.real_models.case import Case, Make, image

_AUTOENCODER: Mapping[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}


def _made(name: str, settings: Mapping[str, Any], *args: Any, **kwargs: Any) -> Case:
    with torch.device("meta"):
        model = getattr(importlib.import_module("diffusers"), name)(**settings)
    return Case(model, args, kwargs, ours=bool(settings))


def _random(*shape: int) -> Tensor:
    return torch.rand(*shape, device="meta")


def _image(size: int, channels: int) -> Tensor:
    return image(size, channels, device="meta")


def cases() -> dict[str, Make]:
    make = functools.partial
    step, text = torch.zeros(1, dtype=torch.int64, device="meta"), _random(1, 77, 1280)
    latent = _image(64, 4)
    return {
        "UNet2DModel": make(_made, "UNet2DModel", {}, _image(64, 3), step),
        "UNet2DConditionModel": make(_made, "UNet2DConditionModel", {}, latent, step, text),
        "ControlNetModel": make(_made, "ControlNetModel", {}, latent, step, text, _image(512, 3)),
        "AutoencoderKL": make(_made, "AutoencoderKL", _AUTOENCODER, _image(256, 3)),
        "VQModel": make(_made, "VQModel", {}, _image(64, 3)),
        "DiT": make(
            _made,
            "DiTTransformer2DModel",
            {},
            _image(32, 4),
            timestep=step,
            class_labels=torch.zeros(1, dtype=torch.int64, device="meta"),
        ),
        "PixArt": make(
            _made,
            "PixArtTransformer2DModel",
            {},
            _image(128, 4),
            encoder_hidden_states=_random(1, 120, 1152),
            timestep=step,
            added_cond_kwargs={"resolution": _random(1, 2), "aspect_ratio": _random(1, 1)},
        ),
        "SD3": make(
            _made,
            "SD3Transformer2DModel",
            {},
            _image(128, 16),
            encoder_hidden_states=_random(1, 154, 4096),
            pooled_projections=_random(1, 2048),
            timestep=step,
        ),
        "Flux": make(
            _made,
            "FluxTransformer2DModel",
            {},
            _random(1, 4096, 64),
            encoder_hidden_states=_random(1, 512, 4096),
            pooled_projections=_random(1, 768),
            timestep=_random(1),
            img_ids=_random(4096, 3),
            txt_ids=_random(512, 3),
        ),
    }
