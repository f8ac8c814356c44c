"""From the counts of a language model's forwards to what they cost, each and summed over a whole text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from addercost.cost.energy import ModelEnergy, estimate_energy
from addercost.cost.estimate import ModelCost, estimate
from addercost.cost.target import Target
from addercost.counts.lengths import CountsByLength, Kinds, Layers
from addercost.counts.model import ModelCounts
from addercost.errors import ArgumentError
from addercost.hardware.schema.energy import EnergyTable
from addercost.results.language_model import PhaseCost, PhaseEnergy, PhaseReport, TextCost, TokenTime


@dataclass(frozen=True, slots=True)
class Estimators:
    """What every forward is estimated by. targets: each with the name of a cost model."""

    targets: tuple[tuple[Target, str], ...]
    energy_tables: tuple[EnergyTable, ...] = ()
    memories: tuple[str, ...] = ()
    accumulator_format: str | None = None

    def costs(self, counts: ModelCounts | Layers) -> tuple[ModelCost, ...]:
        """Raises ArgumentError for a processor without a clock, on which nothing has seconds."""
        found = tuple(estimate(counts, target, model) for target, model in self.targets)
        for cost in found:
            if cost.seconds is None:
                raise ArgumentError(
                    f"{cost.hardware} has no clock, so a token has cycles and no time",
                    "give one: --clock 2GHz",
                )
        return found

    def sums(self, kinds: Kinds) -> tuple[tuple[ModelCost, float], ...]:
        """For each target the cost of one layer of each kind, and the seconds of all layers."""
        numbers = [n for _, n in kinds]
        return tuple(
            (
                cost,
                (cost.seconds_per_cycle or 0.0)
                * sum(n * layer.cycles for n, layer in zip(numbers, cost.layers, strict=True)),
            )
            for cost in self.costs(tuple(layer for layer, _ in kinds))
        )

    def energies(self, counts: ModelCounts) -> tuple[ModelEnergy, ...]:
        return tuple(
            estimate_energy(counts, table, self.memories, True, self.accumulator_format)
            for table in self.energy_tables
        )


def phase_report(
    counts: ModelCounts, batch: int, tokens: int, context: int, cache_bytes: int, by: Estimators
) -> PhaseReport:
    """One forward of `tokens` a text after `context` others; none of them are a prompt."""
    return PhaseReport(
        phase="decode" if context else "prefill",
        batch=batch,
        tokens=tokens,
        context=context,
        mac_sites=counts.mac_sites,
        operations=counts.total.by_format(),
        moved_bytes=sum(layer.bytes_read + layer.bytes_written for layer in counts.layers),
        cache_bytes=cache_bytes,
        complete=counts.complete,
        costs=tuple(map(_phase_cost, by.costs(counts))),
        energies=tuple(
            PhaseEnergy(energy.hardware, energy.total_j, energy.complete) for energy in by.energies(counts)
        ),
    )


def _phase_cost(cost: ModelCost) -> PhaseCost:
    assert cost.seconds is not None
    by_bound: dict[str, float] = {}
    for layer in cost.layers:
        by_bound[layer.bound] = by_bound.get(layer.bound, 0.0) + layer.cycles
    total = sum(by_bound.values())
    bound = max(by_bound, key=lambda name: by_bound[name], default="")
    return PhaseCost(
        hardware=cost.hardware,
        model=cost.model,
        seconds=cost.seconds,
        bound=bound,
        bound_share=by_bound[bound] / total if total else 0.0,
        complete=cost.complete,
        missing=tuple(map(str, cost.missing)),
        assumptions=cost.assumptions,
    )


def token_times(
    batch: int, contexts: Iterable[int], decode: CountsByLength, by: Estimators
) -> tuple[TokenTime, ...]:
    """A token after each of `contexts` others, on every target."""
    return tuple(
        TokenTime(batch, context, cost.hardware, cost.model, seconds)
        for context in contexts
        for cost, seconds in by.sums(decode.kinds(context))
    )


def figure_contexts(longest: int | None, asked: int) -> tuple[int, ...]:
    """Powers of two from 16 up to the longest text that the model takes, 32,768 at most, and `asked`."""
    most = min(longest - 1 if longest is not None else asked, 1 << 15)
    return tuple(sorted({1 << i for i in range(4, 16) if 1 << i <= most} | {asked}))


def text_costs(
    prefill: PhaseReport, decode: CountsByLength, new: int, by: Estimators
) -> tuple[TextCost, ...]:
    """A prompt and `new` tokens after it, of which the prompt's forward gives the first.

    decode: the counts of a token after so many others.
    """
    totals = [cost.seconds for cost in prefill.costs]
    complete = [cost.complete for cost in prefill.costs]
    for context in range(prefill.tokens, prefill.tokens + new - 1):
        for i, (cost, seconds) in enumerate(by.sums(decode.kinds(context))):
            totals[i] += seconds
            complete[i] = complete[i] and cost.complete
    return tuple(
        TextCost(prefill.batch, cost.hardware, cost.model, seconds, whole)
        for cost, seconds, whole in zip(prefill.costs, totals, complete, strict=True)
    )
