"""Budgets: `mul=1G`, `cycles@via-nano-2000=3M`. What a profile spends, and which layers spend most of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from addercost.arithmetic import OpClass
from addercost.errors import ArgumentError, unknown_name
from addercost.report.tables import AtLeast, Column, Kind, Table
from addercost.results.profile import Profile
from addercost.text import printable
from addercost.units import parse_quantity, thousands

_MOST_NAMED = 5
TOTALS = ("operations", "parameters", "macs")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` of `quantity`: an operation class, one of TOTALS, or cycles@CPU."""

    quantity: str
    most: float

    @property
    def cpu(self) -> str | None:
        kind, _, name = self.quantity.partition("@")
        return name if kind == "cycles" else None


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit against one profile. layers: the largest spenders, until they make up the excess."""

    limit: Limit
    spent: float
    complete: bool
    layers: tuple[tuple[str, float], ...]

    @property
    def is_met(self) -> bool:
        """A lower bound cannot show that a budget is met."""
        return self.complete and self.spent <= self.limit.most


def parse_limit(text: str) -> Limit:
    """`mul=1G`. Raises ArgumentError for an unknown quantity or a limit that is no amount."""
    quantity, equals, amount = text.partition("=")
    quantity = quantity.strip()
    if not equals:
        raise ArgumentError(f"{text!r} is no limit", "write it like mul=1G or cycles@via-nano-2000=3M")
    known = [*OpClass, *TOTALS]
    if quantity not in known and not (quantity.startswith("cycles@") and len(quantity) > len("cycles@")):
        raise unknown_name("quantity", quantity, [*known, "cycles@CPU"])
    try:
        most = parse_quantity(amount)
    except ValueError:
        raise ArgumentError(f"{amount!r} is no amount", "write it like 1G, 2.5M or 300_000") from None
    if most < 0:
        raise ArgumentError(f"{text!r}: a limit is not negative")
    return Limit(quantity, most)


def check(profile: Profile, limits: Sequence[Limit]) -> list[Finding]:
    """One finding a limit. Raises ArgumentError where the profile has no estimate for a processor."""
    return [_finding(profile, limit) for limit in limits]


def _finding(profile: Profile, limit: Limit) -> Finding:
    spending, complete = _spending(profile, limit)
    # What the forward does not use is still part of the model.
    spent = profile.counts.parameters if limit.quantity == "parameters" else sum(n for _, n in spending)
    excess, named = spent - limit.most, []
    for path, amount in sorted(spending, key=lambda item: -item[1])[:_MOST_NAMED]:
        if excess <= 0 or amount <= 0:
            break
        named.append((path or "(model)", amount))
        excess -= amount
    return Finding(limit, spent, complete, tuple(named))


def _spending(profile: Profile, limit: Limit) -> tuple[list[tuple[str, float]], bool]:
    """What each layer spends, and whether that is all of it."""
    counts = profile.counts
    if limit.cpu is not None:
        cost = next((cost for cost in profile.costs if cost.hardware == limit.cpu), None)
        if cost is None:
            raise unknown_name(
                "processor of the profile", limit.cpu, [cost.hardware for cost in profile.costs]
            )
        return [(layer.path, layer.cycles) for layer in cost.layers], counts.complete and cost.complete
    match limit.quantity:
        case "operations":
            return [(layer.path, layer.counts.total) for layer in counts.layers], counts.complete
        case "parameters":
            return [(layer.path, layer.parameters) for layer in counts.layers], True
        case "macs":
            return [(layer.path, layer.mac_sites) for layer in counts.layers], counts.complete
    op_class = OpClass(limit.quantity)
    return [(layer.path, layer.counts[op_class]) for layer in counts.layers], counts.complete


def findings_table(profile: Profile, findings: Sequence[Finding]) -> Table:
    """One row a limit, with a verdict; the offending layers beside it."""
    return Table(
        columns=(
            Column("quantity", "budget"),
            Column("most", "at most", Kind.COUNT),
            Column("spent", "spent", Kind.COUNT),
            Column("used", "used", Kind.SHARE),
            Column("verdict", "verdict"),
            Column("layers", "largest layers"),
        ),
        rows=[
            {
                "quantity": finding.limit.quantity,
                "most": finding.limit.most,
                "spent": finding.spent if finding.complete else AtLeast(finding.spent),
                "used": finding.spent / finding.limit.most if finding.limit.most else None,
                "verdict": verdict(finding),
                "layers": ", ".join(f"{path} {thousands(amount)}" for path, amount in finding.layers),
            }
            for finding in findings
        ],
        title=f"{profile.counts.model}, convention {profile.counts.convention.name}",
    )


def verdict(finding: Finding) -> str:
    if finding.is_met:
        return "met"
    if finding.spent > finding.limit.most:
        return "exceeded"
    return "unknown: only a lower bound is known"


def github_annotations(profile: Profile, findings: Sequence[Finding], file: str | None = None) -> str:
    """GitHub's workflow commands: one error a limit that is not met, a notice where all are."""
    where = f" file={_property(file)}," if file else " "
    lines = []
    for finding in findings:
        if finding.is_met:
            continue
        spent = f"{'' if finding.complete else '≥ '}{thousands(finding.spent)}"
        most = thousands(finding.limit.most)
        text = f"{profile.counts.model}: {finding.limit.quantity} {spent}, at most {most}"
        if finding.layers:
            text += "; largest: " + ", ".join(f"{path} {thousands(n)}" for path, n in finding.layers)
        if finding.spent <= finding.limit.most:
            text += f"; {verdict(finding)}"
        lines.append(f"::error{where}title={_property(f'budget {finding.limit.quantity}')}::{_message(text)}")
    if not lines:
        met = ", ".join(finding.limit.quantity for finding in findings)
        lines.append(f"::notice{where}title=budget::{_message(f'{profile.counts.model}: {met} met')}")
    return "\n".join(lines) + "\n"


def _message(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
