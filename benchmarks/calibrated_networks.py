"""Every network that `calibrated` was validated on, from the validations in `reports/`; nothing is measured.

python benchmarks/calibrated_networks.py > benchmarks/results/calibrated-networks.txt
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from addercost.results.validation import NETWORKS, RowPrediction, Validation, ValidationRow, read_validation

MODEL = "calibrated"
Rows = Sequence[tuple[ValidationRow, RowPrediction]]


def rows_of(validation: Validation) -> Rows:
    return [
        (row, predicted)
        for row in validation.rows
        if row.group == NETWORKS
        for predicted in row.predicted
        if predicted.model == MODEL
    ]


def summary(rows: Rows) -> str:
    """One line on a validation: errors, bias, coverage of intervals and order."""
    ratios = np.array([predicted.seconds / row.measured_s for row, predicted in rows])
    errors = np.abs(ratios - 1)
    covered = [
        predicted.low_s is not None
        and predicted.high_s is not None
        and predicted.low_s <= row.measured_s <= predicted.high_s
        for row, predicted in rows
    ]
    order = kendalltau([p.seconds for _, p in rows], [row.measured_s for row, _ in rows]).statistic
    return (
        f"{len(rows)} networks: median error {np.median(errors):.1%}, P90 {np.quantile(errors, 0.9):.1%}, "
        f"worst {errors.max():.1%}; within 10 % {np.mean(errors <= 0.1):.0%}, "
        f"within 12 % {np.mean(errors <= 0.12):.0%}; bias {np.median(ratios) - 1:+.1%}; "
        f"intervals cover {np.mean(covered):.0%}; Kendall's tau {order:.3f}"
    )


def lines(page: Path) -> Iterator[str]:
    validation = read_validation(page)
    rows = rows_of(validation)
    if not rows:
        return
    said = [validation.conditions.get(name, "") for name in ("dtype", "date")]
    yield f"{page.parent.name}: {', '.join(said)}"
    yield summary(rows)
    yield f"{'network':40}{'measured ms':>12}{'predicted ms':>14}{'interval':>20}{'ratio':>8}"
    for row, predicted in sorted(rows, key=lambda one: one[1].seconds / one[0].measured_s):
        interval = f"{1e3 * (predicted.low_s or 0):.2f} to {1e3 * (predicted.high_s or 0):.2f}"
        yield (
            f"{row.name:40}{1e3 * row.measured_s:12.2f}{1e3 * predicted.seconds:14.2f}{interval:>20}"
            f"{predicted.seconds / row.measured_s:8.3f}"
        )
    yield ""


def main() -> None:
    for page in sorted(Path("reports").glob("*/validation.json")):
        print(*lines(page), sep="\n")


if __name__ == "__main__":
    main()
