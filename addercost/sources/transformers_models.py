"""Models of transformers by configuration, without pretrained weights. Nothing is downloaded."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from addercost.errors import DataError, ModelError, TraceError, unknown_name
from addercost.garbage_collection import without_garbage_collection
from addercost.sources.hub_config import FILE, HubConfig, missing_config
from addercost.sources.torchvision_models import make_importable
from addercost.text import error_text

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_TASKS = (
    "SPEECH_SEQ_2_SEQ",
    "IMAGE_TEXT_TO_TEXT",
    "SEQ_TO_SEQ_CAUSAL_LM",
    "MASKED_LM",
    "CAUSAL_LM",
    "ZERO_SHOT_IMAGE_CLASSIFICATION",
    "IMAGE_CLASSIFICATION",
    "OBJECT_DETECTION",
    "SEMANTIC_SEGMENTATION",
    "UNIVERSAL_SEGMENTATION",
    "VIDEO_CLASSIFICATION",
    "DEPTH_ESTIMATION",
    "CTC",
    "AUDIO_CLASSIFICATION",
)
"""The usual class of a type is its class for the first of these tasks that has one, else the model without a
head. Tasks of a single family of models come first, and tasks that many models can do come last: BERT has a
class for causal language models as well, and Whisper one for classification.
"""

_WRITERS = ("SEQ_TO_SEQ_CAUSAL_LM", "CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "SPEECH_SEQ_2_SEQ")
"""Tasks whose models write text token by token. BART and Whisper also have classes for the decoder alone;
Whisper's encoder reads no text.
"""


@functools.cache
@without_garbage_collection()
def _transformers() -> Any:
    make_importable()
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ModelError("transformers is not installed", "pip install 'addercost[transformers]'") from error


@functools.cache
@without_garbage_collection()
def _auto(what: str) -> Any:
    _transformers()
    return importlib.import_module(f"transformers.models.auto.{what}_auto")


@functools.cache
def model_types() -> tuple[str, ...]:
    """Every model type that transformers knows."""
    return tuple(_auto("configuration").CONFIG_MAPPING_NAMES)


def _require_known(found: HubConfig) -> None:
    """Raises ArgumentError for a type that transformers does not have, or ModelError where it is the name of
    a folder.
    """
    if found.model_type not in model_types():
        if Path(found.model_type).is_dir():
            raise missing_config(Path(found.model_type) / FILE)
        raise unknown_name("model type of transformers", found.model_type, model_types())


def make_model(found: HubConfig) -> PreTrainedModel:
    """The model with weights as its constructor makes them, in the number format that the file names.

    Raises ArgumentError for a type or class that transformers does not have, DataError for a configuration
    that it refuses, ModelError without transformers.
    """
    _require_known(found)
    with offline(), _quiet():
        config = _config(found)
        with without_garbage_collection():
            # transformers imports the file of the class, and all that it needs, when the class is asked for.
            kind = getattr(_transformers(), _class_name(found))
        of_text = config.get_text_config(decoder=True)
        if isinstance(of_text, kind.config_class) and not isinstance(config, kind.config_class):
            # The decoder alone of a model that reads more than text.
            config = of_text
        model: PreTrainedModel = kind._from_config(config).eval()
        return model


def open_settings(found: HubConfig) -> tuple[str, ...]:
    """The settings that a type named without a file leaves open, and that few models can do without; () for
    a configuration from a file.
    """
    if found.values.keys() - {"is_decoder"} or found.model_type not in model_types():
        return ()
    kind = _auto("configuration").CONFIG_MAPPING[found.model_type]
    kinds = [kind, (getattr(kind, "sub_configs", None) or {}).get("text_config")]
    of_all = {field.name for field in fields(_transformers().PreTrainedConfig)}
    return tuple(
        dict.fromkeys(
            field.name
            for kind in kinds
            if is_dataclass(kind)
            for field in fields(kind)
            if field.default is None
            # No constructor fails without the ids of tokens, and positions have defaults of their own.
            and not (
                field.name in of_all or field.name.endswith("_token_id") or field.name == "rope_parameters"
            )
        )
    )


def with_text_decoder(found: HubConfig) -> HubConfig:
    """The same configuration with the class that writes text, unless one is named already.

    Raises ArgumentError for an unknown type, ModelError for one that has no such class.
    """
    _require_known(found)
    decoders = [
        name for task in _WRITERS for name in _for_task(f"MODEL_FOR_{task}_MAPPING_NAMES", found.model_type)
    ]
    if not (found.class_name or decoders):
        raise ModelError(
            f"transformers has no text decoder of type {found.model_type}", "name a type such as hf:llama"
        )
    named = [name for name in found.architectures if name in decoders]
    chosen = found.class_name or (named or decoders)[0]
    values = found.values
    if chosen in causal_classes(found.model_type) and hasattr(
        _auto("configuration").CONFIG_MAPPING[found.model_type], "is_decoder"
    ):
        # Models such as BERT read in both directions and keep no cache, unless they are configured as
        # decoders.
        values = {**values, "is_decoder": True}
    return replace(found, class_name=chosen, values=values)


def causal_classes(model_type: str) -> Sequence[str]:
    """The classes of a type that write text from text alone, without an encoder."""
    return _for_task("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", model_type)


def _config(found: HubConfig) -> PretrainedConfig:
    values = dict(found.values)
    if values.pop("quantization_config", None):
        warnings.warn(
            f"{found.name}: quantization_config is not applied; weights count as not quantised", stacklevel=2
        )
    try:
        config: PretrainedConfig = _auto("configuration").CONFIG_MAPPING[found.model_type].from_dict(values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if not values:
            raise
        text = error_text(error)[:200]
        raise DataError(f"transformers refuses the configuration of {found.name}: {text}") from error
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False
    return config


def _class_name(found: HubConfig) -> str:
    classes = classes_of(found.model_type)
    if found.class_name:
        if found.class_name not in classes:
            raise unknown_name(f"class of {found.model_type}", found.class_name, classes)
        return found.class_name
    named = [name for name in found.architectures if name in classes]
    usual = [
        name for task in _TASKS for name in _for_task(f"MODEL_FOR_{task}_MAPPING_NAMES", found.model_type)
    ]
    chosen = [*named, *usual, *_for_task("MODEL_MAPPING_NAMES", found.model_type)]
    if not chosen:
        raise ModelError(f"transformers has no model of type {found.model_type}", "name another type")
    return chosen[0]


def classes_of(model_type: str) -> tuple[str, ...]:
    """Every class that one of transformers' automatic classes would choose for a type."""
    tables = [
        name for name in dir(_auto("modeling")) if name.startswith("MODEL_") and name.endswith("_NAMES")
    ]
    return tuple(dict.fromkeys(name for table in tables for name in _for_task(table, model_type)))


def _for_task(table: str, model_type: str) -> Sequence[str]:
    found = getattr(_auto("modeling"), table, {}).get(model_type, ())
    return (found,) if isinstance(found, str) else tuple(found)


@contextmanager
def offline() -> Iterator[None]:
    """Inside the block, a constructor or forward that asks the hub for a file gets an error. The switch of
    the hub's client is set directly, since it reads the environment only when it is imported.
    """
    import huggingface_hub.constants as hub

    before, hub.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


@contextmanager
def running(model: PreTrainedModel, missing: Sequence[str] = ()) -> Iterator[None]:
    """The block in which the model runs: offline, without advice to install kernels, and with each loop over
    the tokens of a text as one operator. missing: settings that nobody gave, for the error of a forward.
    """
    from addercost.trace.whole_scans import whole_scans

    try:
        with offline(), _quiet(), whole_scans(model):
            yield
    except TraceError as error:
        if missing and "does not run on these inputs" in error.message:
            error.hint = f"name a config.json with the settings that it leaves open: {', '.join(missing)}"
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside the block, advice about weights that nobody loads is not printed."""
    logging = importlib.import_module("transformers.utils.logging")
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
