"""`hf:llama`, `hf:FOLDER`, `hf:config.json`: a model of transformers by its configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from addercost.sources.kind import LoadedModel, SpecKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from addercost.sources.hub_config import HubConfig

PREFIX = "hf:"

_MOST_REAL_PARAMETERS = 250_000_000
"""A model with more is not made with real weights, should its forward need values: they are 1 GB."""


def _load(spec: str) -> LoadedModel:
    return load_class(spec, lambda found: found)


def load_class(spec: str, choose: Callable[[HubConfig], HubConfig]) -> LoadedModel:
    """The model of a SPEC. choose: names the class to make, where the usual one is not wanted."""
    from addercost.sources.build import build
    from addercost.sources.hub_config import read_config
    from addercost.sources.transformers_inputs import usual_inputs
    from addercost.sources.transformers_models import make_model

    found = choose(read_config(spec.removeprefix(PREFIX)))

    def make() -> PreTrainedModel:
        return make_model(found)

    model = build(make, spec)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    rebuild = make if n_parameters <= _MOST_REAL_PARAMETERS else None
    return LoadedModel(found.name, model, usual_inputs(model), rebuild)


def _complete(incomplete: str) -> Iterable[str]:
    """The prefix alone: to list the model types takes seconds, for which no shell should wait."""
    return [PREFIX] if PREFIX.startswith(incomplete) else []


TRANSFORMERS_MODEL = SpecKind(
    name="transformers",
    form="hf:llama[:CLASS]",
    summary="a model of transformers: a model type, config.json or its folder; nothing is downloaded",
    recognises=lambda spec: spec.startswith(PREFIX),
    load_model=_load,
    complete=_complete,
)
