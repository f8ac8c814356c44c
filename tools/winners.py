"""Predicted and measured winners of every contest on a machine: `python tools/winners.py FOLDER…`.

For each model of the zoo whose timings are in a folder (`machine_report.py` makes them), `addercost verdict`
predicts by the kernels that were timed on this machine and compares with the timings. A model without
timings may have what `addercost verdict zoo:NAME --cpu host --format csv -o FOLDER/NAME-verdict.csv` printed.
`winners.md` says where the two disagree, and why. Nothing is timed here.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from addercost.models.zoo import ZOO
from addercost.text import markdown_cell

HEADING = """\
# Predicted and measured winners

Made by `python tools/winners.py`. A ratio is what convolutions take / what the other layers take: above 1 the
others win. Convolutions and linear layers are timed one by one on one core and added up. *Predicted* is the
cost model `calibrated`, whose kernels are not these layers. Brackets hold the 90 % interval of a prediction
and the 95 % interval of a measurement.

| model | convolutions against | predicted | measured | the winners |
| --- | --- | --- | --- | --- |"""

SAME = "are the same"


def rows_of(document: Path) -> list[Mapping[str, str]]:
    """One row for each contest, as `verdict` prints them. document: timings, or such rows as a CSV file."""
    if document.suffix == ".csv":
        return list(csv.DictReader(document.read_text(encoding="utf-8").splitlines()))
    command = [
        sys.executable, "-m", "addercost", "verdict", f"zoo:{document.stem}", "--measurements", str(document),
        "--cpu", "host", "--format", "csv", "-q",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(f"{document}: {found.stderr.strip()}")
    return list(csv.DictReader(found.stdout.splitlines()))


def outcome(row: Mapping[str, str]) -> str:
    """Words on whether prediction and measurement have the same winner, and if not, why."""
    if not row.get("calibrated") or not row.get("measured"):
        return "are not compared: " + ("not predicted" if not row.get("calibrated") else "not timed")
    predicted, low, high = (float(row[name]) for name in ("calibrated", "calibrated_low", "calibrated_high"))
    measured = float(row["measured"])
    if (predicted > 1) == (measured > 1):
        return SAME
    off = f"the prediction is {100 * abs(predicted / measured - 1):.0f} % off"
    if float(row["low"]) <= 1 <= float(row["high"]):
        return f"differ: the measurement cannot tell; {off}"
    if low <= 1 <= high:
        return f"differ: the interval of the prediction holds both winners; {off}"
    return f"differ, beyond the interval of the prediction; {off}"


def cells(document: Path) -> Iterator[tuple[str, ...]]:
    for row in rows_of(document):
        yield (
            document.stem.removesuffix("-verdict"),
            row["network"],
            _ratio(row, "calibrated", "calibrated_low", "calibrated_high"),
            _ratio(row, "measured", "low", "high"),
            outcome(row),
        )


def _ratio(row: Mapping[str, str], value: str, low: str, high: str) -> str:
    if not row.get(value):
        return ""
    return f"{float(row[value]):.3g} [{float(row[low]):.3g}, {float(row[high]):.3g}]"


def page(folder: Path) -> Iterator[str]:
    """The lines of winners.md."""
    yield from HEADING.splitlines()
    kept = {name: (folder / f"{name}.json", folder / f"{name}-verdict.csv") for name in ZOO}
    documents = {name: next((path for path in paths if path.exists()), None) for name, paths in kept.items()}
    found = [one for path in documents.values() if path for one in cells(path)]
    for one in found:
        yield f"| {' | '.join(map(markdown_cell, one))} |"
    yield ""
    yield f"The winners are the same in {sum(one[-1] == SAME for one in found)} of {len(found)} contests."
    missing = [name for name, path in documents.items() if not path]
    if missing:
        yield ""
        yield f"Not timed: {', '.join(missing)}."


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        (folder / "winners.md").write_text("\n".join(page(folder)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
