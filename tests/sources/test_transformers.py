"""`hf:…`: models of transformers by type or configuration, never by a download."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from addercost.api import trace_spec
from addercost.cli import run
from addercost.counts.model import count
from addercost.errors import AddercostError, ArgumentError, DataError, ModelError
from addercost.sources.hub_config import HubConfig, read_config
from addercost.sources.loading import load_model

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 16,
}


def folder_with(tmp_path: Path, values: dict[str, Any] | str, name: str = "tiny") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    text = values if isinstance(values, str) else json.dumps(values)
    (folder / "config.json").write_text(text)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails the test."""

    def refused(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.mark.parametrize("form", ["folder", "file"])
def test_the_sites_of_a_llama_by_its_configuration(form: str, tmp_path: Path) -> None:
    """For T tokens, L layers, width h, inner width i and two of four heads for keys and values, a layer has
    T·(h² + 2·h·h/2 + h² + 3·h·i) sites in its linear layers and 2·T²·h in its attention; the head has T·h·V.
    T is the longest text that the model takes, being less than 128.
    """
    folder = folder_with(tmp_path, LLAMA)
    spec = f"hf:{folder}" if form == "folder" else f"hf:{folder / 'config.json'}"
    traced = trace_spec(spec)
    n, t, h, i, v = 3, 16, 64, 96, 100
    linear, attention = t * (h * h + h * h + h * h + 3 * h * i), 2 * t * t * h
    counted = count(traced)
    assert counted.mac_sites == n * (linear + attention) + t * h * v
    assert counted.complete and traced.model == "tiny"
    assert sum(traced.parameters.values()) == n * (3 * h * h + 3 * h * i + 2 * h) + 2 * h * v + h


def test_a_class_by_name_takes_the_place_of_the_usual_one(tmp_path: Path) -> None:
    """Without its head, the model lacks T·h·V sites."""
    folder = folder_with(tmp_path, LLAMA)
    whole, body = (count(trace_spec(f"hf:{folder}{c}")).mac_sites for c in ("", ":LlamaModel"))
    assert whole - body == 16 * 64 * 100


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        pytest.param(
            {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 8,
             "num_attention_heads": 2, "vocab_size": 9},
            "BertForMaskedLM",
            id="text",
        ),
        pytest.param(
            {"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 8,
             "num_attention_heads": 2, "image_size": 32},
            "ViTForImageClassification",
            id="image",
        ),
        pytest.param(
            {"model_type": "whisper", "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
             "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8,
             "decoder_ffn_dim": 8, "vocab_size": 60000, "max_source_positions": 20},
            "WhisperForConditionalGeneration",
            id="speech",
        ),
        pytest.param(
            {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 8, "num_layers": 1, "num_heads": 2,
             "vocab_size": 99},
            "T5ForConditionalGeneration",
            id="translation",
        ),
        pytest.param(
            {"model_type": "mamba", "hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 9,
             "state_size": 4},
            "MambaForCausalLM",
            id="state space",
        ),
        pytest.param(
            {"model_type": "mixtral", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 8,
             "num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 4, "vocab_size": 9},
            "MixtralForCausalLM",
            id="experts",
        ),
    ],
)  # fmt: skip
def test_each_kind_gets_its_usual_class_and_inputs_that_fit(
    values: dict[str, Any], chosen: str, tmp_path: Path
) -> None:
    spec = f"hf:{folder_with(tmp_path, values)}"
    assert type(load_model(spec).model).__name__ == chosen
    counted = count(trace_spec(spec))
    assert counted.complete and counted.mac_sites > 0


LLAVA = {
    "model_type": "llava",
    "vision_config": {
        "model_type": "clip_vision_model", "hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 16,
        "num_attention_heads": 2, "image_size": 8, "patch_size": 4, "projection_dim": 8,
    },
    "text_config": {
        "model_type": "llama", "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8,
        "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 9,
    },
}  # fmt: skip


@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_of_images_and_texts_gets_both(batch: int, tmp_path: Path) -> None:
    """Four patches of 3 x 4 x 4 become vectors of 8, then two products to 16 in the projector, and stand
    before 128 tokens of text: 132 vectors of 16 times 9 words."""
    counted = count(trace_spec(f"hf:{folder_with(tmp_path, LLAVA)}", batch=batch), "macs")
    sites = {row.path: row.mac_sites for row in counted.by_module()}
    assert counted.complete and counted.unused_parameters == 0
    assert sites["lm_head"] == batch * (4 + 128) * 16 * 9
    assert sites["model.multi_modal_projector"] == batch * 4 * (8 * 16 + 16 * 16)
    patches = next(n for path, n in sites.items() if path.endswith("patch_embedding"))
    assert patches == batch * 4 * 3 * 4 * 4 * 8


