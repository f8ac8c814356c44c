"""Workbooks: one sheet a table, with units, widths and filters."""

from __future__ import annotations

import io

import made_models
import openpyxl
import sample_data
from hostile_report import report

from addercost.report.formats.report_format import ReportFormat, render_report
from addercost.report.sections import report_sections
from addercost.results.measurements import measurements_from_data
from addercost.results.report import Report
from addercost.text import printable


def test_headings_of_a_workbook_wrap_and_do_not_touch() -> None:
    """Columns are as wide as a word of their heading; a text beside a number begins with a gap; the row of
    headings is as high as the most lines, 15 points each."""
    book = openpyxl.load_workbook(io.BytesIO(render_report(report(), ReportFormat.XLSX)))
    sheet = next(sheet for sheet in book if sheet.title.endswith("arithmetics"))
    heads = [cell for cell in sheet[2] if cell.value]
    assert [cell.alignment.indent for cell in heads if cell.alignment.horizontal == "left"] == [0, 1]
    ratio = next(cell for cell in heads if " / " in cell.value)
    assert ratio.alignment.wrap_text
    narrowest = max(map(len, ratio.value.split()))
    assert narrowest < sheet.column_dimensions[ratio.column_letter].width < len(ratio.value)
    assert sheet.row_dimensions[2].height >= 15 * 2


def test_workbook() -> None:
    book = openpyxl.load_workbook(io.BytesIO(render_report(report(), ReportFormat.XLSX)))
    assert any("layers" in name for name in book.sheetnames)
    assert all(len(name) <= 31 for name in book.sheetnames)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.value for cell in cells if cell.data_type == "f"], "no formula came of a name"
    assert "=1+1" in [cell.value for cell in cells]
    sheet = next(book[name] for name in book.sheetnames if name.endswith("layers"))
    header = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "layer")
    first = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "a")
    assert first[header.index("mul")] == 1000


def test_workbook_has_units_formats_and_filters() -> None:
    """1000 sites at 4 + 2 cycles and 1.6 GHz are 3.75 µs, and a predicted 8 µs are no 8e-06."""
    made = made_models.subject(["a"], cpus=("via-nano-2000",))
    measured = measurements_from_data(sample_data.measurements())
    content = render_report(Report("r", (made,), (measured,)), ReportFormat.XLSX)
    book = openpyxl.load_workbook(io.BytesIO(content))
    numbers = [c for s in book for row in s.iter_rows() for c in row if isinstance(c.value, float)]
    assert numbers and not [c.coordinate for c in numbers if c.number_format == "General"]
    for sheet in book:
        tables = any(cell.font.bold for row in sheet.iter_rows() for cell in row)
        assert bool(sheet.auto_filter.ref) is tables, sheet.title
    sheet = next(book[name] for name in book.sheetnames if name.endswith("arithmetics"))
    rows = {row[0]: row for row in sheet.iter_rows(values_only=True)}
    _, unit, time, *_ = rows["via-nano-2000, latency-sum, time (estimate)"]
    assert (unit, round(time, 9)) == ("µs", 3.75)
    sheet = next(book[name] for name in book.sheetnames if name.endswith("measured"))
    header = next(row for row in sheet.iter_rows(values_only=True) if row[0] == "layer")
    assert any(str(name).endswith("(µs)") for name in header)


def test_a_printed_sheet_is_one_page_wide() -> None:
    """Notes are broken into rows and keep their words."""
    made = report()
    book = openpyxl.load_workbook(io.BytesIO(render_report(made, ReportFormat.XLSX)))
    wanted = [
        note
        for _, sections in report_sections(made)
        for section in sections
        for note in (*section.notes, *(note for table in section.tables for note in table.notes))
    ]
    assert any(len(note) > 110 for note in wanted)
    words = " ".join(str(cell.value) for sheet in book for cell in sheet["A"] if cell.value is not None)
    missing = [note for note in wanted if " ".join(printable(note).split()) not in words]
    assert not missing
    for sheet in book:
        page = sheet.page_setup
        # Without a number, a sheet fits to one page across.
        assert (page.orientation, page.fitToWidth, page.fitToHeight) == ("landscape", None, 0)
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        for row in sheet.iter_rows():
            filled = [cell for cell in row if cell.value is not None]
            if len(filled) == 1:
                # A text alone in its row runs on over the empty cells beside it.
                assert len(str(filled[0].value)) <= 110
            else:
                long = [cell for cell in filled if len(str(cell.value)) > 60]
                assert all(cell.alignment.wrap_text for cell in long)
                height = sheet.row_dimensions[row[0].row].height or 15
                assert all(height / 15 * 60 >= len(str(cell.value)) for cell in long)
