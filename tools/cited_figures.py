"""Reads single figures that have their own source, from cited_figures.toml. They are used in addition to a
scheduling model's.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from toml_writing import plain

CITED_FIGURES = Path(__file__).with_suffix(".toml")
_NUMBERS = ("lanes", "vector_bits", "latency_cycles", "reciprocal_throughput_cycles", "uops")
_FROM_THE_MODEL = ("lanes", "reciprocal_throughput_cycles", "uops", "ports", "instruction")
"""The columns that a row may leave out. A missing latency is taken from the model's row when it is needed."""

Key = tuple[str, str, int]
Row = dict[str, object]


@dataclass
class Block:
    """The cited rows of one processor from one source. source: the entry in `[sources]` for them."""

    id: str
    source: dict[str, str]
    quality: str
    rows: list[Row]


@dataclass
class CitedFigures:
    """blocks, parts: by processor. parts: values that replace fields of its `[part]`; their `source` is the
    reason.
    """

    blocks: dict[str, list[Block]] = field(default_factory=dict)
    parts: dict[str, dict[str, object]] = field(default_factory=dict)


def read_cited_figures(path: Path = CITED_FIGURES) -> CitedFigures:
    """Reads the file. Raises ValueError for a table that names no known source, or with a row that does not
    fit the header.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    blocks: dict[str, list[Block]] = {}
    for entry in document["figures"]:
        source = dict(document["sources"][entry["source"]])
        source["title"] += f": {entry['page']}"
        quality = entry.get("quality", "measured")
        rows = _rows(entry["table"], entry["cpu"])
        blocks.setdefault(entry["cpu"], []).append(Block(entry["source"], source, quality, rows))
    return CitedFigures(blocks, document["parts"])


def _rows(table: str, cpu: str) -> list[Row]:
    header, *lines = [line.split() for line in table.splitlines() if line.strip()]
    rows: list[Row] = []
    for cells in lines:
        if header[-1] == "instruction":
            cells[len(header) - 1 :] = [" ".join(cells[len(header) - 1 :])]
        if len(cells) != len(header):
            raise ValueError(f"{cpu}: {' '.join(cells)!r} is not as wide as {' '.join(header)!r}")
        given = {name: cell for name, cell in zip(header, cells, strict=True) if cell != "-"}
        rows.append({name: plain(cell) if name in _NUMBERS else cell for name, cell in given.items()})
    return rows


def key(row: Row) -> Key:
    return str(row["op"]), str(row["form"]), int(str(row["vector_bits"]))


def completed(row: Row, model: Row | None) -> Row:
    """The row with missing columns taken from the model's row. Raises ValueError where a column is missing
    and the model has no such row.

    The model's row has the ports that an instruction can use. The cited rate limits the cycles of work on
    them.
    """
    if model is None:
        missing = {"lanes", "reciprocal_throughput_cycles", "instruction"} - row.keys()
        if missing:
            raise ValueError(
                f"{key(row)} is not in the model's table and has no {', '.join(sorted(missing))}"
            )
        return row
    filled = {name: model[name] for name in _FROM_THE_MODEL if name in model} | row
    if "ports" in model and "ports" not in row:
        filled["ports"] = _within(str(model["ports"]), float(str(filled["reciprocal_throughput_cycles"])))
    return filled


def _within(ports: str, cycles_each: float) -> str:
    """The port groups, with their work reduced so that an instruction can start every `cycles_each`
    cycles.
    """
    groups = []
    for group in ports.split("+"):
        work, times, alternatives = group.rpartition("*")
        most = cycles_each * (alternatives.count("|") + 1)
        least = min(float(work) if times else 1.0, most)
        groups.append(alternatives if abs(least - 1) < 1e-6 else f"{round(least, 3):g}*{alternatives}")
    return "+".join(groups)


def differences(rows: list[Row], model: dict[Key, Row]) -> list[str]:
    """A text for each figure that differs from the model's: `fp32_div (vector 256): 4.98 cycles each (model:
    1)`.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        other = model.get(key(row))
        if other is None:
            continue
        changes = [
            words.format(row[name], other[name])
            for name, words in (
                ("latency_cycles", "latency {} (model: {})"),
                ("reciprocal_throughput_cycles", "{} cycles each (model: {})"),
            )
            if name in row and name in other and row[name] != other[name]
        ]
        if changes:
            op, form, bits = key(row)
            alike.setdefault((op, ", ".join(changes)), []).append(f"{form} {bits}")
    return [f"{op} ({', '.join(widths)}): {changes}" for (op, changes), widths in alike.items()]
