"""If, Loop and Scan: a known condition decides which branch is followed, and a known count how many rounds
are made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from addercost.errors import TraceError
from addercost.trace.onnx.values import Value, of_data, of_type
from addercost.trace.record import TensorSpec

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

Follow = Callable[["GraphProto", Mapping[str, Value]], list[Value]]
"""Follows a graph inside a node, given the graph's inputs by name, and returns its outputs."""

MOST_TURNS = 100_000


class UnknownFlowError(Exception):
    """Which way the graph goes depends on data. The message says which node."""


def branched(proto: NodeProto, inputs: Sequence[Value | None], follow: Follow) -> list[Value]:
    """The outputs of an If, from the branch that its condition selects. Raises UnknownFlowError if the
    condition is unknown.
    """
    if inputs[0] is None or not _is_known(inputs[0]):
        raise UnknownFlowError("the condition of an If depends on data")
    graphs = {entry.name: entry.g for entry in proto.attribute}
    return follow(graphs["then_branch" if _first(inputs[0]) else "else_branch"], {})


def looped(proto: NodeProto, inputs: Sequence[Value | None], follow: Follow) -> list[Value]:
    """The outputs of a Loop.

    Its inputs are the most rounds, a condition, and the values that are carried from round to round. The body
    gets the round's number, the condition and the carried values. It returns the next condition, the carried
    values, and values that are collected over all rounds. Raises UnknownFlowError if the number of rounds is
    unknown.
    """
    (graph,) = (entry.g for entry in proto.attribute if entry.name == "body")
    most, condition, *carried = inputs
    if not _is_known(most) or not _is_known(condition):
        raise UnknownFlowError("how often a Loop turns depends on data")
    limit = None if most is None else int(_first(most))
    going = condition is None or bool(_first(condition))
    state = [value for value in carried if value is not None]
    turns: list[list[Value]] = []
    names = [info.name for info in graph.input]
    while going and (limit is None or len(turns) < limit):
        _limit(len(turns))
        given = [_constant(np.int64(len(turns))), _constant(np.bool_(True)), *state]
        after, *results = follow(graph, dict(zip(names, given, strict=False)))
        state, collected = results[: len(state)], results[len(state) :]
        turns.append(collected)
        if not _is_known(after):
            raise UnknownFlowError("how often a Loop turns depends on data")
        going = bool(_first(after))
    outputs = [*state, *_collected(turns)]
    missing = len(proto.output) - len(outputs)
    return [*outputs, *[of_type(None, "activation")] * missing]


def scanned(proto: NodeProto, inputs: Sequence[Value | None], follow: Follow) -> list[Value]:
    """The outputs of a Scan, with one round for each element along the scanned axis. Raises UnknownFlowError
    if its length is unknown.
    """
    attributes = {entry.name: entry for entry in proto.attribute}
    graph, count = attributes["body"].g, attributes["num_scan_inputs"].i
    given = [value for value in inputs if value is not None]
    state, sequences = given[: len(given) - count], given[len(given) - count :]
    axes = list(attributes["scan_input_axes"].ints) if "scan_input_axes" in attributes else [0] * count
    lengths = {s.spec.shape[axis] for s, axis in zip(sequences, axes, strict=True)}
    if len(lengths) != 1 or not all(value.complete for value in given):
        raise UnknownFlowError("how often a Scan turns depends on data")
    slices = [
        Value(replace(s.spec, shape=_without(s.spec.shape, axis)))
        for s, axis in zip(sequences, axes, strict=True)
    ]
    names = [info.name for info in graph.input]
    turns: list[list[Value]] = []
    for turn in range(lengths.pop()):
        _limit(turn)
        results = follow(graph, dict(zip(names, [*state, *slices], strict=False)))
        state, collected = results[: len(state)], results[len(state) :]
        turns.append(collected)
    return [*state, *_collected(turns)]


FOLLOWED = {"If": branched, "Loop": looped, "Scan": scanned}


def _is_known(value: Value | None) -> bool:
    """Whether the input is left out or its data are known."""
    return value is None or value.data is not None


def _first(value: Value) -> Any:
    assert value.data is not None
    return value.data.reshape(-1)[0]


def _constant(number: Any) -> Value:
    return of_data(np.array(number), str(number.dtype))


def _collected(turns: Sequence[Sequence[Value]]) -> list[Value]:
    """What all rounds returned, along a new first axis."""
    if not turns:
        return []
    return [
        Value(
            TensorSpec((len(turns), *first.spec.shape), first.spec.dtype),
            complete=all(turn[i].complete for turn in turns),
        )
        for i, first in enumerate(turns[0])
    ]


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(n for i, n in enumerate(shape) if i != axis % len(shape))


def _limit(turns: int) -> None:
    if turns >= MOST_TURNS:
        raise TraceError(
            f"the ONNX graph has a loop of more than {MOST_TURNS:,} turns", "give smaller inputs"
        )
