"""The first sentences on a page of timings: how many times as long one kind of layer takes as another, as
measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from addercost.analysis.measured_contests import MeasuredContest, MeasuredSide, measured_contests
from addercost.report.subject_answer import ratio_text
from addercost.report.tables.profile_answer import LAYERS_AS
from addercost.report.tables.timings import device_text
from addercost.results.intervals import RatioOutcome
from addercost.results.measurements import Measurements
from addercost.units import si


def measured_answer(measurements: Measurements) -> Iterator[str]:
    """The sentences: one on the layers for each reference, and one on the first way to run the whole network.

    They name the fastest implementation of each kind of layer.
    """
    contests = measured_contests(measurements)
    of_networks = [contest for contest in contests if not contest.layers]
    named = [*(contest for contest in contests if contest.layers), *of_networks[:1]]
    on = f"Measured on {device_text(measurements)}: "
    for i, contest in enumerate(named):
        first = contest.reference
        if contest.layers > 1:
            what, verb = f"the {contest.layers} layers of {measurements.model} together take", "they take"
        else:
            part = "the one layer of" if contest.layers else "the whole of"
            what, verb = f"{part} {measurements.model} takes", "it takes"
        text = f"{what} {si(first.seconds, 's')} {_way(first)}{_others(_fastest(contest), verb)}."
        yield text[0].upper() + text[1:] if i else on + text
    if not named:
        count = len(measurements.rows)
        yield (
            f"{on}{count} timing{'s' * (count != 1)} of {measurements.model}. None was taken in turn with "
            "another, so nothing is compared."
        )


def kind_of_layer(arithmetic: str) -> str:
    """The words for a kind of layer: `adder layers`; for an arithmetic that is not ours, its name."""
    return {str(known): text for known, text in LAYERS_AS.items()}.get(arithmetic, arithmetic)


def _fastest(contest: MeasuredContest) -> list[MeasuredSide]:
    """The fastest side of every arithmetic except the reference's, among sides that have all layers. Sides in
    the reference's number format are preferred.
    """
    first = contest.reference
    found: dict[str, MeasuredSide] = {}
    for side in contest.sides[1:]:
        if side.arithmetic == first.arithmetic or side.left_out:
            continue
        known = found.get(side.arithmetic)
        if known is None or _rank(side, first) < _rank(known, first):
            found[side.arithmetic] = side
    return list(found.values())


def _rank(side: MeasuredSide, first: MeasuredSide) -> tuple[bool, float]:
    return side.dtype != first.dtype, side.ratio or 0.0


def _way(side: MeasuredSide) -> str:
    """The words for a way to run layers: `as multiply-adds (torch fp32)`."""
    by = " ".join(part for part in (side.implementation, side.dtype) if part)
    return f"as {kind_of_layer(side.arithmetic)} ({by})" if side.arithmetic else f"as {by}"


def _others(sides: Sequence[MeasuredSide], verb: str) -> str:
    """The clauses on the other sides: `; as adder layers (…) they take 1.58 times as long (95 % 1.56 to
    1.60)`.
    """
    parts: list[str] = []
    then = f" {verb}"
    for side in sides:
        if side.ratio is None:
            continue
        low, high = side.interval or (None, None)
        within = "too few samples for an interval"
        if low is not None and high is not None:
            within = f"95 % {ratio_text(low)} to {ratio_text(high)}"
        if side.outcome is RatioOutcome.CANNOT_TELL:
            parts.append(f"{_way(side)} the measurement cannot tell which is faster ({within})")
            continue
        parts.append(f"{_way(side)}{then} {ratio_text(side.ratio)} times as long ({within})")
        then = ""
    return "".join(f"; {part}" for part in parts)
