"""A table for a LaTeX paper: booktabs rules, siunitx columns, as wide as a column or as the page.

Columns that do not fit are left out, the last ones first, and a comment names them. In a table as wide as a
column, compared numbers that do not fit follow in a second table. Numbers have three digits. The power of ten
or the prefix of the unit is written once, in the heading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from addercost.analysis.bounds import AtLeast, AtMost
from addercost.report.formats.latex_text import latex_path, latex_text, latex_unit, visible_text
from addercost.report.table import Column, Kind, Table, heading, shown
from addercost.text import printable, shortened
from addercost.units import parse_quantity, prefixed_unit

PACKAGES = "array,booktabs,siunitx"
WIDTH_POINTS = {"single": 252.0, "double": 516.0}
"""Widths in TeX's points, 72.27 to the inch, of a column and of a page in most journals on A4."""

MOST_ROWS = 45
"""The most rows of a table, so that it fits on a page. A longer table keeps its first and last rows."""

SETTINGS = (
    r"\sisetup{group-digits=integer, group-minimum-digits=4, group-separator={,}}",
    r"\sisetup{table-text-alignment=right}",
    r"\setlength{\tabcolsep}{3pt}",
)
# Widths of 8-point Computer Modern: digits and typewriter letters have 4.25 points, and few Roman letters
# more than 5. An exponent is smaller, so that a unit such as 10^9 cycles has 3.8 points a letter.
_DIGIT, _LETTER, _TYPEWRITER, _UNIT, _GAP = 4.4, 4.9, 4.3, 3.8, 6.5
_LONGEST_TEXT = 22
_NARROWEST_PARAGRAPH = 60.0
_CONTINUED = " (continued)"
_PARAGRAPH_SHARE = 0.29


@dataclass(frozen=True, slots=True)
class _Laid:
    """A typeset column. points: its width. spec: its letter in the preamble of the table."""

    column: Column
    head: str
    cells: tuple[str, ...]
    spec: str
    points: float


def table_to_latex(table: Table, width: str = "double") -> str:
    """LaTeX of a `table`, or of a `table*` over both columns of a page. width: a key of WIDTH_POINTS."""
    table = _cut(table)
    kept, left_out = _fitting(table, WIDTH_POINTS[width])
    rest = _continued(table, kept, left_out) if width == "single" else None
    following = {column.name for column in rest.columns} if rest is not None else set()
    without = [heading(column) for column in left_out if column.name not in following]
    environment = "table" if width == "single" else "table*"
    count = len(table.rows)
    body = [" & ".join(laid.cells[i] for laid in kept) + r" \\" for i in range(count)]
    if table.total:
        body += [r"\midrule", " & ".join(laid.cells[-1] for laid in kept) + r" \\"]
    lines = [
        rf"\begin{{{environment}}}",
        # A float begins in the font size of the text around it.
        r"\centering\footnotesize",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\begin{{tabular}}{{{''.join(laid.spec for laid in kept)}}}",
        r"\toprule",
        " & ".join(laid.head for laid in kept) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\end{{{environment}}}",
        *([f"% left out, as the table is full: {printable(', '.join(without))}"] if without else []),
        *([table_to_latex(rest, width)] if rest is not None else []),
        *(f"% {printable(note)}" for note in table.notes),
    ]
    return "\n".join(lines)


def _continued(table: Table, kept: Sequence[_Laid], left_out: Sequence[Column]) -> Table | None:
    """A second table with the compared numbers that did not fit, beside the texts that name their rows."""
    columns = [c for c in left_out if _is_compared(c) and not (c.optional or c.secondary)]
    rows = [row for row in table.rows if any(row.get(c.name) not in (None, "") for c in columns)]
    # Where no number fitted, none would fit into the next table.
    if not rows or all(column in columns for column in table.columns if not column.is_text):
        return None
    # In the first table a ratio follows the figure whose heading names the processor.
    columns = [
        replace(c, title=f"{c.title} {c.group.replace(':', ' ')}", group="") if c.kind is Kind.RATIO else c
        for c in columns
    ]
    has_units = any(column.kind is Kind.AMOUNT for column in columns)
    names = [
        laid.column for laid in kept if laid.column.is_text and (has_units or laid.column.name != "unit")
    ]
    has_total = any(table.total.get(c.name) not in (None, "") for c in columns)
    title = table.title if table.title.endswith(_CONTINUED) else f"{table.title}{_CONTINUED}"
    total = table.total if has_total else {}
    return replace(table, columns=(*names, *columns), rows=rows, title=title, notes=(), total=total)


