"""`zoo:lenet5-bn` and `zoo:lenet5-bn:adder`: the networks of the paper's tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from addercost.arithmetic import Arithmetic, arithmetic_named
from addercost.counts.arithmetics import WITH_LAYERS, layered
from addercost.errors import unknown_name
from addercost.sources.kind import Catalogue, LoadedModel, SpecKind

if TYPE_CHECKING:
    from torch import nn

PREFIX = "zoo:"


def _load(spec: str) -> LoadedModel:
    from addercost.models.zoo import ZOO
    from addercost.sources.build import build
    from addercost.trace.inputs import one_image

    text = spec.removeprefix(PREFIX)
    name, colon, suffix = text.partition(":")
    if name not in ZOO:
        raise unknown_name("zoo model", name, ZOO)
    arithmetic = layered(arithmetic_named(suffix)) if colon else Arithmetic.MAC
    entry = ZOO[name]

    def make() -> nn.Module:
        return entry.build(arithmetic)

    return LoadedModel(
        text,
        build(make, spec),
        one_image(entry.input_shape),
        make,
        with_classes=lambda classes: entry.build(arithmetic, classes),
    )


def _names() -> Sequence[str]:
    from addercost.models.zoo import ZOO

    return tuple(ZOO)


def _input_shape(name: str) -> tuple[int, ...]:
    from addercost.models.zoo import ZOO

    return ZOO[name.partition(":")[0]].input_shape


def _complete(incomplete: str) -> Iterable[str]:
    """Completes the names of networks, and after a network's full name its arithmetics."""
    if not incomplete.startswith(PREFIX):
        return [PREFIX] if PREFIX.startswith(incomplete) else []
    name, colon, _ = incomplete.removeprefix(PREFIX).partition(":")
    specs = [f"{PREFIX}{known}" for known in _names()]
    if colon:
        specs = [f"{PREFIX}{name}:{arithmetic}" for arithmetic in WITH_LAYERS]
    return [spec for spec in specs if spec.startswith(incomplete)]


ZOO_MODEL = SpecKind(
    name="zoo",
    form="zoo:lenet5-bn[:adder]",
    summary="a network of the paper's tables, here with adder layers; also :xnor and :shift",
    recognises=lambda spec: spec.startswith(PREFIX),
    load_model=_load,
    complete=_complete,
    catalogue=Catalogue(_names, _input_shape),
)
