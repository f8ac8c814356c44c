"""Networks of transformers, each by the defaults of its configuration.

Those of more than about half a billion parameters are made on the meta device, in bfloat16 as they are used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.real_models.case import Case, Make, image, named, tokens

_LANGUAGE = {
    "Bert": "BertModel",
    "Roberta": "RobertaModel",
    "DistilBert": "DistilBertModel",
    "Electra": "ElectraModel",
    "Deberta": "DebertaModel",
    "MPNet": "MPNetModel",
    "FNet": "FNetModel",
    "MobileBert": "MobileBertModel",
    "XLNet": "XLNetModel",
    "GPT2": "GPT2LMHeadModel",
    "OPT": "OPTForCausalLM",
    "Bloom": "BloomForCausalLM",
    "Mamba": "MambaForCausalLM",
}
_LARGE = {
    "Albert": "AlbertModel",
    "GPTNeo": "GPTNeoForCausalLM",
    "GPTNeoX": "GPTNeoXForCausalLM",
    "Llama": "LlamaForCausalLM",
    "Mistral": "MistralForCausalLM",
    "Qwen3": "Qwen3ForCausalLM",
    "Gemma2": "Gemma2ForCausalLM",
    "Phi3": "Phi3ForCausalLM",
    "Falcon": "FalconForCausalLM",
    "Olmo2": "Olmo2ForCausalLM",
    "Mixtral": "MixtralForCausalLM",
    "Qwen2Moe": "Qwen2MoeForCausalLM",
    "Mamba2": "Mamba2ForCausalLM",
}
_SEEING = {
    "ViT": "ViTModel",
    "Dinov2": "Dinov2Model",
    "Beit": "BeitModel",
    "Swin": "SwinModel",
    "ConvNext": "ConvNextModel",
    "Segformer": "SegformerForSemanticSegmentation",
}


def _model(config: str, name: str, **settings: Any) -> Any:
    package = importlib.import_module("transformers")
    return getattr(package, name)(getattr(package, f"{config}Config")(**settings))


def _language(config: str) -> Case:
    return Case(_model(config, _LANGUAGE[config]), (), {"input_ids": tokens()})


def _large(config: str) -> Case:
    with torch.device("meta"):
        model = _model(config, _LARGE[config]).to(torch.bfloat16)
    return Case(model, (), {"input_ids": tokens(device="meta")})


def _seeing(config: str) -> Case:
    return Case(_model(config, _SEEING[config]), (), {"pixel_values": image()})


def _both_sides(config: str, name: str, **settings: Any) -> Case:
    given = {"input_ids": tokens(), "decoder_input_ids": tokens(16)}
    return Case(_model(config, name, **settings), (), given)


def _t5() -> Case:
    return _both_sides("T5", "T5ForConditionalGeneration", decoder_start_token_id=0)


def _bart() -> Case:
    return _both_sides("Bart", "BartModel")


def _clip() -> Case:
    given: Mapping[str, Any] = {"input_ids": tokens(16), "pixel_values": image()}
    return Case(_model("CLIP", "CLIPModel"), (), given)


def _whisper() -> Case:
    given = {"input_features": torch.rand(1, 80, 3000), "decoder_input_ids": tokens(8)}
    return Case(_model("Whisper", "WhisperModel"), (), given)


def _wav2vec2() -> Case:
    return Case(_model("Wav2Vec2", "Wav2Vec2Model"), (torch.rand(1, 16000),))


def cases() -> dict[str, Make]:
    return {
        **named(_LANGUAGE, _language),
        **named(_LARGE, _large),
        **named(_SEEING, _seeing),
        "T5": _t5,
        "Bart": _bart,
        "CLIP": _clip,
        "Whisper": _whisper,
        "Wav2Vec2": _wav2vec2,
    }