def _is_compared(column: Column) -> bool:
    """Whether a column belongs to one of the networks or processors that the table compares."""
    return column.kind in (Kind.AMOUNT, Kind.RATIO) or (bool(column.group) and not column.is_text)


def _cut(table: Table) -> Table:
    left_out = len(table.rows) - MOST_ROWS + 1
    if left_out <= 1:
        return table
    half = MOST_ROWS // 2
    between = {table.columns[0].name: f"{left_out} more rows"}
    return replace(table, rows=[*table.rows[:half], between, *table.rows[half + left_out :]])


def document_head(title: str) -> list[str]:
    """Comments and settings that a file has once, above its tables. The file is meant for \\input."""
    return [
        f"% {printable(title)}",
        f"% \\usepackage{{{PACKAGES}}}",
        "% All cycles, seconds and joules are estimates unless a column says measured.",
        r"\begingroup",
        *SETTINGS,
    ]


def to_latex_table(table: Table, width: str = "double") -> str:
    """One table with its settings, as `--format latex` prints it."""
    return "\n".join([*document_head(table.title), table_to_latex(table, width), r"\endgroup", ""])


def _fitting(table: Table, limit: float) -> tuple[list[_Laid], list[Column]]:
    """(the columns that fit, the others), both in their order."""
    rows = [*table.rows, *([table.total] if table.total else [])]
    filled = [c for c in table.columns if any(row.get(c.name) not in (None, "") for row in rows)]
    # The first column names the row. Secondary and optional columns are taken last.
    order = sorted(range(len(filled)), key=lambda i: (filled[i].secondary, filled[i].optional, i))
    taken: dict[int, _Laid] = {}
    free = limit
    for i in order:
        laid = _laid(filled[i], rows)
        if laid.spec.startswith("p"):
            room = min(free - _GAP, _PARAGRAPH_SHARE * limit)
            if room < _NARROWEST_PARAGRAPH:
                continue
            laid = _paragraph(filled[i], rows, room)
        if laid.points + _GAP <= free:
            taken[i] = laid
            free -= laid.points + _GAP
    return [taken[i] for i in sorted(taken)], [c for i, c in enumerate(filled) if i not in taken]


def _laid(column: Column, rows: Sequence[Mapping[str, Any]]) -> _Laid:
    if column.name == "unit":
        return _texts(column, [_row_scale(row).unit for row in rows], latex_unit)
    if column.kind is Kind.PATH:
        return _texts(column, [str(row.get(column.name) or "") for row in rows], latex_path)
    if column.is_text:
        return _texts(column, [shown(row.get(column.name), column) for row in rows], latex_text)
    return _numbers(column, rows)


def _texts(column: Column, texts: Sequence[str], write: Any) -> _Laid:
    short = [shortened(visible_text(text), _LONGEST_TEXT) for text in texts]
    letter = _TYPEWRITER if column.kind is Kind.PATH else _UNIT if column.name == "unit" else _LETTER
    head, head_points = _heading(column, "")
    points = max([head_points, *(letter * len(text) for text in short)])
    longest = max((len(printable(text)) for text in texts), default=0)
    if longest > _LONGEST_TEXT and column.kind is not Kind.PATH:
        # A sentence wraps; `_fitting` gives it the remaining width.
        return _paragraph(column, [{column.name: text} for text in texts], _NARROWEST_PARAGRAPH)
    return _Laid(column, head, tuple(write(text) if text else "{}" for text in short), "l", points)


def _paragraph(column: Column, rows: Sequence[Mapping[str, Any]], points: float) -> _Laid:
    cells = tuple(
        r"\raggedright\arraybackslash " + latex_text(shown(row.get(column.name), column)) for row in rows
    )
    head, _ = _heading(column, "")
    return _Laid(column, head, cells, f"p{{{points:.0f}pt}}", points)


