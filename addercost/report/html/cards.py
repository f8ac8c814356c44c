"""Cards at the top of a model's part: the networks side by side, one quantity a card, as bars and ratios."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from addercost.analysis.bounds import bound_sign
from addercost.analysis.leading_estimates import energies_by_table, leading_estimates
from addercost.arithmetic import OpClass
from addercost.report.subject_answer import ratio_text, ratio_to_first
from addercost.results.report import LEAST_CHARGED, EnergyEstimated, Estimated, Subject, network_name
from addercost.text import printable
from addercost.units import si


@dataclass(frozen=True, slots=True)
class CardBar:
    """One network. value: the figure shown. exact: all of its digits. percent: the bar of the longest one."""

    name: str
    value: str
    exact: str
    percent: float
    ratio: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    remark: str
    bars: tuple[CardBar, ...]


def cards(subject: Subject) -> Iterator[Card]:
    """Seconds on every processor, joules by every table, multiplications and additions."""
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
    """What all networks share: parameters and memory."""
    counts, memory = subject.first.counts, subject.first.memory
    text = f"{si(counts.parameters)} parameters"
    if memory is not None:
        text += f"; {si(memory.peak_bytes, 'B')} of memory in use at most, in {memory.peak_path or '(model)'}"
    return printable(f"{text}.")


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
