"""A space of the models of a catalogue whose names match a shell pattern: `zoo:*`, `torchvision:resnet*`."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from addercost.errors import unknown_name
from addercost.sources.registry import catalogued
from addercost.sweep.spaces.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn


def catalogue_models(spec: str) -> Sequence[Architecture]:
    """spec: `KIND:PATTERN`, and for the zoo also `KIND:PATTERN:ARITHMETIC`, of a kind that has a catalogue.

    Raises ArgumentError where no name fits.
    """
    kind, _, pattern = spec.partition(":")
    found = catalogued(kind)
    assert found is not None and found.catalogue is not None
    catalogue = found.catalogue
    known = catalogue.names()
    name, _, _ = pattern.partition(":")
    fitting = [item for item in known if fnmatch.fnmatchcase(item, name)]
    if not fitting:
        raise unknown_name(f"{kind} model", name, known)
    rest = pattern[len(name) :]
    return [_architecture(f"{kind}:{item}{rest}", catalogue.input_shape, item) for item in fitting]


def _architecture(spec: str, input_shape: Callable[[str], tuple[int, ...]], name: str) -> Architecture:
    def make() -> nn.Module:
        from addercost.sources.loading import load_model

        return load_model(spec).model

    def make_whole() -> nn.Module:
        from addercost.sources.loading import load_model

        loaded = load_model(spec)
        return loaded.rebuild() if loaded.rebuild is not None else loaded.model

    def inputs(batch: int) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        import torch

        images, *shape = input_shape(name)
        return (torch.empty((images * batch, *shape), device="meta"),), {}

    return Architecture(spec.partition(":")[2], make, inputs, make_whole=make_whole)
