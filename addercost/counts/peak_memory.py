"""The memory that a run needs for weights, inputs and results, from the storages of a trace.

A storage takes its bytes from the call that allocated it until nothing refers to it. Views and in-place
operators share their operand's storage. Not counted is what a kernel allocates and frees before it returns
(the column matrix of a convolution, oneDNN's reordered copies), and what an allocator adds by rounding up or
caching.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from addercost.errors import ArgumentError, unknown_name
from addercost.reading import Count
from addercost.trace.record import ACTIVATION, BUFFER, GRADIENT, INPUT, PARAMETER, Storage, Trace


class OptimizerState(NamedTuple):
    """What torch's optimizer stores for each parameter with a gradient: `copies` tensors of its size, and
    `more_bytes` more.
    """

    copies: int
    more_bytes: int


OPTIMIZERS: Mapping[str, OptimizerState] = MappingProxyType(
    {"sgd": OptimizerState(0, 0), "momentum": OptimizerState(1, 0), "adam": OptimizerState(2, 4)}
)
"""Plain SGD; SGD with momentum; Adam and AdamW, which also store a float32 step count for each parameter."""


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """The largest memory in use while a call of the layer runs."""

    path: str
    peak_bytes: Count


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """What a training step needs besides weights.

    optimizer: one of `OPTIMIZERS`. saved_bytes: what the forward has kept for the backward pass when that
    begins, outputs included. gradient_bytes: of the parameters' gradients. optimizer_bytes: of the state that
    the optimizer keeps from its first step on.
    """

    optimizer: str
    saved_bytes: Count
    gradient_bytes: Count
    optimizer_bytes: Count


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """The memory of a run, in bytes.

    weight_bytes: of parameters and buffers; a shared one counts once. input_bytes: of the inputs, which the
    caller keeps alive. peak_bytes: the largest amount in use at once, of weights, inputs and activations, and
    in training also gradients and the optimizer's state. peak_path: the layer that runs then. layers: the
    peak of each layer, in the order of the counts' rows.
    """

    weight_bytes: Count
    input_bytes: Count
    peak_bytes: Count
    peak_path: str
    layers: tuple[LayerMemory, ...]
    training: TrainingMemory | None = None


def memory_of(trace: Trace, optimizer: str | None = None) -> ModelMemory | None:
    """The memory of a traced run; None if the trace has no storages.

    optimizer: for a training step; "sgd" by default. Raises ArgumentError for an unknown optimizer, and for
    one with a trace that is not of a training step.
    """
    check_optimizer(optimizer)
    begin = next((call.index for call in trace.calls if "backward" in call.tags), None)
    if optimizer is not None and begin is None:
        raise ArgumentError(
            f"an inference of {trace.model} has no optimizer", "give --backward as well, or leave it out"
        )
    if trace.storages is None:
        return None
    training = _training(trace.storages, begin, optimizer or "sgd") if begin is not None else None
    weights = _bytes(trace.storages, PARAMETER, BUFFER)
    always = weights + (training.optimizer_bytes if training is not None else 0)
    in_use = [always + n for n in _in_use(trace.storages, len(trace.calls))]
    layers: dict[str, int] = {}
    for call, n_bytes in zip(trace.calls, in_use, strict=True):
        layers[call.module] = max(n_bytes, layers.get(call.module, 0))
    inputs = _bytes(trace.storages, INPUT)
    peak = max(in_use, default=always + inputs)
    return ModelMemory(
        weight_bytes=weights,
        input_bytes=inputs,
        peak_bytes=peak,
        peak_path=trace.calls[in_use.index(peak)].module if in_use else "",
        layers=tuple(LayerMemory(path, n_bytes) for path, n_bytes in layers.items()),
        training=training,
    )


def activation_peak_bytes(trace: Trace, kept_bytes: Iterable[int]) -> int | None:
    """The largest number of bytes that the results of calls take at once; None if the trace has no storages.

    kept_bytes: sizes of the storages that the forward leaves for the next one, such as a key-value cache.
    They do not count.
    """
    if trace.storages is None:
        return None
    kept = Counter(kept_bytes)
    passing = []
    for storage in trace.storages:
        if storage.kind != ACTIVATION:
            continue
        if storage.freed is None and kept[storage.n_bytes]:
            kept[storage.n_bytes] -= 1
        else:
            passing.append(storage)
    return max(_in_use(passing, len(trace.calls)), default=0)


def check_optimizer(name: str | None) -> None:
    """Raises ArgumentError for an unknown optimizer."""
    if name is not None and name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)


def _bytes(storages: Sequence[Storage], *kinds: str) -> int:
    return sum(storage.n_bytes for storage in storages if storage.kind in kinds)


def _in_use(storages: Sequence[Storage], calls: int) -> list[int]:
    """Bytes in use during each call, without weights."""
    changes = [0] * (calls + 1)
    for storage in storages:
        if storage.kind in (PARAMETER, BUFFER):
            continue
        changes[max(storage.made, 0)] += storage.n_bytes
        if storage.freed is not None:
            changes[storage.freed + 1] -= storage.n_bytes
    in_use, total = [], 0
    for change in changes[:calls]:
        total += change
        in_use.append(total)
    return in_use


def _training(storages: Sequence[Storage], begin: int, optimizer: str) -> TrainingMemory:
    """The memory of a training step. begin: the index of the first call of the backward pass."""
    kept = [s for s in storages if s.made < begin and (s.freed is None or s.freed >= begin)]
    gradients = [storage for storage in storages if storage.kind == GRADIENT]
    state = OPTIMIZERS[optimizer]
    return TrainingMemory(
        optimizer=optimizer,
        saved_bytes=_bytes(kept, ACTIVATION),
        gradient_bytes=_bytes(gradients, GRADIENT),
        optimizer_bytes=sum(state.copies * storage.n_bytes + state.more_bytes for storage in gradients),
    )
