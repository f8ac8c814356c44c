"""The time of all layers of a model together, from timings of one layer at a time."""

from __future__ import annotations

from dataclasses import dataclass

from addercost.results.measurements import Measurements


@dataclass(frozen=True, slots=True)
class LayerSum:
    """All layers of a model computed in one way, timed one by one and added up.

    complete: no layer is missing.
    """

    arithmetic: str
    implementation: str
    dtype: str
    seconds: float
    complete: bool

    @property
    def label(self) -> str:
        return f"{self.implementation} {self.dtype}"


def rows_missing(measurements: Measurements) -> int:
    """How many planned rows are missing because the run was stopped before it reached them."""
    planned = measurements.settings.get("rows", "")
    written = len(measurements.rows) + len(measurements.failed) + len(measurements.left_out)
    return max(0, int(planned) - written) if planned.isdecimal() else 0


def layer_sums(measurements: Measurements) -> tuple[LayerSum, ...]:
    """For each way to compute the layers: the sum of medians × the number of layers with that shape.

    No sum of a stopped run is complete, since its document does not name the shapes that it did not reach.
    """
    layers = [row for row in measurements.rows if row.case]
    everywhere = {row.case for row in layers} | {row.case for row in measurements.failed if row.case}
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in layers:
        parts = found.setdefault((row.arithmetic, row.implementation, row.dtype), {})
        parts[row.case] = row.times * row.median_s
    whole = not rows_missing(measurements)
    return tuple(
        LayerSum(*key, sum(parts.values()), whole and parts.keys() == everywhere)
        for key, parts in found.items()
    )
