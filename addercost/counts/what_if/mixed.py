"""A bit width for each layer's weights, from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from addercost.counts.what_if.narrow import in_bits
from addercost.counts.what_if.registry import alternative
from addercost.errors import ArgumentError, unknown_name
from addercost.input_files import read_text
from addercost.reading import Limits, json_data, read_as, toml_data
from addercost.trace.record import Trace

_MOST_BITS = 16


@dataclass(frozen=True, slots=True)
class _File:
    bits: Mapping[str, Annotated[int, Limits(least=2, below=_MOST_BITS + 1)]]


@dataclass(frozen=True, slots=True)
class LayerWidths:
    """Bits of a weight by pattern of a layer's path, such as "features.*".

    A layer takes the first pattern that matches. A layer that none matches stays as it is. source: the file.
    """

    bits: Mapping[str, int]
    source: str


def _read(text: str, name: str, parameter: str) -> LayerWidths:
    """Reads the file. Raises ArgumentError without a file name, and DataError for a file of another form."""
    if not text:
        raise ArgumentError(f"what-if {name} needs a {parameter}", f"as {name}:widths.toml")
    content = read_text(Path(text))
    data = json_data(content, text) if text.endswith(".json") else toml_data(content, text)
    return LayerWidths(read_as(_File, data, text).bits, text)


@alternative(
    "mixed",
    "each layer's weights in the bits that a file gives it, computed in int8 or int16, as int4 is",
    'TOML or JSON file of bits by layer: bits = {"conv1" = 8, "layer*" = 4}',
    _read,
    "mixed:FILE",
)
def mixed(trace: Trace, layers: frozenset[int], widths: LayerWidths) -> Trace:
    """The same sites, whose weights take the bytes of their widths. Raises ArgumentError for a pattern that
    matches no layer.

    Source: Wang et al., CVPR 2019 (HAQ): a width for each layer.
    """
    paths = dict.fromkeys(trace.calls[i].module for i in sorted(layers))
    for pattern in widths.bits:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise unknown_name(f"layer in {widths.source}", pattern, paths)
    calls = list(trace.calls)
    for i in layers:
        fitting = [bits for pattern, bits in widths.bits.items() if fnmatchcase(calls[i].module, pattern)]
        if fitting:
            calls[i] = in_bits(calls[i], fitting[0])
    return replace(trace, calls=tuple(calls))
