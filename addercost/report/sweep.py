"""What a sweep is going to be and what it was, in a line or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from addercost.sweep.forecast import Forecast
    from addercost.sweep.run import SweepReport


def forecast_text(what: Forecast) -> str:
    text = (
        f"{what.architectures:,} architectures, {what.rows:,} rows in {_shards(what.chunks)}\n"
        f"about {duration(what.seconds)} on {what.workers} worker{'' if what.workers == 1 else 's'}, "
        f"going by {what.sampled} architectures traced here"
    )
    return text + (f", of which {what.failed} failed\n" if what.failed else "\n")


def report_text(what: SweepReport) -> str:
    """Remarks first, one a line."""
    before = f", {what.chunks_done_before:,} of them there before" if what.chunks_done_before else ""
    failed = f"; {what.failed:,} architectures failed: see the column error" if what.failed else ""
    return "".join(f"addercost: {remark}\n" for remark in what.remarks) + (
        f"{what.architectures:,} architectures, {what.rows:,} rows in {_shards(what.chunks)}{before}, "
        f"{what.folder}{failed}\n"
    )


def duration(seconds: float) -> str:
    """`75 s`, `12 min`, `3.5 h`: two digits are all a forecast is worth."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _shards(number: int) -> str:
    return f"{number:,} shard" + ("" if number == 1 else "s")
