"""`hf:llama`, `hf:FOLDER`, `hf:config.json`: a model of transformers by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from addercost.sources.kind import LoadedModel, SpecKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from addercost.sources.hub_config import HubConfig

PREFIX = "hf:"

_MOST_REAL_PARAMETERS = 250_000_000
"""A model with more parameters is not made with real weights if its forward needs values: so many take 1
GB.
"""


def _load(spec: str) -> LoadedModel:
    """Loads a model. A model that reads images gets an image with its text, if its image part runs without
    values.
    """
    from addercost.sources.transformers_images import reads_images, with_images, without_images

    loaded = load_class(spec, lambda found: found)
    model: Any = loaded.model
    if not reads_images(model) or "input_ids" not in signature(model.forward).parameters:
        return loaded
    given = loaded.inputs
    if given is not None and "pixel_values" in given.kwargs and "input_ids" in given.kwargs:
        return loaded
    inputs = with_images(model)
    if isinstance(inputs, str):
        return replace(loaded, notes=without_images(model, inputs), is_part=True)
    return replace(loaded, inputs=inputs, rebuild=None)


def load_class(spec: str, choose: Callable[[HubConfig], HubConfig]) -> LoadedModel:
    """The model of a SPEC. choose: changes the configuration to the class that is wanted, in place of the
    usual one.
    """
    from addercost.sources.hub_config import read_config

    return load_config(choose(read_config(spec.removeprefix(PREFIX))), spec)


def load_config(found: HubConfig, spec: str) -> LoadedModel:
    """The model of a configuration. spec: the user's text, for errors."""
    from addercost.sources.build import build
    from addercost.sources.transformers_inputs import usual_inputs
    from addercost.sources.transformers_models import make_model, open_settings, running
    from addercost.trace.refusals import wants_values

    def make() -> PreTrainedModel:
        return make_model(found)

    # The defaults of a type need not be the settings of any model.
    missing = open_settings(found)
    with_these = f"with {', '.join(missing)}, " if missing else ""
    model = build(
        make,
        spec,
        advice=f"name a config.json {with_these}whose settings agree",
        # torch says in many words that a tensor has no data, and always by a RuntimeError. Other errors are
        # about settings: then real weights, which may fill the memory, are not made.
        may_need_values=lambda error: isinstance(error, RuntimeError) or wants_values(error),
    )
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    rebuild = make if n_parameters <= _MOST_REAL_PARAMETERS else None
    return LoadedModel(
        found.name, model, usual_inputs(model), rebuild, around=partial(running, model, missing)
    )


def _complete(incomplete: str) -> Iterable[str]:
    """Completes only the prefix. Listing the model types would take seconds."""
    return [PREFIX] if PREFIX.startswith(incomplete) else []


TRANSFORMERS_MODEL = SpecKind(
    name="transformers",
    form="hf:llama[:CLASS]",
    summary="a model of transformers: a model type, config.json or its folder; nothing is downloaded",
    recognises=lambda spec: spec.startswith(PREFIX),
    load_model=_load,
    complete=_complete,
)
