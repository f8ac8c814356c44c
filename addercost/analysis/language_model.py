"""From the counts of a language model's forwards to their costs, for each forward and for a whole text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from addercost.analysis.accelerators import ARRAY, NO_ACCELERATORS, WantedAccelerators
from addercost.cost.accelerator.estimate import AcceleratorCost
from addercost.cost.energy import ModelEnergy, estimate_energy
from addercost.cost.estimate import ModelCost, estimate
from addercost.cost.models import COST_MODELS
from addercost.cost.target import Target
from addercost.counts.lengths import CountsByLength, Layers
from addercost.counts.model import ModelCounts
from addercost.errors import ArgumentError
from addercost.hardware.schema.energy import EnergyTable
from addercost.results.language_model import PhaseCost, PhaseEnergy, PhaseReport, TextCost, TokenTime


@dataclass(frozen=True, slots=True)
class Estimators:
    """The targets, accelerators and energy tables of the estimates. targets: each with the name of a cost
    model. hardware_path: a folder of tables of accelerators.
    """

    targets: tuple[tuple[Target, str], ...]
    energy_tables: tuple[EnergyTable, ...] = ()
    memories: tuple[str, ...] = ()
    accumulator_format: str | None = None
    accelerators: WantedAccelerators = NO_ACCELERATORS
    hardware_path: Path | None = None

    def costs(self, counts: ModelCounts | Layers) -> tuple[ModelCost, ...]:
        """The costs of a forward on every target. Raises ArgumentError for a processor without a clock, since
        it has no seconds.
        """
        found = tuple(estimate(counts, target, model) for target, model in self.targets)
        for cost in found:
            if cost.seconds is None:
                raise ArgumentError(
                    f"{cost.hardware} has no clock, so a token has cycles and no time",
                    "give one: --clock 2GHz",
                )
        return found

    def on_accelerators(self, counts: ModelCounts | Layers) -> tuple[AcceleratorCost, ...]:
        return self.accelerators.costs(counts, self.hardware_path)

    def energies(self, counts: ModelCounts) -> tuple[ModelEnergy, ...]:
        return tuple(
            estimate_energy(counts, table, self.memories, True, self.accumulator_format)
            for table in self.energy_tables
        )


@dataclass(frozen=True, slots=True)
class _Token:
    """The cost of one token on a processor or accelerator. model: the cost model, or `ARRAY`."""

    hardware: str
    model: str
    seconds: float
    complete: bool


class TokenCosts:
    """The cost of a token after any number of others, on every target and accelerator.

    A cost model of operations uses the counts at that length. Models that predict kernels, and accelerators,
    need shapes, which only traced lengths have. For these, seconds are interpolated linearly between the
    first and the last traced length. Where counts do not follow from those at other lengths, seconds are
    interpolated between the nearest traced lengths.
    """

    def __init__(self, decode: CountsByLength, by: Estimators) -> None:
        self._decode, self._by = decode, by
        predicting = tuple(
            (target, model) for target, model in by.targets if COST_MODELS[model].predict is not None
        )
        of_kernels = replace(by, targets=predicting)
        self._of_counts = replace(by, targets=tuple(pair for pair in by.targets if pair not in predicting))
        ends = (decode.first, decode.last) if predicting or by.accelerators.names else ()
        layers = [decode.layers(length) for length in ends]
        self._ends = tuple(tuple(map(_of_model, of_kernels.costs(at_end))) for at_end in layers)
        self._array_ends = tuple(tuple(map(_of_array, by.on_accelerators(at_end))) for at_end in layers)
        self._computed = cache(lambda context: tuple(self._at(context)))

    def at(self, context: int) -> Iterable[_Token]:
        """The costs after so many tokens: one for each target, then one for each accelerator, in their
        order.
        """
        before, after = self._decode.around(context)
        if before == after:
            return self._computed(context)
        return _between(self._computed(before), self._computed(after), (context - before) / (after - before))

    def note(self) -> str | None:
        """How far off seconds may be that are interpolated between traced lengths; None where there are none.
        To find it, each traced length is left out in turn.
        """
        lengths = self._decode.sampled
        if not lengths or not self._of_counts.targets:
            return None
        errors = [
            abs(left_out.seconds / cost.seconds - 1)
            for low, middle, high in zip(lengths, lengths[1:], lengths[2:], strict=False)
            for left_out, cost in zip(
                _between(self._computed(low), self._computed(high), (middle - low) / (high - low)),
                self._computed(middle),
                strict=True,
            )
            if cost.seconds
        ]
        return (
            f"the counts of a token are no polynomials of the length, so its time between {len(lengths)} "
            "traced lengths is interpolated; at a traced length, the line between its neighbours is at most "
            f"{max(errors, default=0.0):.2%} off"
        )

    def _at(self, context: int) -> Iterator[_Token]:
        kinds = self._decode.kinds(context)
        numbers = [n for _, n in kinds]
        counted = iter(self._of_counts.costs(tuple(layer for layer, _ in kinds)))
        span = self._decode.last - self._decode.first
        share = (context - self._decode.first) / span if span else 0.0
        predicted = iter(_between(self._ends[0], self._ends[-1], share) if self._ends else ())
        for _, model in self._by.targets:
            if COST_MODELS[model].predict is not None:
                yield next(predicted)
            else:
                cost = next(counted)
                cycles = sum(n * layer.cycles for n, layer in zip(numbers, cost.layers, strict=True))
                yield replace(_of_model(cost), seconds=(cost.seconds_per_cycle or 0.0) * cycles)
        if self._array_ends:
            yield from _between(self._array_ends[0], self._array_ends[-1], share)


def _between(first: Iterable[_Token], last: Iterable[_Token], share: float) -> list[_Token]:
    """Interpolates linearly between the costs at two lengths. share: 0 for the first, 1 for the last."""
    return [
        replace(
            low,
            seconds=low.seconds + share * (high.seconds - low.seconds),
            complete=low.complete and high.complete,
        )
        for low, high in zip(first, last, strict=True)
    ]


def _of_model(cost: ModelCost) -> _Token:
    assert cost.seconds is not None
    return _Token(cost.hardware, cost.model, cost.seconds, cost.complete)


def _of_array(cost: AcceleratorCost) -> _Token:
    return _Token(cost.hardware, ARRAY, cost.seconds, cost.complete)


def phase_report(
    counts: ModelCounts,
    batch: int,
    tokens: int,
    context: int,
    cache_bytes: int,
    activation_bytes: int | None,
    by: Estimators,
) -> PhaseReport:
    """The report on one forward of `tokens` tokens of each text after `context` others. With a context of 0
    it is a prompt.
    """
    on_accelerators = by.on_accelerators(counts)
    return PhaseReport(
        phase="decode" if context else "prefill",
        batch=batch,
        tokens=tokens,
        context=context,
        mac_sites=counts.mac_sites,
        operations=counts.total.by_format(),
        moved_bytes=sum(layer.bytes_read + layer.bytes_written for layer in counts.layers),
        cache_bytes=cache_bytes,
        activation_bytes=activation_bytes,
        complete=counts.complete,
        costs=(*map(_phase_cost, by.costs(counts)), *map(_phase_cost_of_array, on_accelerators)),
        energies=(
            *(
                PhaseEnergy(e.hardware, e.total_j, e.complete, tuple(map(str, e.missing)))
                for e in by.energies(counts)
            ),
            *(PhaseEnergy(e.hardware, e.total_j, e.complete) for e in on_accelerators),
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


def _phase_cost_of_array(cost: AcceleratorCost) -> PhaseCost:
    """The cost on an array of elements, which compute in a part of the cycles and wait for operands in the
    others.
    """
    computing = cost.compute_cycles / cost.cycles if cost.cycles else 0.0
    waits = computing < 0.5
    return PhaseCost(
        hardware=cost.hardware,
        model=ARRAY,
        seconds=cost.seconds,
        bound="memory" if waits else "elements",
        bound_share=1 - computing if waits else computing,
        complete=cost.complete,
        missing=cost.missing,
        assumptions=cost.assumptions,
    )


def token_times(batch: int, contexts: Iterable[int], token: TokenCosts) -> tuple[TokenTime, ...]:
    """The times of a token after each of `contexts`, on every target and accelerator."""
    return tuple(
        TokenTime(batch, context, cost.hardware, cost.model, cost.seconds)
        for context in contexts
        for cost in token.at(context)
    )


def figure_contexts(longest: int | None, asked: int) -> tuple[int, ...]:
    """The contexts of the figure: powers of two from 16 to the longest text that the model takes, at most
    32,768, and `asked`.
    """
    most = min(longest - 1 if longest is not None else asked, 1 << 15)
    return tuple(sorted({1 << i for i in range(4, 16) if 1 << i <= most} | {asked}))


def text_costs(prefill: PhaseReport, token: TokenCosts, new: int) -> tuple[TextCost, ...]:
    """The times of whole texts: a prompt and `new` tokens after it. The prompt's forward gives the first of
    these.
    """
    totals = [cost.seconds for cost in prefill.costs]
    complete = [cost.complete for cost in prefill.costs]
    for context in range(prefill.tokens, prefill.tokens + new - 1):
        for i, cost in enumerate(token.at(context)):
            totals[i] += cost.seconds
            complete[i] = complete[i] and cost.complete
    return tuple(
        TextCost(prefill.batch, cost.hardware, cost.model, seconds, whole)
        for cost, seconds, whole in zip(prefill.costs, totals, complete, strict=True)
    )
