"""Writes the TOML of the tables, since the standard library can only read TOML."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

Value = str | int | float


def read_rows(path: Path, ragged: bool = False) -> list[dict[str, str]]:
    """The rows of one CSV file as dictionaries. Raises ValueError where a row has more or fewer cells than
    the header.

    ragged: allow fewer cells, since gpu_instructions.csv has three tables under one header.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, restval="" if ragged else None))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError(f"{path}: a row is not as wide as the header")
    return rows


def plain(cell: str) -> int | float:
    """The number in a cell, whole where it is whole."""
    value = float(cell)
    return int(value) if value.is_integer() else value


def literal(value: Value | Iterable[Value]) -> str:
    """One TOML value. JSON's basic strings are TOML's."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return f"{value:_}" if value >= 1_000_000 else str(value)
    if isinstance(value, float):
        return repr(value)
    return "[" + ", ".join(literal(v) for v in value) + "]"


def pairs(table: Mapping[str, object]) -> str:
    """`key = value` lines; None, empty text and empty lists are left out."""
    lines = [f"{k} = {literal(v)}\n" for k, v in table.items() if v is not None and v != "" and v != []]  # type: ignore[arg-type]
    return "".join(lines)


def inline_tables(name: str, rows: list[dict[str, object]]) -> str:
    """`name = [ { … }, … ]`, one row a line."""
    if not rows:
        return ""
    lines = (
        "  { "
        + ", ".join(f"{k} = {literal(v)}" for k, v in row.items() if v is not None and v != "")
        + " },\n"  # type: ignore[arg-type]
        for row in rows
    )
    return f"{name} = [\n{''.join(lines)}]\n"


def sources(used: Mapping[str, Mapping[str, str]]) -> str:
    return "".join(f"\n[sources.{id_}]\n{pairs(used[id_])}" for id_ in used)
