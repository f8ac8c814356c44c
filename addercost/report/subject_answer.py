"""The first sentences of a report: how long a model takes, how arithmetics compare, and which layer takes
most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from addercost.analysis.bounds import bound_words
from addercost.analysis.estimate_ratio import estimate_ratio
from addercost.analysis.layer_rows import basis_of, labelled_costs, layer_rows, weight_of
from addercost.analysis.leading_estimates import energies_by_table, leading_estimates
from addercost.results.report import EnergyEstimated, Estimated, Subject, network_name
from addercost.units import si


def answer_sentences(subject: Subject) -> Iterator[str]:
    """Sentences on estimates: one for each processor, accelerator and energy table, and one for the layer
    that takes most.

    An arithmetic is left out if it has no ratio, because a table lacks figures.
    """
    for hardware, own in leading_estimates(subject).items():
        first = own[0]
        yield (
            f"On {hardware}, {subject.name} is estimated to take {time_text(first)} as {first.arithmetic} "
            f"by the {first.model} model{_others(own, 'as long')}."
        )
    yield from _on_accelerators(subject)
    for table, made in energies_by_table(subject).items():
        joules = f"{_at_least(made[0].complete)}{si(made[0].joules, 'J')}"
        others = _others(made, "as much")
        yield f"By the {table} table its arithmetic takes {joules} as {made[0].arithmetic}{others}."
    yield from _heaviest(subject)


def _on_accelerators(subject: Subject) -> Iterator[str]:
    for i, first in enumerate(subject.first.accelerators):
        others: list[str] = []
        for profile in subject.profiles[1:]:
            other = profile.accelerators[i]
            if first.complete and other.complete and first.cycles and first.total_j:
                longer, more = other.cycles / first.cycles, other.total_j / first.total_j
                verb = "" if others else " it takes"
                others.append(
                    f"as {network_name(profile)}{verb} {ratio_text(longer)} times as long and "
                    f"{ratio_text(more)} times the energy"
                )
        listed = "".join(f"{', ' if j else '; '}{text}" for j, text in enumerate(others))
        at_least = _at_least(first.complete)
        yield (
            f"On {first.hardware}, its matrix products are estimated to take {at_least}"
            f"{si(first.seconds, 's')} and {at_least}{si(first.total_j, 'J')} as "
            f"{network_name(subject.first)}{listed}."
        )


def time_text(made: Estimated) -> str:
    """`7.94 µs`, or cycles where no clock is known."""
    value = si(made.seconds, "s") if made.seconds is not None else f"{si(made.cycles)} cycles"
    return f"{_at_least(made.complete)}{value}"


def _at_least(complete: bool) -> str:
    return "" if complete else "at least "


def _others(made: Sequence[Estimated | EnergyEstimated], how: str) -> str:
    """The clause on the other arithmetics: `; as adder it takes 1.85 times as long, as binary 0.395 times as
    long`.
    """
    parts: list[str] = []
    for other in made[1:]:
        ratio = ratio_to_first(made[0], other)
        if ratio is not None:
            verb = "" if parts else " it takes"
            parts.append(f"as {other.arithmetic}{verb} {bound_words(ratio)}{ratio_text(ratio)} times {how}")
    return "".join(f"{', ' if i else '; '}{part}" for i, part in enumerate(parts))


def ratio_to_first(first: Estimated | EnergyEstimated, other: Estimated | EnergyEstimated) -> float | None:
    """How many times as much the other network takes as the first: exact, a bound, or None where it is not
    known.
    """
    return estimate_ratio(_amount(other), other, _amount(first), first)


def ratio_text(ratio: float) -> str:
    """The ratio with three digits, also where these are zeros: 1.50, 0.333, 12.0."""
    return f"{float(ratio):#.3g}".rstrip(".") if 1e-3 <= abs(ratio) < 1e5 else f"{float(ratio):.3g}"


def _amount(made: Estimated | EnergyEstimated) -> float:
    return made.joules if isinstance(made, EnergyEstimated) else made.cycles


def _heaviest(subject: Subject) -> Iterator[str]:
    basis = basis_of(subject.first)
    rows = layer_rows(subject.first)
    weights = [weight_of(row, basis) for row in rows]
    what = f"time on {labelled_costs(subject.first)[basis].hardware}" if basis else "operations"
    whole = sum(weights)
    if not whole:
        return
    most = max(range(len(rows)), key=lambda i: weights[i])
    yield (
        f"As {network_name(subject.first)}, {rows[most].path or '(model)'} takes the largest part: "
        f"{100 * weights[most] / whole:.1f} % of the {what}."
    )
