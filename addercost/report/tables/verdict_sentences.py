"""A contest in one sentence: which side wins, by how much, and what limits it."""

from __future__ import annotations

from collections.abc import Iterator

from addercost.analysis.network_verdict import VerdictRow
from addercost.analysis.prediction_gap import PredictionGap, Side
from addercost.cost.verdict import Contest
from addercost.results.intervals import RatioOutcome
from addercost.results.intervals import verdict as judged
from addercost.results.network_ratio import NetworkRatio

OTHERS = {"adder": "additions", "xnor": "binary layers", "shift": "shifts"}
"""The words for the side without convolutions, by its arithmetic."""


def sentence(row: VerdictRow, device: str) -> str:
    """The sentence on one row. device: the device of the timings, in words."""
    parts = [*_calibrated_words(row), _measured_words(row, device), *_agreement(row)]
    here = row.here
    if here is not None and here.ratio is not None:
        words = f"{here.model} on {here.hardware} predicts: {_winner(row, here.ratio)}{_limits(here.bounds)}"
        parts.insert(len(parts) if row.calibrated else 0, words)
    if row.gap is not None:
        parts.append(_gap_words(row.gap))
    parts[0] = f"{row.contest.name}: {parts[0]}"
    if row.paper.ratio is not None:
        who = "" if row.contest.is_the_papers else f", applied by us to {_what(row.contest)}"
        at = f", {row.paper.site_cycles} cycles a site" if row.paper.site_cycles else ""
        parts.append(f"the paper's rule{who}: {_winner(row, row.paper.ratio)}{at}")
    parts += [
        f"energy at {energy.hardware}: {_energy_words(row, energy.ratio)}"
        for energy in row.energies
        if energy.ratio is not None
    ]
    return "; ".join(parts)


def _calibrated_words(row: VerdictRow) -> Iterator[str]:
    """The clause on the prediction from kernels that were timed here."""
    found = row.calibrated
    if found is None:
        return
    if found.ratio is None or found.interval is None:
        yield f"{found.model} predicts nothing: {found.missing}"
        return
    low, high = found.interval
    if low < 1 < high:
        won = f"no clear winner, {found.ratio:.2f}× (nine of ten {low:.2f}× to {high:.2f}×)"
    else:
        ends = sorted((_as_won(low), _as_won(high)))
        won = f"{_won(row, found.ratio)} (nine of ten {ends[0]:.2f}× to {ends[1]:.2f}×)"
    yield f"{found.model} on {found.hardware} predicts: {won}"


def _agreement(row: VerdictRow) -> Iterator[str]:
    """Words on whether this prediction and the measurement are within each other's intervals, or else which
    side differs.
    """
    found, measured = row.calibrated, row.measured
    if found is None or measured is None or found.interval is None or found.seconds is None:
        return
    low, high = found.interval
    if measured.high >= low and measured.low <= high:
        yield "these two agree within their intervals"
        return
    other = OTHERS[row.contest.arithmetic]
    times = {
        "convolutions": measured.reference_s / found.seconds[0],
        other: measured.own_s / found.seconds[1],
    }
    side = max(times, key=lambda name: _as_won(times[name]))
    yield (
        "THESE TWO DISAGREE beyond their intervals: "
        f"{side} take {times[side]:.2f}× what {found.model} predicts"
    )


def same_winner(predicted: float | None, measured: NetworkRatio) -> bool | None:
    """Whether prediction and measurement have the same winner; None where the prediction is a tie or the
    measurement cannot tell.
    """
    if predicted is None or _ties(predicted) or measured.verdict is RatioOutcome.CANNOT_TELL:
        return None
    return (predicted > 1) == (measured.ratio > 1)


def _gap_words(gap: PredictionGap) -> str:
    """Words on whether prediction and measurement agree, how far each side is from its prediction, and
    why.
    """
    heads = {True: "the same winner", False: "THE PREDICTED WINNER LOSES", None: "no clear winner in both"}
    sides = ", ".join(f"{side.name} take {side.times:.2f}× what is predicted" for side in _sides(gap))
    return f"{heads[gap.same_winner]}: {sides} ({gap.to_blame.name}: {gap.to_blame.reason})"


def _sides(gap: PredictionGap) -> tuple[Side, Side]:
    return gap.convolutions, gap.other


def _what(contest: Contest) -> str:
    return OTHERS[contest.arithmetic] if contest.name == "binary" else contest.name


def _measured_words(row: VerdictRow, device: str) -> str:
    measured = row.measured
    if measured is None:
        return f"not measured{f' ({row.why_not})' if row.why_not else ''}"
    at = ""
    if measured.share_of_limit is not None:
        share = 100 * measured.share_of_limit
        at = (
            f", {OTHERS[row.contest.arithmetic]} running at {f'{share:.0f}' if share >= 1 else 'under 1'} % "
            "of their limit there"
        )
    if measured.verdict is RatioOutcome.CANNOT_TELL:
        return f"measured on {device}: cannot tell (95 % {measured.low:.3f}× to {measured.high:.3f}×){at}"
    low, high = sorted((_as_won(measured.low), _as_won(measured.high)))
    won = f"{_won(row, measured.ratio)} (95 % {low:.2f}× to {high:.2f}×)"
    return f"measured on {device}: {won}{at}"


def _winner(row: VerdictRow, ratio: float) -> str:
    if _ties(ratio):
        return f"convolutions and {OTHERS[row.contest.arithmetic]} tie"
    return _won(row, ratio)


def _won(row: VerdictRow, ratio: float) -> str:
    other = OTHERS[row.contest.arithmetic]
    return f"{other if ratio > 1 else 'convolutions'} win by {_as_won(ratio):.2f}×"


def _energy_words(row: VerdictRow, ratio: float) -> str:
    other = OTHERS[row.contest.arithmetic]
    if _ties(ratio):
        return "equal"
    return f"{'convolutions' if ratio > 1 else other} need {_as_won(ratio):.2f}× as much"


def _ties(ratio: float) -> bool:
    """Whether a predicted ratio is a tie. The prediction has no interval, so the ratio is used for both
    ends.
    """
    return judged((ratio, ratio)) is RatioOutcome.CANNOT_TELL


def _as_won(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def _limits(bounds: tuple[str, str]) -> str:
    first, other = bounds
    if not first or not other:
        return ""
    if first == other:
        return f", both limited by {first}"
    return f", convolutions limited by {first}, the others by {other}"
