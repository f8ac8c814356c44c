"""Cards at the top of a model's part of the page. A card shows one quantity of all networks, as bars and
ratios.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from addercost.analysis.bounds import bound_sign
from addercost.analysis.leading_estimates import energies_by_table, leading_estimates
from addercost.analysis.measured_contests import MeasuredContest, MeasuredSide, measured_contests
from addercost.arithmetic import Arithmetic, OpClass
from addercost.report.subject_answer import ratio_text, ratio_to_first
from addercost.results.intervals import RatioOutcome
from addercost.results.measurements import Measurements
from addercost.results.report import LEAST_CHARGED, EnergyEstimated, Estimated, Subject, network_name
from addercost.text import printable
from addercost.units import si

_COLOURS = {str(arithmetic): i for i, arithmetic in enumerate(Arithmetic)}
"""The numbers of the figures' colours. An arithmetic has the same colour in every card of timings."""


@dataclass(frozen=True, slots=True)
class CardBar:
    """The bar of one network. value: the printed figure. exact: the figure with all digits. percent: the
    bar's length relative to the longest bar. colour: the number of its colour; None for the bar's position in
    the card.
    """

    name: str
    value: str
    exact: str
    percent: float
    ratio: str = ""
    colour: int | None = None


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    remark: str
    bars: tuple[CardBar, ...]


def cards(subject: Subject) -> Iterator[Card]:
    """The cards of a model: seconds on every processor, joules by every table, multiplications and
    additions.
    """
    for hardware, own in leading_estimates(subject).items():
        unit = "cycles" if any(e.seconds is None for e in own) else "s"
        values = [e.cycles if e.seconds is None or unit == "cycles" else e.seconds for e in own]
        yield _estimated(f"time on {hardware}", f"{own[0].model} model, estimates", own, values, unit)
    for made in energies_by_table(subject).values():
        joules = [energy.joules for energy in made]
        remark = "estimates" if made[0].memories else "estimates without memory"
        yield _estimated(made[0].title, remark, made, joules, "J")
    for op_class, title in ((OpClass.MUL, "multiplications"), (OpClass.ADD, "additions")):
        yield _counted(subject, op_class, title)


def facts(subject: Subject) -> str:
    """The facts that all networks share: parameters and memory."""
    counts, memory = subject.first.counts, subject.first.memory
    text = f"{si(counts.parameters)} parameters"
    if memory is not None:
        text += f"; {si(memory.peak_bytes, 'B')} of memory in use at most, in {memory.peak_path or '(model)'}"
    return printable(f"{text}.")


def measured_cards(measurements: Measurements) -> Iterator[Card]:
    """A card for each reference, with the contenders that were timed in turn with it and their ratios to
    it.
    """
    for contest in measured_contests(measurements):
        together = "layer by layer, added up" if contest.layers > 1 else "one layer"
        first = contest.reference
        by = " ".join(part for part in (first.implementation, first.dtype) if part)
        longest = max(side.ratio or 1.0 for side in contest.sides if not side.left_out)
        bars = tuple(_measured_bar(side, contest, longest) for side in contest.sides)
        remark = f"measured, {together if contest.layers else 'one run of the whole network'}"
        yield Card(printable(f"time by that of {by}" if len(bars) > 1 else f"time of {by}"), remark, bars)


def _measured_bar(side: MeasuredSide, contest: MeasuredContest, longest: float) -> CardBar:
    """The bar of a side. A side that lacks layers has a ratio over the other layers, and no time of the whole
    network.
    """
    first = contest.reference
    by = [side.implementation] if side.implementation != first.implementation or contest.layers else []
    by += [side.dtype] if side.dtype != first.dtype else []
    name = f"{side.arithmetic} {', '.join(by)}".strip()
    if side.left_out:
        value = f"{contest.layers - side.left_out} of {contest.layers} layers"
        exact = "not timed in the other layers"
    else:
        value, exact = si(side.seconds, "s"), f"{side.seconds!r} s"
    percent = 0.0 if side.left_out else 100 * (side.ratio or 1.0) / longest
    ratio = "" if side.ratio is None else f"{ratio_text(side.ratio)}×"
    if side.interval is not None:
        low, high = side.interval
        exact += f"; ratio 95 % {low:.4f} to {high:.4f}"
        ratio = "cannot tell" if side.outcome is RatioOutcome.CANNOT_TELL else ratio
    elif side.ratio is not None:
        ratio = "cannot tell"
    return CardBar(
        printable(name), value, exact, percent, ratio, _COLOURS.get(side.arithmetic, len(_COLOURS) - 1)
    )


def _estimated(
    title: str,
    remark: str,
    made: Sequence[Estimated | EnergyEstimated],
    values: Sequence[float],
    unit: str,
) -> Card:
    known = [e.charged >= LEAST_CHARGED for e in made]
    longest = max((value for value, is_known in zip(values, known, strict=True) if is_known), default=0)
    bars = []
    for e, value, is_known in zip(made, values, known, strict=True):
        mark = "" if e.complete else "≥ "
        shown = si(value, unit) if unit != "cycles" else f"{si(value)} cycles"
        bars.append(
            CardBar(
                printable(e.arithmetic),
                f"{mark}{shown}" if is_known else "no figures",
                f"{mark}{value!r} {unit}"
                if is_known
                else "the table lacks figures for more than a tenth of it",
                100 * value / longest if is_known and longest else 0.0,
                _ratio(made[0], e) if e is not made[0] else "",
            )
        )
    return Card(printable(title), remark, tuple(bars))


def _ratio(first: Estimated | EnergyEstimated, other: Estimated | EnergyEstimated) -> str:
    ratio = ratio_to_first(first, other)
    if ratio is None:
        return ""
    return f"{bound_sign(ratio)}{ratio_text(ratio)}×"


def _counted(subject: Subject, op_class: OpClass, title: str) -> Card:
    mark = "" if subject.first.counts.complete else "≥ "
    totals = [profile.counts.total[op_class] for profile in subject.profiles]
    longest = max(totals) or 1
    bars = [
        CardBar(
            printable(network_name(profile)),
            f"{mark}{si(total)}",
            f"{mark}{total:,}",
            100 * total / longest,
            f"{ratio_text(total / totals[0])}×" if i and totals[0] and not mark else "",
        )
        for i, (profile, total) in enumerate(zip(subject.profiles, totals, strict=True))
    ]
    return Card(title, "counted", tuple(bars))
