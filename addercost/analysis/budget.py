"""Budgets such as `mul=1G`, `cycles@via-nano-2000=3M` or `energy@45nm=2mJ`, and how much of each a profile
uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from addercost.arithmetic import OpClass
from addercost.cost.accelerator.estimate import LEAKAGE, AcceleratorCost
from addercost.cost.estimate import ModelCost
from addercost.errors import ArgumentError, unknown_name
from addercost.results.profile import Profile
from addercost.units import parse_quantity, prefixed_unit, thousands

_MOST_NAMED = 5
TOTALS = ("operations", "parameters", "macs")
MEMORY = ("peak_bytes", "weight_bytes")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit: at most `most` of `quantity`. That is an operation class, one of TOTALS or MEMORY, cycles@CPU,
    or energy@TABLE in joules. An accelerator's name may be used for CPU and TABLE.
    """

    quantity: str
    most: float

    @property
    def cpu(self) -> str | None:
        kind, _, name = self.quantity.partition("@")
        return name if kind == "cycles" else None

    @property
    def energy_table(self) -> str | None:
        kind, _, name = self.quantity.partition("@")
        return name if kind == "energy" else None

    @property
    def unit(self) -> tuple[float, str]:
        """The unit for printing amounts as (factor, name). Joules get the prefix that fits `most`."""
        return prefixed_unit(self.most, "J") if self.energy_table else (1.0, "")


@dataclass(frozen=True, slots=True)
class Spending:
    """How much of a budget a profile uses. layers: the layers that use most, as many as make up the
    excess.
    """

    budget: Budget
    spent: float
    complete: bool
    layers: tuple[tuple[str, float], ...]

    @property
    def is_within(self) -> bool:
        """Whether the total is known to be within the budget. A lower bound cannot show that."""
        return self.complete and self.spent <= self.budget.most


def parse_budget(text: str, cpu: str | None = None) -> Budget:
    """Reads a text such as `mul=1G`. cpu: the processor that `cycles` without a name means. Raises
    ArgumentError for an unknown quantity, or a text that is no amount.
    """
    quantity, equals, amount = text.partition("=")
    quantity = quantity.strip()
    if quantity == "cycles" and cpu is not None:
        quantity = f"cycles@{cpu}"
    if not equals:
        raise ArgumentError(f"{text!r} is no limit", "write it like mul=1G or cycles@via-nano-2000=3M")
    known = [*OpClass, *TOTALS, *MEMORY]
    kind, _, name = quantity.partition("@")
    if quantity not in known and not (kind in ("cycles", "energy") and name):
        raise unknown_name("quantity", quantity, [*known, "cycles@CPU", "energy@TABLE"])
    unit = "J" if kind == "energy" else "B" if quantity in MEMORY else ""
    try:
        most = parse_quantity(amount, unit)
    except ValueError:
        raise ArgumentError(f"{amount!r} is no amount", "write it like 1G, 300_000, 2mJ or 60kB") from None
    if most < 0:
        raise ArgumentError(f"{text!r}: a limit is not negative")
    return Budget(quantity, most)


def check_budgets(profile: Profile, budgets: Sequence[Budget]) -> list[Spending]:
    """One entry for each budget. Raises ArgumentError where the profile lacks the estimate for a processor,
    the energy by a table, or the memory.
    """
    return [_spending(profile, budget) for budget in budgets]


def _spending(profile: Profile, budget: Budget) -> Spending:
    if budget.quantity in MEMORY:
        return _memory_spending(profile, budget)
    by_layer, complete = _by_layer(profile, budget)
    # Parameters that the forward does not use belong to the model as well.
    spent = profile.counts.parameters if budget.quantity == "parameters" else sum(n for _, n in by_layer)
    excess, named = spent - budget.most, []
    for path, amount in sorted(by_layer, key=lambda item: -item[1])[:_MOST_NAMED]:
        if excess <= 0 or amount <= 0:
            break
        named.append((path or "(model)", amount))
        excess -= amount
    return Spending(budget, spent, complete, tuple(named))


def _memory_spending(profile: Profile, budget: Budget) -> Spending:
    """The memory in use, which is no sum over layers. The layers are those that exceed the budget."""
    memory = profile.memory
    if memory is None:
        raise ArgumentError(
            f"the memory of {profile.counts.model} is not known",
            "name the model itself: changed networks, and traces and profiles that were saved without it, "
            "have none",
        )
    if budget.quantity == "weight_bytes":
        return Spending(budget, memory.weight_bytes, True, ())
    above = [layer for layer in memory.layers if layer.peak_bytes > budget.most]
    above.sort(key=lambda layer: -layer.peak_bytes)
    named = tuple((layer.path or "(model)", float(layer.peak_bytes)) for layer in above[:_MOST_NAMED])
    return Spending(budget, memory.peak_bytes, True, named)


def _by_layer(profile: Profile, budget: Budget) -> tuple[list[tuple[str, float]], bool]:
    """(path, amount) of each layer, and whether the sum is complete."""
    counts, quantity = profile.counts, budget.quantity
    if (cpu := budget.cpu) is not None:
        estimates: tuple[ModelCost | AcceleratorCost, ...] = (*profile.costs, *profile.accelerators)
        cost = next((cost for cost in estimates if cost.hardware == cpu), None)
        if cost is None:
            raise unknown_name("processor of the profile", cpu, [cost.hardware for cost in estimates])
        return [(layer.path, layer.cycles) for layer in cost.layers], counts.complete and cost.complete
    if (table := budget.energy_table) is not None:
        array = next((array for array in profile.accelerators if array.hardware == table), None)
        if array is not None:
            # The energy that the chip takes at rest belongs to no layer.
            joules = [(layer.path, layer.energy_j) for layer in array.layers]
            return [*joules, (LEAKAGE, array.energy_j.get(LEAKAGE, 0.0))], counts.complete and array.complete
        energy = next((energy for energy in profile.energies if energy.hardware == table), None)
        if energy is None:
            raise unknown_name("energy table of the profile", table, [e.hardware for e in profile.energies])
        return [(layer.path, layer.total_j) for layer in energy.layers], counts.complete and energy.complete
    match quantity:
        case "operations":
            return [(layer.path, layer.counts.total) for layer in counts.layers], counts.complete
        case "parameters":
            return [(layer.path, layer.parameters) for layer in counts.layers], True
        case "macs":
            return [(layer.path, layer.mac_sites) for layer in counts.layers], counts.complete
    op_class = OpClass(quantity)
    return [(layer.path, layer.counts[op_class]) for layer in counts.layers], counts.complete


def in_words(amount: float, budget: Budget) -> str:
    """An amount in the budget's unit, for a text."""
    factor, unit = budget.unit
    return f"{thousands(amount / factor)}{f' {unit}' if unit else ''}"


def outcome(spending: Spending) -> str:
    """The outcome in one word for the table and the annotations, or the reason why there is none."""
    if spending.is_within:
        return "within"
    if spending.spent > spending.budget.most:
        return "exceeded"
    return "unknown: only a lower bound is known"
