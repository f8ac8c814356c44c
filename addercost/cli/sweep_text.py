"""The lines that a sweep prints: the forecast, and the result."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addercost.sweep.forecast import Forecast
    from addercost.sweep.run_chunks import SweepReport


def forecast_text(what: Forecast) -> str:
    text = (
        f"{_several(what.architectures, 'architecture')}, {_several(what.rows, 'row')} in "
        f"{_several(what.chunks, 'shard')}\n"
        f"about {duration(what.seconds)} on {_several(what.workers, 'worker')}, "
        f"going by {_several(what.sampled, 'architecture')} traced here"
    )
    return text + (f", of which {what.failed} failed\n" if what.failed else "\n")


def report_text(what: SweepReport, table: str = "sweep") -> str:
    """The remarks, then the result. table: the table in which a query finds the rows."""
    before = f", {what.chunks_done_before:,} of them there before" if what.chunks_done_before else ""
    lines = [
        *(f"addercost: {remark}" for remark in what.remarks),
        f"{_several(what.architectures, 'architecture')}, {_several(what.rows, 'row')} in "
        f"{_several(what.chunks, 'shard')}{before}, {what.folder}",
    ]
    if what.failed:
        sql = f"SELECT name, error FROM {table} WHERE error IS NOT NULL"
        lines.append(
            f"{_several(what.failed, 'architecture')} failed; why: "
            f'addercost query {shlex.quote(str(what.folder))} "{sql}"'
        )
    return "".join(f"{line}\n" for line in lines)


def duration(seconds: float) -> str:
    """`75 s`, `12 min`, `3.5 h`: two digits, since a forecast is no more exact."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
