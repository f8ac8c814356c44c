"""The costs of a language model, by phase and processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from addercost.analysis.accelerators import ARRAY
from addercost.analysis.bounds import AtMost, bounded
from addercost.report.table import Column, Kind, Table
from addercost.report.tables.profile_answer import CHOOSE_A_PROCESSOR
from addercost.results.language_model import (
    LanguageModelReport,
    PhaseCost,
    PhaseEnergy,
    PhaseReport,
    TextCost,
)
from addercost.units import si


def language_model_table(report: LanguageModelReport, no_processor_chosen: bool = False) -> Table:
    """A row for each phase, batch and processor, and one for each whole text.

    no_processor_chosen: whether the title says how to choose a processor, where there are no times.
    """
    energies = dict.fromkeys(item.hardware for phase in report.phases for item in phase.energies)
    columns = [
        Column("phase", "phase"),
        Column("batch", "batch", Kind.COUNT),
        Column("hardware", "processor"),
        Column("cost_model", "by", optional=True),
        Column("seconds", "time", Kind.QUANTITY, "s"),
        Column("seconds_per_token", "a token", Kind.QUANTITY, "s", optional=True),
        Column("tokens_per_s", "tokens/s", Kind.NUMBER),
        Column("bound", "bound by"),
        Column("mac_sites", "MAC sites", Kind.COUNT, optional=True),
        Column("operations", "operations", Kind.COUNT, secondary=True),
        Column("moved_bytes", "moves", Kind.QUANTITY, "B", optional=True),
        Column("intensity", "operations\na byte", Kind.NUMBER, optional=True),
        Column("cache_bytes", "cache", Kind.QUANTITY, "B", optional=True),
        Column("activation_bytes", "activations", Kind.QUANTITY, "B", optional=True),
        *(Column(f"j_per_token@{name}", f"a token,\n{name}", Kind.QUANTITY, "J") for name in energies),
        *(
            Column(_operation_column(*kind), f"{kind[0]}\n{kind[1]}", Kind.COUNT, secondary=True)
            for kind in _operation_kinds(report)
        ),
    ]
    rows = [row for phase in report.phases for row in _phase_rows(phase)]
    rows += [_text_row(report, text) for text in report.texts]
    return Table(tuple(columns), rows, title=_title(report, no_processor_chosen), notes=tuple(_notes(report)))


def _operation_kinds(report: LanguageModelReport) -> list[tuple[str, str]]:
    """Each class of operations with its number format, the most frequent first."""
    found: Counter[tuple[str, str]] = Counter()
    for phase in report.phases:
        for number_format, by_class in phase.operations.items():
            found.update({(op_class, number_format): n for op_class, n in by_class.items()})
    return [kind for kind, _ in found.most_common()]


def _operation_column(op_class: str, number_format: str) -> str:
    return f"{op_class}_{number_format}"


def _title(report: LanguageModelReport, no_processor_chosen: bool) -> str:
    """The title, which has the answer: the cost of a token on the first processor."""
    what = f"{report.model}: {si(report.parameters)} parameters, {si(report.weight_bytes, 'B')} of weights"
    decode = next((phase for phase in report.phases if phase.phase == "decode" and phase.costs), None)
    if decode is None:
        return f"{what}; {CHOOSE_A_PROCESSOR}" if no_processor_chosen else what
    cost = decode.costs[0]
    return (
        f"{what}; a token after {decode.context:,} others takes {'' if cost.complete else 'at least '}"
        f"{si(cost.seconds, 's')} on {cost.hardware} at batch {decode.batch}, predicted by "
        f"{'its array' if cost.model == ARRAY else cost.model}"
    )


def _phase_rows(phase: PhaseReport) -> Iterator[dict[str, Any]]:
    joules = {f"j_per_token@{item.hardware}": _per_token(phase, item) for item in phase.energies}
    about = {
        "phase": f"prompt of {phase.tokens:,}"
        if phase.phase == "prefill"
        else f"token after {phase.context:,}",
        "batch": phase.batch,
        "mac_sites": phase.mac_sites,
        "operations": bounded(phase.operation_count, phase.complete),
        "moved_bytes": phase.moved_bytes,
        "intensity": phase.intensity,
        "cache_bytes": phase.cache_bytes,
        "activation_bytes": phase.activation_bytes,
        **{
            _operation_column(op_class, number_format): n
            for number_format, by_class in phase.operations.items()
            for op_class, n in by_class.items()
        },
        **joules,
    }
    if not phase.costs:
        yield about
    for cost in phase.costs:
        yield about | _cost_cells(phase, cost)


def _per_token(phase: PhaseReport, energy: PhaseEnergy) -> Any:
    return bounded(energy.joules / phase.all_tokens, energy.complete)


def _cost_cells(phase: PhaseReport, cost: PhaseCost) -> dict[str, Any]:
    return {
        "hardware": cost.hardware,
        "cost_model": cost.model,
        "seconds": bounded(cost.seconds, cost.complete),
        "seconds_per_token": bounded(cost.seconds / phase.tokens, cost.complete),
        "tokens_per_s": _rate(phase.all_tokens, cost.seconds, cost.complete),
        "bound": f"{cost.bound} ({100 * cost.bound_share:.0f} %)" if cost.bound else "",
    }


def _rate(tokens: int, seconds: float, complete: bool) -> float | None:
    """Tokens a second, as text: an upper bound where the seconds are a lower bound."""
    if not seconds:
        return None
    return tokens / seconds if complete else AtMost(tokens / seconds)


def _text_row(report: LanguageModelReport, text: TextCost) -> dict[str, Any]:
    written = text.batch * report.new
    return {
        "phase": f"{report.new:,} tokens after {report.prompt:,}",
        "batch": text.batch,
        "hardware": text.hardware,
        "cost_model": text.model,
        "seconds": bounded(text.seconds, text.complete),
        "tokens_per_s": _rate(written, text.seconds, text.complete),
    }


_FORWARDS = {"prefill": "a prompt", "decode": "a token"}


def _lower_bounds(report: LanguageModelReport) -> Iterator[str]:
    """A line for each missing figure, with the number of its operations in both phases at the first batch
    size.
    """
    first = report.phases[0].batch if report.phases else 1
    several = any(phase.batch != first for phase in report.phases)
    found: dict[str, dict[str, str]] = {}
    for phase in report.phases:
        missing = [cost.missing for cost in phase.costs] + [energy.missing for energy in phase.energies]
        for text in chain.from_iterable(missing):
            figure, colon, amount = text.rpartition(": ")
            if colon:
                found.setdefault(figure, {}).setdefault(_FORWARDS[phase.phase], amount)
            else:
                found.setdefault(text, {})
    for figure, amounts in found.items():
        where = ", ".join(f"{amount} in {forward}" for forward, amount in amounts.items())
        at_batch = f" at batch {first}" if where and several else ""
        yield f"a lower bound: {figure}{f': {where}' if where else ''}{at_batch}"


def _notes(report: LanguageModelReport) -> Iterator[str]:
    if report.source is not None:
        yield f"the encoder reads {report.source:,} tokens, which is part of the prompt's time"
    yield (
        "a token: the time between two tokens of one text; tokens/s: of all texts of the batch. bound by: "
        "what sets the largest part of the time, and that part. Keys and values count as written behind "
        "those of the tokens before"
    )
    yield from report.notes
    yield from _lower_bounds(report)
    assumed = dict.fromkeys(
        f"{cost.hardware}: {text}"
        for phase in report.phases
        for cost in phase.costs
        for text in cost.assumptions
    )
    yield from assumed
