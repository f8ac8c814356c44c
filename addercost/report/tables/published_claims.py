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
            Column("source", "read of it"),
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
                "source": found.claim.source,
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
            "All of these are claims of others, and no work was read whole: each row says what was read of "
            "it. Energies are of the operations alone, without memory or control. A bound is the most that "
            "its assumption allows, and no estimate.",
            "ShiftAddNet measured an FPGA. No table has the energy of an operation there, so its claims are "
            "compared with figures of 45 nm alone.",
        ),
    )


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
    text = f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
    return text if "tokens/s" in claim.quantity else f"{text} ×"
