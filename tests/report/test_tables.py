"""Tables in every format: what is shown, what is kept whole, and what hostile texts turn into. No torch."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addercost.errors import ArgumentError
from addercost.report.formats.notebook import to_html
from addercost.report.formats.table_format import TableFormat, render
from addercost.report.table import Column, Kind, Table, shown
from addercost.text import markdown_cell, printable, shortened, spreadsheet_cell

COLUMNS = (
    Column("path", "layer", Kind.PATH),
    Column("what", "what it is"),
    Column("count", "count", Kind.COUNT),
    Column("spare", "spare", Kind.COUNT, optional=True),
    Column("share", "share", Kind.SHARE),
)


def table(*paths: str) -> Table:
    rows = [
        {"path": path, "what": "two words", "count": 1234567 * (i + 1), "spare": 7, "share": 0.125}
        for i, path in enumerate(paths)
    ]
    total = {"path": "total", "count": sum(row["count"] for row in rows), "share": 1.0}  # type: ignore[misc]
    return Table(COLUMNS, rows, title="A title", notes=("A note.",), total=total)


@pytest.mark.parametrize(
    ("value", "kind", "unit", "long", "short"),
    [
        (None, Kind.COUNT, "", "", ""),
        (0, Kind.COUNT, "", "0", "0"),
        (2612592, Kind.COUNT, "", "2,612,592", "2.61M"),
        (0.5, Kind.SHARE, "", "50.0 %", "50.0 %"),
        (1.5, Kind.RATIO, "", "1.500×", "1.500×"),
        (1.6e-3, Kind.QUANTITY, "s", "1.6 ms", "1.6 ms"),
        ((1, 6, 28, 28), Kind.TEXT, "", "1x6x28x28", "1x6x28x28"),
    ],
)
def test_shown(value: object, kind: Kind, unit: str, long: str, short: str) -> None:
    column = Column("c", "c", kind, unit)
    assert (shown(value, column), shown(value, column, short=True)) == (long, short)


@pytest.mark.parametrize("width", [200, 60, 50, 44])
def test_numbers_are_never_cut(width: int) -> None:
    text = render(table("a" * 30, "layer1.0.conv1"), TableFormat.TABLE, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "3,703,701" in text or "3.7M" in text
    assert "A note." in text


@pytest.mark.parametrize("width", [20, 43, 44, 45])
def test_notes_wrap_at_the_terminals_edge(width: int) -> None:
    """Also where the numbers need a line or two more than there is, or all but that."""
    made = Table(COLUMNS, table("a" * 30).rows, title="word " * 40, notes=("word " * 40,))
    lines = render(made, TableFormat.TABLE, width).splitlines()
    assert max(len(line) for line in lines if line.startswith("word")) <= width


def test_without_a_terminal_nothing_is_shortened() -> None:
    path = "block." * 50 + "conv"
    assert path in render(table(path), TableFormat.TABLE, None)


def test_numbers_are_right_aligned() -> None:
    lines = render(table("a", "b"), TableFormat.TABLE, None).splitlines()
    ends = {
        line.index(digits) + len(digits)
        for line in lines
        for digits in ("1,234,567", "2,469,134")
        if digits in line
    }
    assert len(ends) == 1


def test_csv_and_json_hold_plain_values_without_the_total() -> None:
    rows = list(csv.DictReader(io.StringIO(render(table("a", "b"), TableFormat.CSV))))
    assert [row["count"] for row in rows] == ["1234567", "2469134"]
    assert json.loads(render(table("a"), TableFormat.JSON)) == [
        {"path": "a", "what": "two words", "count": 1234567, "spare": 7, "share": 0.125}
    ]


def test_sorting() -> None:
    made = table("b", "a")
    assert [row["path"] for row in made.sorted_by("count")] == ["a", "b"]  # largest first
    assert [row["path"] for row in made.sorted_by("path")] == ["a", "b"]
    with pytest.raises(ArgumentError, match="did you mean count"):
        made.sorted_by("coumt")


HOSTILE = [
    "<script>alert(1)</script>",
    "a|b`c`",
    "\x1b[2J",
    "line\nbreak",
    "=cmd()",
    "@SUM(1,1)",
    "\u202egnp.exe",
    "[x](y)",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_texts(text: str) -> None:
    made = table(text)
    terminal = render(made, TableFormat.TABLE, None)
    assert "\x1b" not in terminal and "\u202e" not in terminal
    assert len(terminal.splitlines()) == len(render(table("x"), TableFormat.TABLE, None).splitlines())
    markdown = render(made, TableFormat.MARKDOWN)
    assert "<script>" not in markdown.replace("\\<", "") and "\x1b" not in markdown
    assert len(markdown.splitlines()) == len(render(table("x"), TableFormat.MARKDOWN).splitlines())
    assert "<script>" not in to_html(made)
    cell = next(csv.DictReader(io.StringIO(render(made, TableFormat.CSV))))["path"]
    assert cell[:1] not in ("=", "+", "-", "@") and "\x1b" not in cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        # OWASP, "CSV Injection": a formula begins with one of these, or with a tab or a line break.
        pytest.param("=1+1", "'=1+1", id="equals"),
        pytest.param("+1", "'+1", id="plus"),
        pytest.param("-1", "'-1", id="minus"),
        pytest.param("@SUM(1,1)", "'@SUM(1,1)", id="at"),
        pytest.param("\t=1", "\\t=1", id="tab"),
        pytest.param("\r=1", "\\r=1", id="line break"),
        pytest.param("a=1", "a=1", id="no formula"),
        pytest.param("", "", id="nothing"),
        pytest.param(-1.5, -1.5, id="a negative number"),
    ],
)
def test_a_spreadsheet_runs_no_text(text: object, cell: object) -> None:
    """In the function, and in a file, where a cell is read back as text."""
    assert spreadsheet_cell(text) == cell
    made = Table((Column("c", "c"),), [{"c": text}])
    (row,) = csv.DictReader(io.StringIO(render(made, TableFormat.CSV)))
    assert row["c"] == str(cell)


@settings(max_examples=40)
@given(st.text())
def test_printable_is_printable_and_keeps_what_was(text: str) -> None:
    made = printable(text)
    assert made.isprintable() or not made
    if text.isprintable():
        assert made == text


@given(st.text(max_size=40), st.integers(1, 50))
def test_shortened_keeps_both_ends(text: str, width: int) -> None:
    made = shortened(text, width)
    assert len(made) <= width
    if len(text) <= width:
        assert made == text
    elif width > 2:
        assert made[0] == text[0] or made[0] == "…"
        assert made[-1] == text[-1]


def test_markdown_escapes() -> None:
    assert markdown_cell("a|b_c") == "a\\|b\\_c"
