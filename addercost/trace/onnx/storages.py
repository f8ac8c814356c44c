"""The memory of a graph's tensors. Each is in use from the call that makes it to the last call that reads it.

A graph has no variables that keep a tensor alive, unlike a Python model. Inputs and outputs belong to the
caller. A runtime may use less, because it also computes in place where nothing reads an input again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from addercost.trace.record import BUFFER, INPUT, PARAMETER, OpCall, Storage, TensorSpec


def graph_storages(
    calls: Sequence[OpCall],
    inputs: Iterable[TensorSpec],
    outputs: Iterable[TensorSpec],
    constants: Iterable[TensorSpec],
) -> tuple[Storage, ...]:
    """calls: in order; they share a tensor if they have the same TensorSpec object. constants: the tensors in
    the file.
    """
    found = [
        Storage(spec.n_bytes, PARAMETER if spec.role == PARAMETER else BUFFER)
        for spec in constants
        if spec.name
    ]
    places: dict[int, int] = {}
    for spec in inputs:
        places[id(spec)] = len(found)
        found.append(Storage(spec.n_bytes, INPUT))
    for index, call in enumerate(calls):
        read = [places[id(spec)] for spec in call.tensors() if id(spec) in places]
        for place in read:
            if found[place].freed is not None:
                found[place] = replace(found[place], freed=index)
        for spec in call.outputs:
            if "view" in call.tags and read:
                places[id(spec)] = read[0]
            else:
                places[id(spec)] = len(found)
                found.append(Storage(spec.n_bytes, made=index, freed=index))
    for spec in outputs:
        if id(spec) in places:
            found[places[id(spec)]] = replace(found[places[id(spec)]], freed=None)
    return tuple(found)
