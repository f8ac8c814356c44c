"""Published savings of adder hardware beside ours: `addercost reproduce hardware`."""

from __future__ import annotations

from addercost.analysis.hardware_claims import Claim, derived_claims
from addercost.report.table import Column, Kind, Table


def hardware_table() -> Table:
    """A row for each claim and assumption. The notes name the assumptions that reproduce a claim, or say that
    none does."""
    derived = derived_claims()
    claims = dict.fromkeys(found.claim for found in derived)
    return Table(
        columns=(
            Column("claim", "adder against\nmultiply-add"),
            Column("published", "published"),
            Column("assumption", "computed from"),
            Column("computed_percent", "computed\n(%)", Kind.PERCENT),
            Column("verdict", "verdict"),
        ),
        rows=[
            {
                "claim": found.claim.quantity,
                "published": _range(found.claim),
                "assumption": found.assumption,
                "computed_percent": 100 * found.change,
                "verdict": "reproduces" if found.reproduces else "does not",
            }
            for found in derived
        ],
        title="Published adder hardware, and what the tables and the model give (estimates)",
        notes=(
            *(
                _outcome(claim, [d.assumption for d in derived if d.claim == claim and d.reproduces])
                for claim in claims
            ),
            "The layer is ResNet-18's 3 × 3 one of 64 channels on 56² pixels. Areas of int8 and int16 "
            "adders are those of int32 by their bits, of int16 multipliers that of int8 by the square. "
            "A shorter critical path, which lets an adder array run at a higher clock, is in no table.",
        ),
    )


def _range(claim: Claim) -> str:
    if claim.low == claim.high:
        return f"{100 * claim.low:+.4g} %"
    return f"{100 * claim.high:+.4g} to {100 * claim.low:+.4g} %"


def _outcome(claim: Claim, reproducing: list[str]) -> str:
    said = f"reproduced by {'; '.join(reproducing)}" if reproducing else "no assumption here reproduces it"
    return f"{claim.quantity} ({claim.source}): {said}"
