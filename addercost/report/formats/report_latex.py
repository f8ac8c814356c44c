"""A report's tables for a LaTeX paper: booktabs rules, siunitx columns, longtable where they run long.

The output is meant for \\input: it holds the tables alone, and its first lines name the packages they need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from addercost.analysis.bounds import AtLeast, AtMost
from addercost.report.sections import report_sections
from addercost.report.table import Column, Kind, Table, heading, shown
from addercost.results.report import Report
from addercost.text import printable
from addercost.units import si

PACKAGES = "booktabs,longtable,siunitx"
_ROWS_ON_A_PAGE = 40
_LONGEST_UNBROKEN = 48
_TABLES = ("arithmetics", "layers", "accelerators", "rank", "sensitivity", "measured")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "µ": r"$\mu$",
    "Σ": r"$\Sigma$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "…": r"\dots{}",
    "–": "--",
    "·": r"$\cdot$",
    "²": r"$^2$",
}
_BREAKS = re.compile(r"(?<=[./])(?=\w)")


def to_latex(report: Report) -> str:
    """The tables of the sections in `_TABLES`; the report's title becomes a comment."""
    lines = [
        f"% {printable(report.title)}",
        f"% \\usepackage{{{PACKAGES}}}",
        "% All cycles, seconds and joules are estimates unless a column says measured.",
        r"\begingroup",
        r"\sisetup{group-digits=integer, group-minimum-digits=4, group-separator={,}}",
        r"\sisetup{table-text-alignment=right}",
    ]
    for _, sections in report_sections(report):
        for section in sections:
            if section.key in _TABLES:
                for table in section.tables:
                    lines += ["", *_table(table)]
    return "\n".join([*lines, r"\endgroup", ""])


def latex_text(text: str) -> str:
    """Text that LaTeX prints as it is. Characters without a glyph in pdfLaTeX become `[U+XXXX]`."""
    return "".join(map(_character, printable(text)))


def _character(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    return c if c.isascii() or "\u00c0" <= c <= "\u017e" else f"[U+{ord(c):04X}]"


def _table(table: Table) -> Iterator[str]:
    rows = [*table.rows, *([table.total] if table.total else [])]
    # A printed page is too narrow for what a terminal leaves out first.
    shown = [column for column in table.columns if not column.secondary]
    columns = [c for c in shown if not c.optional or any(row.get(c.name) for row in rows)]
    body = [" & ".join(_cell(row.get(c.name), c) for c in columns) + r" \\" for row in rows]
    if table.total:
        body.insert(-1, r"\midrule")
    spec = "".join(_texts(c, rows) if c.is_text else _numbers(c, rows) for c in columns)
    head = " & ".join(f"{{{latex_text(heading(c))}{_unit(c)}}}" for c in columns) + r" \\"
    caption = latex_text(table.title)
    notes = [f"% {printable(note)}" for note in table.notes]
    if len(rows) > _ROWS_ON_A_PAGE:
        yield rf"\begin{{longtable}}{{{spec}}}"
        yield rf"\caption{{{caption}}}\\"
        yield from (r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot")
        yield from body
        yield r"\end{longtable}"
    else:
        yield r"\begin{table}"
        yield r"\centering"
        yield rf"\caption{{{caption}}}"
        yield rf"\begin{{tabular}}{{{spec}}}"
        yield from (r"\toprule", head, r"\midrule", *body, r"\bottomrule")
        yield r"\end{tabular}"
        yield r"\end{table}"
    yield from notes


def _unit(column: Column) -> str:
    return r" (\%)" if column.kind is Kind.SHARE else ""


def _cell(value: Any, column: Column) -> str:
    if value is None or value == "":
        return "{}"
    if column.kind is Kind.PATH:
        return r"\texttt{" + r"\allowbreak{}".join(map(latex_text, _BREAKS.split(shown(value, column)))) + "}"
    if column.is_text:
        return latex_text(shown(value, column))
    if column.kind is Kind.QUANTITY:
        return f"{{{latex_text(si(value, column.unit, 4))}}}"
    if isinstance(value, AtLeast | AtMost):
        mark = r"\geq" if isinstance(value, AtLeast) else r"\leq"
        return rf"{{${mark}$\,\num{{{_number(float(value), column)}}}}}"
    return _number(value, column)


def _number(value: float, column: Column) -> str:
    match column.kind:
        case Kind.RATIO:
            return f"{value:.3f}"
        case Kind.SHARE:
            return f"{100 * value:.1f}"
        case Kind.COUNT:
            return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
    return f"{float(f'{value:.4g}'):f}".rstrip("0").rstrip(".")


def _texts(column: Column, rows: list[Mapping[str, Any]]) -> str:
    """The specification of a text column. One that holds sentences gets a fixed width, so that they wrap."""
    longest = max((len(shown(row.get(column.name), column)) for row in rows), default=0)
    return r"p{0.3\linewidth}" if longest > _LONGEST_UNBROKEN else "l"


def _numbers(column: Column, rows: list[Mapping[str, Any]]) -> str:
    """The specification of an S column wide enough for its numbers. Quantities with SI prefixes are text."""
    if column.kind is Kind.QUANTITY:
        return "r"
    texts = [_number(row[column.name], column) for row in rows if row.get(column.name) not in (None, "")]
    parts = [text.lstrip("-").partition(".") for text in texts]
    whole = max((len(a) for a, _, _ in parts), default=1)
    decimals = max((len(b) for _, _, b in parts), default=0)
    return f"S[table-format={whole}.{decimals}]"
