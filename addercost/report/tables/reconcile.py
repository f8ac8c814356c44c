"""The numbers that other tools report for a model, and the causes of their differences from the number of
sites.
"""

from __future__ import annotations

from collections.abc import Sequence

from addercost.counts.reconcile import ToolCount
from addercost.report.table import Column, Kind, Table


def reconcile_table(model: str, counts: Sequence[ToolCount], published: float | None = None) -> Table:
    """A row for each tool. published: torchvision's own figure in G multiply-adds, where the model has
    one.
    """
    rows = [
        {
            "tool": one.tool,
            "reported": one.reported,
            "unit": one.unit,
            "per_site": one.per_site,
            "over_sites": one.reported / (one.per_site * one.mac_sites)
            if one.reported is not None and one.mac_sites
            else None,
            "differences": _causes(one),
        }
        for one in counts
    ]
    sites = counts[0].mac_sites if counts else 0
    if published is not None:
        rows.append(
            {
                "tool": "torchvision, published",
                "reported": published * 1e9,
                "unit": "MACs, called GFLOPS, three decimals",
                "per_site": 1,
                "over_sites": published * 1e9 / sites if sites else None,
                "differences": "",
            }
        )
    return Table(
        columns=(
            Column("tool", "tool"),
            Column("reported", "reported", Kind.COUNT),
            Column("unit", "unit", optional=True),
            Column("per_site", "units\na site", Kind.COUNT),
            Column("over_sites", "of the\nsites", Kind.RATIO),
            Column("differences", "where the difference comes from, in MACs"),
        ),
        rows=rows,
        title=f"{model}: {sites:,} MAC sites, and what other tools report by their rules",
        notes=(
            "The rules are restated here, for a CPU, evaluation mode and no gradients; tests run the tools "
            "themselves beside them. A number that the trace does not decide is not modelled.",
            "fvcore counts nothing of a convolution with padding='same', which no trace says.",
        ),
    )


def _causes(one: ToolCount) -> str:
    """Each cause of a difference with its amount, the largest first; or the reason why there is no number."""
    if one.reported is None:
        return f"not modelled: {one.unknown}"
    ordered = sorted(one.differences.items(), key=lambda item: -abs(item[1]))
    return "; ".join(f"{cause} {amount:+,}" for cause, amount in ordered) or "none"
