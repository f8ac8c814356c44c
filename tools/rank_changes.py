"""Writes how `addercost rank` differs between two versions of the hardware tables and cost models, and why.

    PYTHONPATH=OLD_CHECKOUT python tools/rank_changes.py export OLD.json
    python tools/rank_changes.py export NEW.json
    python tools/rank_changes.py compare OLD.json NEW.json > reports/rank-changes.md

The order is that of ResNet-18 in fp32, and in int8, by `throughput`. Everything is an estimate.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

SPEC = "zoo:resnet18"
MODEL = "throughput"
RANKINGS = {
    "fp32": ("mac_cycles", "adder_cycles", ("mac", "fp32"), ("adder", "fp32")),
    "int8": ("int8-mac_cycles", "int8-adder_cycles", ("mac", "int8"), ("adder", "uint8")),
}
"""For each number format, the columns of `rank` and the inner loops that explain them."""

SAME = 0.01
"""Ratios and rates closer than this, as a share, count as unchanged."""

Loops = dict[str, dict[str, Any]]


def export() -> dict[str, Any]:
    """The results of this version of addercost: cycles by processor, and the inner loops of each."""
    from click.testing import CliRunner

    from addercost.cli.rank import rank
    from addercost.hardware import list_hardware, load_cpu
    from addercost.report.tables.inner_loops import inner_loop_rows

    arguments = [SPEC, "--int8", "--cost-model", MODEL, "--format", "csv", "--quiet"]
    output = CliRunner().invoke(rank, arguments, catch_exceptions=False).stdout
    names = [file.name for file in list_hardware(kind="cpu") if file.origin == "built-in"]
    return {
        "rows": [row for row in csv.DictReader(io.StringIO(output)) if row["hardware"] in names],
        "loops": {
            name: {f"{row['arithmetic']} {row['format']}": row for row in inner_loop_rows(load_cpu(name))}
            for name in names
        },
    }


def advantages(version: dict[str, Any], mac: str, adder: str) -> dict[str, float]:
    """How many times as many cycles multiply-adds take as adders, by processor, the largest first."""
    found = {
        row["hardware"]: float(row[mac]) / float(row[adder])
        for row in version["rows"]
        if _both(row, mac, adder)
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _both(row: dict[str, str], *columns: str) -> bool:
    return all(row[column] for column in columns)


def compare(old: dict[str, Any], new: dict[str, Any]) -> str:
    lines = [
        "# What changed in the ranking of processors",
        "",
        "Written by `tools/rank_changes.py` from two versions of tables and cost models. All are estimates.",
        f"A ratio is the cycles of multiply-adds by those of adders, {SPEC}, MAC sites only, by `{MODEL}`:",
        "above 1 the adders take fewer. Rates are sites a cycle of one core, before → now, and why. Some",
        "scheduling models have adders and multipliers as separate units (Exynos, ThunderX, Cortex-M85,",
        "A510): a sum on the multiplier costs the adder nothing there, which the silicon may see otherwise.",
    ]
    for name, (mac, adder, *loops) in RANKINGS.items():
        before, after = advantages(old, mac, adder), advantages(new, mac, adder)
        lines += ["", f"## {name}", "", *_first(before, after), "", *_changes(before, after, old, new, loops)]
    return "\n".join(lines) + "\n"


def _first(before: dict[str, float], after: dict[str, float], n: int = 12) -> list[str]:
    lines = ["| place | before | ratio | now | ratio |", "| ---: | --- | ---: | --- | ---: |"]
    for place, (old, new) in enumerate(
        zip(list(before.items())[:n], list(after.items())[:n], strict=False), 1
    ):
        lines.append(f"| {place} | {old[0]} | {old[1]:.3f} | {new[0]} | {new[1]:.3f} |")
    return lines


def _changes(
    before: dict[str, float],
    after: dict[str, float],
    old: dict[str, Any],
    new: dict[str, Any],
    loops: list[tuple[str, str]],
) -> list[str]:
    places = [{name: i for i, name in enumerate(side, 1)} for side in (before, after)]
    lines = [
        "| processor | place | ratio | multiply-adds | adders |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    same = 0
    for name in sorted(before.keys() | after.keys(), key=lambda name: places[1].get(name, len(after) + 1)):
        cells = [
            _loop_change(old["loops"].get(name, {}), new["loops"][name], " ".join(loop)) for loop in loops
        ]
        ratios = [_text(side.get(name)) for side in (before, after)]
        if not any(cells) and ratios[0] == ratios[1]:
            same += 1
            continue
        place = " → ".join(str(side.get(name, "-")) for side in places)
        loop_cells = [(cell or "as before").replace("|", "\\|") for cell in cells]
        lines.append(" | ".join((f"| {name}", place, " → ".join(ratios), *loop_cells)) + " |")
    return [
        *lines,
        "",
        f"Of {len(after)} processors {same} have the same ratio and the same inner loops as before.",
    ]


def _text(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"


def _loop_change(old: Loops, new: Loops, loop: str) -> str:
    """`16 → 32 (fused multiply-add: other figures)`; "" where nothing changed."""
    before, after = old.get(loop, {}), new.get(loop, {})
    if "sites_per_cycle" not in after:
        return "no figures" if "sites_per_cycle" in before else ""
    rate = after["sites_per_cycle"]
    if "sites_per_cycle" not in before:
        return f"none → {rate:.4g} ({after['way']})"
    changed = abs(rate / before["sites_per_cycle"] - 1) > SAME
    if before["instructions"] != after["instructions"]:
        what = f"{before['way']}, {_width(before)} → {after['way']}, {_width(after)}"
        if before["way"] == after["way"]:
            what = f"{after['way']}, {before['sites']} → {after['sites']} sites a step"
        return f"{before['sites_per_cycle']:.4g} → {rate:.4g} ({what})" if changed else ""
    return (
        f"{before['sites_per_cycle']:.4g} → {rate:.4g} ({after['way']}: other figures or ports)"
        if changed
        else ""
    )


def _width(row: dict[str, Any]) -> str:
    return f"{row['sites']} sites a step"


def main(arguments: list[str]) -> None:
    match arguments:
        case ["export", path]:
            Path(path).write_text(json.dumps(export()), encoding="utf-8")
        case ["compare", old, new]:
            sys.stdout.write(compare(*(json.loads(Path(path).read_text("utf-8")) for path in (old, new))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
