"""The rows of a benchmark in order, and how the calls of each are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from addercost.arithmetic import Arithmetic
from addercost.measure.case import CaseUse
from addercost.measure.contenders.choice import contenders, reference_of
from addercost.measure.contenders.contender import Contender, Place
from addercost.measure.devices.device import Call
from addercost.measure.layer_predictions import PredictLayer
from addercost.results.measurements import MeasuredRow

Make = Callable[[int | None], tuple[Call, Call | None]]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """A row that is to be timed.

    make: a function of the free bytes of memory that returns the call and its reference, after running each
    once. patience: the row's time limit as a multiple of that of a layer.
    """

    row: MeasuredRow
    make: Make
    patience: float = 1.0

    @property
    def key(self) -> str:
        """A name for the row in the journal, different for any two rows of a run."""
        return self.key_of(self.row)

    @staticmethod
    def key_of(row: MeasuredRow) -> str:
        return " | ".join((row.case or row.path or "model", row.arithmetic, row.implementation, row.dtype))


def layer_rows(
    uses: Sequence[CaseUse],
    arithmetics: Sequence[Arithmetic],
    dtypes: Sequence[str],
    place: Place,
    cache: str,
    predict: PredictLayer | None = None,
) -> Iterator[RowPlan]:
    """One row for each contender on each shape. Raises ArgumentError for an unknown number format."""
    chosen = list(contenders(place.device, arithmetics, dtypes))
    for use in uses:
        for contender in chosen:
            if not contender.computes(use.case):
                continue
            reference = reference_of(contender, place.device)
            row = MeasuredRow(
                path=use.paths[0],
                arithmetic=contender.arithmetic.value,
                samples_s=(),
                implementation=contender.implementation,
                dtype=contender.dtype,
                predicted=predict(use.case, contender) if predict is not None else (),
                paths=use.paths,
                positions=use.positions,
                case=use.case.text,
                cache=cache,
                includes=contender.includes,
                sites=use.case.sites,
                bytes_moved=contender.bytes_moved(use.case),
                limit=contender.limit,
                reference=reference.label if reference is not None else "",
            )
            yield RowPlan(row, _making(contender, reference, use, place))


def _making(contender: Contender, reference: Contender | None, use: CaseUse, place: Place) -> Make:
    def make(free_bytes: int | None) -> tuple[Call, Call | None]:
        call = contender.made(use.case, place, free_bytes)
        return call, None if reference is None else reference.made(use.case, place, free_bytes)

    return make
