"""Measured and predicted layers as tracks for chrome://tracing and Perfetto.

There are two processes, one of measurements and one of predictions, so that no track mixes them. In a track
the layers of the model follow each other in order. A measured layer is as long as its median, and a predicted
one as its estimate. Source of the format: "Trace Event Format", Google, 2016.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from addercost.results.measurements import MeasuredRow, Measurements
from addercost.text import printable

_MICRO = 1e6
MEASURED, PREDICTED = 1, 2


def to_chrome_trace(measurements: Measurements) -> str:
    """The format's JSON object form, with times in microseconds."""
    events: list[dict[str, Any]] = [
        _named("process_name", MEASURED, 0, f"measured: {measurements.model}"),
        _named("process_name", PREDICTED, 0, f"predicted (estimates): {measurements.model}"),
    ]
    tracks: dict[tuple[int, str], list[tuple[MeasuredRow, float]]] = {}
    for row in measurements.rows:
        name = " ".join((row.arithmetic, row.implementation, row.dtype))
        tracks.setdefault((MEASURED, name), []).append((row, row.median_s))
        for p in row.predicted:
            track = f"{row.arithmetic} {row.dtype}, {p.model} on {p.hardware}"
            tracks.setdefault((PREDICTED, track), []).append((row, p.seconds))
    for thread, ((process, name), rows) in enumerate(tracks.items(), 1):
        events.append(_named("thread_name", process, thread, name))
        events += _layers(rows, process, thread)
    return (
        json.dumps(
            {
                "traceEvents": events,
                "displayTimeUnit": "ns",
                "otherData": {k: printable(v) for k, v in measurements.environment.items()},
            },
            indent=1,
        )
        + "\n"
    )


def _layers(rows: list[tuple[MeasuredRow, float]], process: int, thread: int) -> Iterator[dict[str, Any]]:
    placed: dict[int, tuple[str, MeasuredRow, float]] = {}
    for row, seconds in rows:
        places = zip(row.positions or (0,), row.paths or (row.path,), strict=False)
        # Several implementations of a layer have the same prediction, which the track shows once.
        placed |= {position: (path, row, seconds) for position, path in places}
    start = 0.0
    for position in sorted(placed):
        path, row, seconds = placed[position]
        yield {
            "name": printable(path or "(model)"),
            "ph": "X",
            "pid": process,
            "tid": thread,
            "ts": start,
            "dur": seconds * _MICRO,
            "args": {"shape": row.case, "sites": row.sites, "converged": row.converged},
        }
        start += seconds * _MICRO


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": printable(name)}}
