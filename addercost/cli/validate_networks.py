"""The networks that `addercost validate` times, found by patterns of names."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from addercost.sweep.spaces.kinds import space_source
from addercost.sweep.spaces.space import Space

if TYPE_CHECKING:
    from addercost.measure.validation.networks import ValidationNetwork
    from addercost.sweep.spaces.architecture import Architecture


def named_networks(
    patterns: str, sample: int | None, dtype: str = "fp32", compiled: bool = False
) -> list[ValidationNetwork]:
    """The networks of all spaces in a comma-separated list. sample: how many of each space, chosen by a hash.
    dtype: the number format in which they run. compiled: through torch.compile.

    Raises ArgumentError where a pattern names no space.
    """
    return [
        _network(architecture, pattern, dtype, compiled)
        for pattern in dict.fromkeys(text.strip() for text in patterns.split(","))
        for architecture in _members(pattern, sample)
    ]


def _members(pattern: str, sample: int | None) -> list[Architecture]:
    space = Space(space_source(pattern))
    names = list(space.names())
    if sample is None or sample >= len(names):
        return list(space.slice(0, len(names)))
    drawn = sorted(range(len(names)), key=lambda i: hashlib.sha256(names[i].encode()).digest())[:sample]
    return [found for i in sorted(drawn) for found in space.slice(i, i + 1)]


def _network(architecture: Architecture, pattern: str, dtype: str, compiled: bool) -> ValidationNetwork:
    from addercost.measure.validation.networks import ValidationNetwork
    from addercost.measure.whole_model import COMPILED, EAGER

    args, kwargs = architecture.inputs(1)
    # Several kinds of SPEC have models of equal name, so the row has the SPEC.
    kind, colon, _ = pattern.partition(":")
    return ValidationNetwork(
        f"{kind}{colon}{architecture.name}" if colon else architecture.name,
        architecture.make_whole or architecture.make,
        (*args, *kwargs.values()),
        dtype,
        COMPILED if compiled else EAGER,
    )
