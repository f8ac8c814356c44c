"""The scores of a validation as a table: a row for each predictor and each way in which it was scaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from addercost.analysis.validation import FIT, HALF
from addercost.report.table import Column, Kind, Table
from addercost.results.validation import NETWORKS, Score, Validation

_LISTED = 8
"""How many skipped networks are named; the others are counted."""


def validation_table(validation: Validation) -> Table:
    """Errors are |predicted / measured - 1|."""
    groups = dict.fromkeys(score.group for score in validation.scores)
    columns = [
        *([Column("group", "of")] if len(groups) > 1 else []),
        Column("model", "predicted by"),
        Column("scaled_by", "scaled by"),
        Column("rows", "rows", Kind.COUNT, optional=True),
        Column("median_error", "median\nerror", Kind.SHARE),
        Column("p90_error", "P90", Kind.SHARE),
        Column("bias", "bias", Kind.SHARE, optional=True),
        Column("within_10", "within\n10 %", Kind.SHARE, optional=True),
        Column("within_25", "within\n25 %", Kind.SHARE),
        Column("spread", "spread", Kind.RATIO, optional=True),
        Column("spearman", "Spear-\nman", Kind.NUMBER),
        Column("kendall", "Kendall\nτ", Kind.NUMBER, optional=True),
    ]
    if any(score.coverage is not None for score in validation.scores):
        columns.append(Column("coverage", "in 90 %\ninterval", Kind.SHARE))
    columns.append(Column("worst", "worst families", optional=True))
    return Table(
        columns=tuple(columns),
        rows=[_cells(score) for score in validation.scores],
        title=_title(validation),
        notes=tuple(_notes(validation)),
    )


def _title(validation: Validation) -> str:
    count = len(validation.rows) or max((score.rows for score in validation.scores), default=0)
    return f"{count} timings of {validation.source} against predictions for {validation.hardware}"


def scaled_in_words(score: Score) -> str:
    """Words for how the factor was found by which predictions were multiplied."""
    return {"": "nothing", HALF: "half of them", FIT: "three numbers"}.get(score.scaled_by, score.scaled_by)


def _cells(score: Score) -> dict[str, Any]:
    return {
        "group": score.group,
        "model": score.model,
        "scaled_by": scaled_in_words(score),
        "rows": score.rows,
        "median_error": score.median_error,
        "p90_error": score.p90_error,
        "bias": score.bias,
        "within_10": score.within_10,
        "within_25": score.within_25,
        "spread": score.spread,
        "spearman": None if score.spearman is None else round(score.spearman, 3),
        "kendall": None if score.kendall is None else round(score.kendall, 3),
        "coverage": score.coverage,
        "worst": ", ".join(f"{item.family} {100 * item.median:.0f} %" for item in score.worst),
    }


def _notes(validation: Validation) -> Iterator[str]:
    yield (
        "error: |predicted / measured - 1|; bias: the median of predicted / measured - 1; spread: exp of the "
        "standard deviation of log(predicted / measured)"
    )
    scores = validation.scores
    if any(score.scaled_by == HALF for score in scores):
        yield (
            "scaled by half of them: predictions are multiplied by the median of measured / predicted of one "
            "half of the networks, and the row is of the other half"
        )
    if any(score.scaled_by == FIT for score in scores):
        yield (
            "scaled by three numbers: the rate of arithmetic, the rate of bytes and the time of a call are "
            "fitted on one half of the networks, and the row is of the other half"
        )
    anchors = dict.fromkeys(score.scaled_by for score in scores if score.scaled_by not in ("", HALF, FIT))
    for anchor in anchors:
        yield f"scaled by {anchor}: predictions are multiplied so that the one of {anchor} is exact"
    bounds = {score.model: score.lower_bounds for score in scores if score.lower_bounds}
    if bounds:
        listed = ", ".join(f"{model} {count}" for model, count in bounds.items())
        yield f"lower bounds, where the table lacks figures: {listed}"
    if validation.conditions:
        yield "; ".join(f"{name}: {value}" for name, value in validation.conditions.items() if value)
    yield from validation.notes
    if validation.skipped:
        reasons = Counter(item.reason for item in validation.skipped)
        (reason, count), *others = reasons.most_common()
        named = ", ".join(item.name for item in validation.skipped[:_LISTED])
        more = len(validation.skipped) - _LISTED
        yield (
            f"{len(validation.skipped)} timings skipped: {named}{f' and {more} more' if more > 0 else ''} "
            f"({reason}{f', {count} times' if count > 1 else ''}"
            f"{f', and {len(others)} other reasons' if others else ''})"
        )


def networks_table(validation: Validation) -> Table:
    """A table of the rows: the measured time beside the predictions."""
    models = dict.fromkeys(p.model for row in validation.rows for p in row.predicted)
    rows = [
        {
            "name": row.name,
            "group": row.group,
            "kind": row.kind,
            "measured_s": row.measured_s,
            "mac_sites": row.mac_sites,
            "bytes_moved": row.bytes_moved,
        }
        | {f"{p.model}_s": p.seconds for p in row.predicted}
        for row in validation.rows
    ]
    columns = (
        Column("name", "network", Kind.PATH),
        *([Column("group", "of")] if any(row.group != NETWORKS for row in validation.rows) else []),
        Column("kind", "kind", optional=True),
        Column("measured_s", "measured", Kind.QUANTITY, "s"),
        *(Column(f"{model}_s", f"predicted,\n{model}", Kind.QUANTITY, "s") for model in models),
        Column("mac_sites", "MAC\nsites", Kind.COUNT, optional=True),
        Column("bytes_moved", "bytes\nmoved", Kind.COUNT, optional=True),
    )
    return Table(columns, rows, title=_title(validation))
