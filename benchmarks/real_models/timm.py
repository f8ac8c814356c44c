"""Forty networks of timm, one a family, at the image size that timm states."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.real_models.case import Case, Make, named

_NAMES = (
    "resnet26d", "resnetv2_50", "seresnet50", "ecaresnet50d", "skresnet18", "res2net50_26w_4s", "dla34",
    "hrnet_w18_small", "efficientnetv2_rw_t", "mixnet_s", "ghostnet_100", "tinynet_a", "lcnet_100",
    "fbnetc_100", "mobileone_s0", "repvgg_a0", "dpn68", "xception41", "convnextv2_atto", "convmixer_768_32",
    "deit_tiny_patch16_224", "vit_small_patch16_224", "beit_base_patch16_224", "cait_xxs24_224",
    "coat_lite_tiny", "crossvit_tiny_240", "levit_128s", "mobilevit_s", "mixer_s32_224", "gmlp_s16_224",
    "poolformer_s12", "pvt_v2_b0", "swinv2_tiny_window8_256", "twins_svt_small", "xcit_nano_12_p16_224",
    "volo_d1_224", "davit_tiny", "eva02_tiny_patch14_224", "nest_tiny", "tresnet_m",
)  # fmt: skip


def _made(name: str) -> Case:
    import timm

    model: Any = timm.create_model(name, pretrained=False)
    return Case(model, (torch.rand(1, *model.default_cfg["input_size"]),))


def cases() -> dict[str, Make]:
    return named(_NAMES, _made)
