"""Rankings and sensitivities as printed tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from addercost.arithmetic import OpCounts
from addercost.cost.layers import operation_keys
from addercost.cost.rank import RankRow
from addercost.cost.sensitivity import (
    break_even_ratio,
    count_matrix,
    cycles,
    latencies,
    monte_carlo,
    tornado,
)
from addercost.cost.target import Target
from addercost.report.tables import Column, Kind, Table


def rank_table(
    rows: Sequence[RankRow], alternatives: Sequence[str], title: str, caveats: Mapping[str, str]
) -> Table:
    """One row for each processor and cost model; a ratio above 1 says the alternative takes fewer cycles.

    caveats: by processor, what is known to be doubtful in its table.
    """
    baseline = rows[0].baseline if rows else "mac"
    columns = (
        Column("model", "cost model"),
        Column("hardware", "processor"),
        Column(f"{baseline}_cycles", f"{baseline}\ncycles", Kind.COUNT),
        *(Column(f"{name}_cycles", f"{name}\ncycles", Kind.COUNT, optional=True) for name in alternatives),
        *(Column(f"{name}_advantage", f"{baseline} /\n{name}", Kind.RATIO) for name in alternatives),
        Column("caveat", "caveat", optional=True),
    )
    found: list[dict[str, Any]] = []
    for row in rows:
        cells: dict[str, Any] = {"model": row.model, "hardware": row.hardware}
        cells["caveat"] = caveats.get(row.hardware, "")
        cells |= {f"{name}_cycles": row.cycles[name] for name in (baseline, *alternatives)}
        cells |= {f"{name}_advantage": row.advantage(name) for name in alternatives}
        found.append(cells)
    unknown = sum(any(c is None for c in row.cycles.values()) for row in rows)
    notes = ["estimates, not measurements: latency-sum overlaps nothing, throughput everything"]
    if unknown:
        notes.append(f"{unknown} rows have empty cells: the processor's table lacks a figure they need")
    # The column seldom fits, and a rank by a doubtful figure must not stand without it.
    doubtful = dict.fromkeys(row.hardware for row in rows if caveats.get(row.hardware))
    notes += [f"{hardware}: {caveats[hardware]}" for hardware in doubtful]
    return Table(columns, found, title=title, notes=tuple(notes))


def sensitivity_table(
    model: str,
    target: Target,
    one: OpCounts,
    other: OpCounts,
    names: tuple[str, str],
    spread: float,
    draws: int,
    seed: int,
) -> Table:
    """The tornado of cycles(one) / cycles(other) by latency-sum, Monte Carlo and break-even below it."""
    import numpy as np

    keys = operation_keys([one, other])
    table = latencies([target], keys, spread)
    matrix = count_matrix([one, other], keys)
    columns = (
        Column("figure", "latency of"),
        Column("low_cycles", "low\ncycles", Kind.NUMBER),
        Column("high_cycles", "high\ncycles", Kind.NUMBER),
        Column("advantage_at_low", f"{names[0]} / {names[1]}\nat low", Kind.RATIO),
        Column("advantage_at_high", "at high", Kind.RATIO),
        Column("swing", "swing", Kind.NUMBER),
    )
    nominal = cycles(table, matrix)[0]
    notes = [f"a figure without a range of its own moves by ±{100 * spread:g} %, an assumption"]
    rows: list[dict[str, Any]] = []
    if np.isnan(nominal).any():
        lacking = ", ".join(
            f"{c} ({f})" for (c, f), known in zip(keys, table.known[0], strict=True) if not known
        )
        notes.append(f"{target.name} has no latency of {lacking}: no ratio can be given")
    else:
        rows = [
            {name: getattr(bar, name) for name in (column.name for column in columns)}
            for bar in tornado(table, target.name, one, other)
        ]
        drawn = monte_carlo(table, matrix, draws, seed)[:, 0, :]
        ratios = drawn[:, 0] / drawn[:, 1]
        low, middle, high = np.percentile(ratios, (2.5, 50, 97.5))
        notes += [
            f"nominal {names[0]} / {names[1]} {nominal[0] / nominal[1]:.3f}×",
            f"{draws:,} draws of all figures: median {middle:.3f}×, 95 % within {low:.3f}× to {high:.3f}×, "
            f"{100 * np.mean(ratios > 1):.1f} % above 1",
        ]
    try:
        ratio = break_even_ratio(one, other)
    except ValueError as error:
        notes.append(f"no break-even ratio: {error}")
    else:
        if ratio is not None:
            notes.append(f"break-even: equal where a multiplication costs {ratio:.3f} additions")
    return Table(
        columns, rows, title=f"{model}: sensitivity on {target.title}, latency-sum model", notes=tuple(notes)
    )