def _numbers(column: Column, rows: Sequence[Mapping[str, Any]]) -> _Laid:
    values = [_scaled(row, column) for row in rows]
    numbers = [abs(value) for value in values if value is not None]
    largest = max(numbers, default=0.0)
    factor, unit = 1.0, ""
    if column.kind is Kind.QUANTITY:
        factor, unit = prefixed_unit(largest, column.unit)
    elif column.kind is Kind.COUNT and largest >= 10_000:
        factor, _ = prefixed_unit(largest, "")
    digits = len(str(int(largest / factor)))
    if column.kind is Kind.AMOUNT:
        decimals = [_row_scale(row).decimals for row in rows]
    elif column.kind is Kind.SHARE:
        decimals = [1] * len(rows)
    else:
        # The largest row has three digits; the total, which is larger, has as many decimals.
        whole = column.kind is Kind.COUNT and factor == 1 and all(n.is_integer() for n in numbers)
        decimals = [0 if whole else _decimals(max(numbers[:-1], default=largest) / factor)] * len(rows)
    cells = tuple(
        "{}" if value is None else _cell(row.get(column.name), f"{value / factor:.{places}f}")
        for value, row, places in zip(values, rows, decimals, strict=True)
    )
    has_bounds = any(isinstance(row.get(column.name), AtLeast | AtMost) for row in rows)
    scale = rf"$10^{{{len(f'{factor:.0f}') - 1}}}$" if factor > 1 and not unit else ""
    under = latex_unit(unit) if unit else r"\%" if column.kind is Kind.SHARE else scale
    head, head_points = _heading(column, under)
    most = max(decimals, default=0)
    # Numbers of four digits have a comma; the mark of a bound is about one and a half digits wide.
    width = _DIGIT * (digits + most + (1 if most else 0) + digits // 4 + (1.5 if has_bounds else 0))
    return _Laid(column, head, cells, f"S[table-format={digits}.{most}]", max(head_points, width))


def _decimals(value: float) -> int:
    """The decimals with which the number has three digits."""
    return max(3 - len(str(int(value))), 0)


def _cell(given: Any, text: str) -> str:
    if isinstance(given, AtLeast | AtMost):
        mark = r"\geq" if isinstance(given, AtLeast) else r"\leq"
        return rf"{{${mark}$\,\num{{{text}}}}}"
    return text


def _scaled(row: Mapping[str, Any], column: Column) -> float | None:
    """The number to print: a share in percent, and an amount in its row's unit."""
    value = row.get(column.name)
    if value is None or value == "":
        return None
    number = float(value)
    if column.kind is Kind.SHARE:
        return 100 * number
    if column.kind is Kind.AMOUNT:
        return number / _row_scale(row).factor
    return number


@dataclass(frozen=True, slots=True)
class _RowScale:
    """The scale of a row with its own unit: the number by which its amounts are divided, the unit after that,
    and decimals.
    """

    factor: float
    unit: str
    decimals: int


def _row_scale(row: Mapping[str, Any]) -> _RowScale:
    """The unit in which the largest amount is below 1000."""
    amounts = [abs(float(v)) for name, v in row.items() if isinstance(v, float | int) and "/" not in name]
    unit, largest = str(row.get("unit") or ""), max(amounts, default=0.0)
    for base in ("s", "J"):
        try:
            own = parse_quantity(f"1 {unit}", base)
        except ValueError:
            continue
        factor, better = prefixed_unit(largest * own, base)
        return _RowScale(factor / own, better, _decimals(largest * own / factor))
    if largest < 1_000:
        return _RowScale(1.0, unit, 0 if all(v.is_integer() for v in amounts) else _decimals(largest))
    factor, _ = prefixed_unit(largest, "")
    return _RowScale(factor, f"10^{len(f'{factor:.0f}') - 1} {unit}", _decimals(largest / factor))


def _heading(column: Column, under: str) -> tuple[str, float]:
    """(the title, broken into lines, with the unit below it; its width)."""
    lines: list[str] = []
    for word in heading(column).split():
        if lines and len(lines[-1]) + len(word) < 11:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    lines = [shortened(visible_text(line), _LONGEST_TEXT) for line in lines]
    points = max((_LETTER * len(line) for line in lines), default=0.0)
    side = "[l]" if column.is_text else "[r]"
    stacked = r"\\".join([*map(latex_text, lines), *([under] if under else [])])
    return rf"{{\shortstack{side}{{{stacked}}}}}", max(points, _LETTER * 4 if under else 0.0)
