"""Claims of multiplication-free networks beside our sums: `addercost reproduce claims`."""

from __future__ import annotations

from addercost.analysis.published_claims import ClaimSum, PublishedClaim, claim_sums, outcome
from addercost.report.table import Column, Table


def published_claims_table() -> Table:
    """A row for each claim and assumption, with the sum in figures."""
    sums = claim_sums()
    return Table(
        columns=(
            Column("work", "work"),
            Column("quantity", "of"),
            Column("published", "published"),
            Column("assumption", "computed from"),
            Column("terms", "sum"),
            Column("computed", "computed"),
            Column("verdict", "verdict"),
        ),
        rows=[
            {
                "work": found.claim.work,
                "quantity": found.claim.quantity,
                "published": _published(found.claim),
                "assumption": found.assumption,
                "terms": found.terms,
                "computed": _computed(found),
                "verdict": outcome(found, sums).value,
            }
            for found in sums
        ],
        title="Published claims of multiplication-free networks, and what cited figures give (estimates)",
        notes=(
            "All of these are claims of others, and none of the papers was read whole: they are quoted from "
            "their abstracts or from others. Energies are of the operations alone, without memory or "
            "control. A bound is the most that its assumption allows, and no estimate.",
            *(f"{source}: {', '.join(works)}" for source, works in _sources(sums).items()),
            "T-MAC on an M2 Ultra (30 and 71 tokens/s) has no row: no table here has that processor.",
        ),
    )


def _sources(sums: tuple[ClaimSum, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in sums:
        works = found.setdefault(item.claim.source, [])
        if item.claim.work not in works:
            works.append(item.claim.work)
    return found


def _published(claim: PublishedClaim) -> str:
    if not claim.is_saving:
        return (
            _factor(claim.low, claim)
            if claim.low == claim.high
            else f"{claim.low:g} to {_factor(claim.high, claim)}"
        )
    if claim.low == claim.high:
        return f"{100 * claim.low:+.4g} %"
    if claim.low == -1.0:
        return f"over {-100 * claim.high:.4g} % less"
    return f"{100 * claim.high:+.4g} to {100 * claim.low:+.4g} %"


def _computed(found: ClaimSum) -> str:
    text = f"{100 * found.computed:+.1f} %" if found.claim.is_saving else _factor(found.computed, found.claim)
    return f"at most {text}" if found.bound else text


def _factor(value: float, claim: PublishedClaim) -> str:
    return f"{value:.3g}" if "tokens/s" in claim.quantity else f"{value:.3g} ×"
