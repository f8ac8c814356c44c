"""Compares published timings with predictions. Each network is traced with the inputs with which it was
timed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from addercost.cost.target import Target
from addercost.errors import AddercostError, ArgumentError, unknown_name
from addercost.measure.contenders.contender import TENSOR_DTYPES
from addercost.measure.validation.predictions import network_row
from addercost.results.published_timings import PublishedTiming
from addercost.results.validation import SkippedRow, Validation, ValidationRow
from addercost.results.validation_journal import Entry, open_journal
from addercost.sources.kind import TraceRequest
from addercost.sources.loading import load_model
from addercost.sources.tracing import trace_loaded
from addercost.trace.inputs import ModelInputs
from addercost.trace.record import Trace

Said = Callable[[int, Entry], None]
"""A callback that gets the number of the row and the row, or the reason why there is none."""


def chosen(timings: Sequence[PublishedTiming], most: int | None) -> tuple[PublishedTiming, ...]:
    """At most `most` of the timings: those whose labels have the smallest hashes, so that the choice is
    always the same.
    """
    if most is None or most >= len(timings):
        return tuple(timings)
    by_hash = sorted(range(len(timings)), key=lambda i: _hash(timings[i].label))
    return tuple(timings[i] for i in sorted(by_hash[:most]))


def published(
    timings: Sequence[PublishedTiming],
    source: str,
    prefix: str,
    target: Target,
    models: Sequence[str],
    conditions: Mapping[str, str],
    dtype: str = "fp32",
    output: Path | None = None,
    said: Said = lambda number, entry: None,
) -> Validation:
    """Predictions for every timing whose network can be traced; the others are listed as skipped.

    prefix: the text that makes a model's name a SPEC, such as `timm:`. output: the path of the result; rows
    are kept in a journal beside it. Raises ArgumentError where no network is known.
    """
    if dtype not in TENSOR_DTYPES:
        raise unknown_name("number format", dtype, TENSOR_DTYPES)
    settings = {"source": source, "hardware": target.name, "models": ",".join(models), "prefix": prefix}
    journal = open_journal(output, {**settings, **conditions, "timings": str(len(timings))})
    for number, timing in enumerate(timings, 1):
        if timing.label not in journal.entries:
            journal.add(_row(timing, prefix, target, models, dtype))
        said(number, journal.entries[timing.label])
    entries = [journal.entries[label] for label in dict.fromkeys(timing.label for timing in timings)]
    rows = tuple(entry for entry in entries if isinstance(entry, ValidationRow))
    skipped = tuple(entry for entry in entries if isinstance(entry, SkippedRow))
    if not rows:
        raise ArgumentError(
            f"none of the {len(timings)} networks of {source} can be traced: {skipped[0].name}: "
            f"{skipped[0].reason}",
            "give the --prefix that makes a SPEC of a name, such as timm: or torchvision:",
        )
    repeated = len(timings) - len(entries)
    notes = (f"{repeated} timings repeat a network: the first of each is taken",) if repeated else ()
    return Validation(source, target.name, conditions, rows, skipped=skipped, notes=notes)


def _row(
    timing: PublishedTiming, prefix: str, target: Target, models: Sequence[str], dtype: str
) -> ValidationRow | SkippedRow:
    try:
        trace = traced(f"{prefix}{timing.model}", timing.batch, timing.size, dtype)
        return network_row(trace, timing.label, timing.seconds, target, models)
    except AddercostError as error:
        return SkippedRow(timing.label, error.message)


def traced(spec: str, batch: int, size: int | None, dtype: str) -> Trace:
    """The trace of one forward of a network on images, with weights and images in `dtype`.

    size: pixels along each side of an image; None for the network's own size. Raises AddercostError where the
    network cannot be traced.
    """
    import torch

    loaded = load_model(spec)
    if loaded.inputs is None or not loaded.inputs.args:
        raise ArgumentError(f"{spec} comes without inputs", "name networks of known inputs")
    wanted = TENSOR_DTYPES[dtype]
    images = loaded.inputs.args[0]
    shape = [batch * images.shape[0], *images.shape[1:]]
    if size is not None:
        shape[-2:] = size, size
    inputs = ModelInputs((torch.empty(shape, dtype=wanted, device="meta"),))
    if wanted != torch.float32:
        loaded = replace(loaded, model=loaded.model.to(wanted), rebuild=None)
    return trace_loaded(loaded, inputs, TraceRequest(tracer="blocks"))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
