"""Chooses the rows of a large model for a figure: sums of modules that fit, else the largest rows."""

from __future__ import annotations

from collections.abc import Callable

from addercost.analysis.layer_rows import ProfileRow, folded, layer_rows
from addercost.results.profile import Profile

_TOO_FEW = 4


def fitting_rows(
    profile: Profile, limit: int, weight: Callable[[ProfileRow], float]
) -> tuple[list[ProfileRow], str]:
    """(at most `limit` rows in the order in which they run, a remark on what was summed or left out).

    Rows whose weight is 0 are left out.

    The finest module level with at most `limit` rows is taken. If that has less than a quarter of `limit`
    rows, the next finer level is taken: its largest rows, and one row for the rest. If that rest would weigh
    more than half of the total, neighbouring rows are summed instead.
    """
    rows = layer_rows(profile)
    deepest = max((row.path.count(".") + 1 for row in rows), default=1)
    levels: list[tuple[int | None, list[ProfileRow]]] = [(None, rows)] if len(rows) <= limit else []
    levels += [(depth, folded(rows, depth)) for depth in range(deepest, 0, -1)]
    fits = next((i for i, (_, level) in enumerate(levels) if len(level) <= limit), None)
    if fits is None:
        chosen, remark = levels[0][1], ""
    elif fits > 0 and len(levels[fits][1]) < limit / _TOO_FEW:
        chosen, remark = levels[fits - 1][1], ""
    else:
        depth, chosen = levels[fits]
        remark = (
            f"{len(rows)} layers summed to module depth {depth}" if depth and len(chosen) < len(rows) else ""
        )
    heavy = [row for row in chosen if weight(row) > 0]
    if len(heavy) < len(chosen):
        left_out = len(chosen) - len(heavy)
        remark += f"{'; ' if remark else ''}{left_out} without operations left out"
    if len(heavy) > limit:
        kept = set(sorted(range(len(heavy)), key=lambda i: -weight(heavy[i]))[: limit - 1])
        rest = [row for i, row in enumerate(heavy) if i not in kept]
        if sum(map(weight, rest)) > sum(map(weight, heavy)) / 2:
            runs, said = _runs(heavy, limit)
            return runs, f"{remark}{'; ' if remark else ''}{said}"
        remark += f"{'; ' if remark else ''}the {limit - 1} largest, the other {len(rest)} in one"
        heavy = [row for i, row in enumerate(heavy) if i in kept]
        heavy.append(ProfileRow.merged(rest, f"{len(rest)} more"))
    return heavy, remark


def _runs(rows: list[ProfileRow], limit: int) -> tuple[list[ProfileRow], str]:
    """At most `limit` rows, each the sum of as many neighbours."""
    length = -(-len(rows) // limit)
    chunks = [rows[i : i + length] for i in range(0, len(rows), length)]
    merged = [
        ProfileRow.merged(chunk, f"{chunk[0].path or '(model)'} … {chunk[-1].path}")
        if len(chunk) > 1
        else chunk[0]
        for chunk in chunks
    ]
    return merged, f"{len(rows)} rows summed in runs of {length} neighbours"
