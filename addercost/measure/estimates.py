"""Adds estimates to saved timings that have none, or replaces those of another table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from addercost.cost.matrix_units import LEAD
from addercost.counts.arithmetics import WITH_LAYERS
from addercost.errors import ArgumentError
from addercost.measure.case import read_case
from addercost.measure.contenders.choice import contenders
from addercost.measure.contenders.contender import DTYPES
from addercost.measure.layer_predictions import PredictLayer
from addercost.measure.limit_faults import with_faults
from addercost.results.measurements import NO_ESTIMATES, MeasuredRow, Measurements


def with_estimates(
    measurements: Measurements, predict: PredictLayer, cpus: tuple[str, ...], notes: Iterable[str] = ()
) -> Measurements:
    """The timings with new estimates: every row of a layer gets what `predict` returns for its shape, if the
    cost models estimate the same work.

    Rows of whole models lose their estimates. Their shapes are not in the document, and their old estimates
    may be by another table. cpus: the names of the tables that `predict` uses. notes: notes on these tables,
    which replace the document's. Raises ArgumentError for timings of anything but one core of a CPU.
    """
    device = measurements.settings.get("device", "cpu")
    threads = measurements.environment.get("threads", "1")
    if device != "cpu" or threads != "1":
        on = f"{threads} threads" if device == "cpu" else device
        raise ArgumentError(f"these timings are of {on}", "estimates are of one core: leave --cpu out")
    made_by = {
        (made.arithmetic.value, made.implementation, made.dtype): made
        for made in contenders(torch.device("cpu"), WITH_LAYERS, tuple(DTYPES))
    }

    def estimated(row: MeasuredRow) -> MeasuredRow:
        contender = made_by.get((row.arithmetic, row.implementation, row.dtype))
        if not row.case or contender is None:
            return with_faults(replace(row, predicted=()))
        return with_faults(replace(row, predicted=predict(read_case(row.case), contender)))

    return replace(
        measurements,
        rows=tuple(map(estimated, measurements.rows)),
        settings={**measurements.settings, "cpus": ",".join(cpus)},
        notes=(*(note for note in measurements.notes if not note.startswith((NO_ESTIMATES, LEAD))), *notes),
    )