SMALL_VISION = {
    "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 2,
    "patch_size": 4,
}  # fmt: skip
SMALL_TEXT = {**LLAVA["text_config"], "head_dim": 8}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("values", "tokens", "patches"),
    [
        # 16 × 16 pixels; four patches become one token, as they do where sizes are read from values.
        pytest.param(
            {
                "model_type": "mistral3",
                "spatial_merge_size": 2,
                "vision_config": {**SMALL_VISION, "model_type": "pixtral", "image_size": 16, "head_dim": 4},
                "text_config": {**SMALL_TEXT, "model_type": "mistral"},
            },
            4,
            16,
            id="mistral3",
        ),
        # Five patches a side do not divide by two: an image of four is given. It looks for images of zeros.
        pytest.param(
            {
                "model_type": "idefics3",
                "scale_factor": 2,
                "vision_config": {**SMALL_VISION, "model_type": "idefics3_vision", "image_size": 20},
                "text_config": SMALL_TEXT,
            },
            4,
            16,
            id="idefics3",
        ),
        pytest.param(
            {
                "model_type": "gemma3",
                "mm_tokens_per_image": 4,
                "vision_config": {**SMALL_VISION, "model_type": "siglip_vision_model", "image_size": 16},
                "text_config": {**SMALL_TEXT, "model_type": "gemma3_text"},
            },
            4,
            16,
            id="gemma3",
        ),
    ],
)
def test_images_whose_number_of_tokens_follows_from_positions(
    values: dict[str, Any], tokens: int, patches: int, tmp_path: Path
) -> None:
    """Patches of 3 × 4 × 4 become vectors of 8. Tokens of image and text are vectors of 16, of 9 words."""
    counted = count(trace_spec(f"hf:{folder_with(tmp_path, values)}"), "macs")
    assert counted.complete and not any(note.startswith("INCOMPLETE") for note in counted.notes)
    sites = {row.path: row.mac_sites for row in counted.by_module()}
    assert sites["lm_head"] == (tokens + 128) * 16 * 9
    embedding = next(n for path, n in sites.items() if path.endswith(("patch_embedding", "patch_conv")))
    assert embedding == patches * 3 * 4 * 4 * 8


def test_a_text_alone_is_said_to_be_incomplete(tmp_path: Path) -> None:
    """Two patches a side are fewer than the four tokens a side that the configuration asks for."""
    values = {
        "model_type": "gemma3",
        "mm_tokens_per_image": 16,
        "vision_config": {**SMALL_VISION, "model_type": "siglip_vision_model", "image_size": 8},
        "text_config": {**SMALL_TEXT, "model_type": "gemma3_text"},
    }
    counted = count(trace_spec(f"hf:{folder_with(tmp_path, values)}"), "macs")
    (note,) = (note for note in counted.notes if note.startswith("INCOMPLETE"))
    assert "the part that reads images (" in note and "given 1x3x8x8 that part does not run" in note
    assert not counted.complete


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["blip", "blip-2", "clap", "encodec", "pix2struct", "qwen2_vl", "vilt"])
def test_all_parts_of_a_type_run(kind: str) -> None:
    counted = count(trace_spec(f"hf:{kind}"), "macs")
    assert counted.complete
    # Some biases stand beside layers that never add them.
    assert counted.unused_parameters < counted.parameters / 1000


def test_the_hub_is_not_asked_while_a_forward_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as hub
    from transformers import LlamaForCausalLM

    seen = []
    forward = LlamaForCausalLM.forward

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(hub.HF_HUB_OFFLINE)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", watched)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    trace_spec(f"hf:{folder_with(tmp_path, LLAMA)}")
    assert seen and all(seen)
    assert hub.HF_HUB_OFFLINE is False


def test_no_code_that_comes_with_a_configuration_is_run(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {**LLAMA, "auto_map": {"AutoModelForCausalLM": "theirs.Model"}})
    (folder / "theirs.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    with pytest.raises(ModelError, match=r"needs code of its own \(auto_map\), which is not run"):
        load_model(f"hf:{folder}")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        pytest.param("{", DataError, "config.json", id="cut off"),
        pytest.param("[]", DataError, "names no model_type", id="a list"),
        pytest.param({"model_type": 3}, DataError, "names no model_type", id="a number for a type"),
        pytest.param({"model_type": "lama"}, ArgumentError, "did you mean llama", id="unknown type"),
        pytest.param({**LLAMA, "num_hidden_layers": 10**9}, DataError, "at most 10,000", id="endless"),
        pytest.param({**LLAMA, "hidden_size": "wide"}, ModelError, "hidden_size", id="a text for a width"),
        pytest.param(
            {**LLAMA, "_attn_implementation": "somebody/kernel"},
            ModelError,
            "from the hub",
            id="kernel of the hub",
        ),
    ],
)  # fmt: skip
def test_a_bad_configuration_is_one_line(
    values: dict[str, Any] | str, error: type[AddercostError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        load_model(f"hf:{folder_with(tmp_path, values)}")


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("hf:llamma", 2, "did you mean llama"),
        ("hf:meta-llama/Llama-3.1-8B", 3, "nothing is downloaded; fetch the model's config.json"),
        ("hf:llama:BertModel", 2, "unknown class of llama 'BertModel'"),
        ("hf:", 3, "or name a type: hf:llama"),
    ],
)
def test_a_name_that_is_not_known_says_what_is(
    spec: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", spec]) == code
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_folder_without_a_configuration_hides_no_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works beside a folder `opt` or `llama` can still name the type."""
    monkeypatch.chdir(tmp_path)
    for name in ("opt", "mine"):
        (tmp_path / name).mkdir()
    assert read_config("opt") == HubConfig("opt", "opt")
    with pytest.raises(ModelError, match=r"mine/config.json does not exist, and nothing is downloaded"):
        load_model("hf:mine")


def test_without_transformers_the_line_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from addercost.sources import transformers_models

    transformers_models._transformers.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    try:
        with pytest.raises(ModelError, match=r"pip install 'addercost\[transformers\]'"):
            transformers_models._transformers()
    finally:
        transformers_models._transformers.cache_clear()
