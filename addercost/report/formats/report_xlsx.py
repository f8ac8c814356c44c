"""A report as an Excel workbook with one sheet for each section. Equal reports give equal bytes.

The quantities of a column have one unit, such as µJ, and every number has a format. A printed sheet is as
wide as a landscape page.
"""

from __future__ import annotations

import io
import re
import textwrap
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from addercost.analysis.bounds import bound_sign
from addercost.errors import AddercostError
from addercost.report.sections import report_sections
from addercost.report.table import Column, Kind, Table, heading, shown
from addercost.report.tables.layers import layer_table
from addercost.results.report import Report, network_name
from addercost.text import printable
from addercost.units import prefixed_unit

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_FORMATS = {
    Kind.RATIO: '0.000"×"',
    Kind.SHARE: "0.0%",
    Kind.PERCENT: "0.00",
}
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")
_LONGEST_TITLE = 31
_WIDEST_COLUMN = 60
_WRAPPED = 48
"""Characters in a line of a column whose texts wrap. It decides the height of rows, which do not grow by
themselves when they are printed.
"""
_NOTE_WIDTH = 110
"""The most characters of a note in one row. A longer note is broken, since it would shrink the printed
page.
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DATES = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")


def to_xlsx(report: Report) -> bytes:
    """The bytes of the file. A text such as =1+1 stays text. Raises AddercostError without openpyxl."""
    try:
        from openpyxl import Workbook
    except ImportError:
        raise AddercostError(
            "workbooks need openpyxl", "install it: pip install 'addercost[report]'"
        ) from None
    workbook = Workbook()
    workbook.remove(workbook.active)
    for title, tables, notes in _sheets(report):
        sheet = workbook.create_sheet(_sheet_title(title, workbook.sheetnames))
        _fit_to_page(sheet)
        for table in tables:
            _write(sheet, table)
        for note in notes:
            _note(sheet, sheet.max_row + 2, note)
    if not workbook.sheetnames:
        workbook.create_sheet("empty")
    buffer = io.BytesIO()
    workbook.save(buffer)
    return _without_dates(buffer.getvalue())


def _sheets(report: Report) -> Iterator[tuple[str, tuple[Table, ...], tuple[str, ...]]]:
    several = len(report.subjects) + len(report.measurements) > 1
    profiles = {subject.name: subject.profiles for subject in report.subjects}
    for name, sections in report_sections(report):
        prefix = f"{name} " if several else ""
        for section in sections:
            yield f"{prefix}{section.key}", section.tables, section.notes
            if section.key == "layers":
                for profile in profiles.get(name, ())[1:]:
                    yield f"{prefix}layers {network_name(profile)}", (layer_table(profile),), ()


def _sheet_title(title: str, taken: list[str]) -> str:
    base = _FORBIDDEN.sub(" ", printable(title)).strip() or "sheet"
    number, name = 1, base[:_LONGEST_TITLE]
    while name.lower() in (other.lower() for other in taken):
        number += 1
        tail = f" {number}"
        name = base[: _LONGEST_TITLE - len(tail)] + tail
    return name


def _write(sheet: Worksheet, table: Table) -> None:
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    # max_row is 1 on an empty sheet as well.
    row = 1 if sheet.max_row == 1 and sheet["A1"].value is None else sheet.max_row + 2
    if table.title:
        _text(sheet, row, 1, table.title)
        sheet.cell(row, 1).font = Font(bold=True)
        row += 1
    for i, column in enumerate(table.columns, 1):
        _text(sheet, row, i, _heading(table, column))
        cell = sheet.cell(row, i)
        cell.font = Font(bold=True)
        # A text beside a right-aligned number begins with a gap.
        cell.alignment = Alignment(
            horizontal="left" if column.is_text else "right", wrap_text=True, indent=column.is_text and i > 1
        )
    heading_row = row
    if sheet.freeze_panes is None:
        sheet.freeze_panes = f"B{row + 1}"
        # A sheet can have one filter. It covers the first table without its total.
        last = get_column_letter(len(table.columns))
        sheet.auto_filter.ref = f"A{row}:{last}{row + len(table.rows)}"
    units = {column.name: _unit(table, column) for column in table.columns}
    for values in [*table.rows, *([table.total] if table.total else [])]:
        row += 1
        for i, column in enumerate(table.columns, 1):
            value: Any = values.get(column.name)
            if column.is_text or (column.kind is Kind.QUANTITY and not isinstance(value, int | float)):
                text = shown(value, column)
                _text(sheet, row, i, text)
                is_long = len(text) > _WIDEST_COLUMN
                sheet.cell(row, i).alignment = Alignment(horizontal="left", wrap_text=is_long, indent=i > 1)
                if is_long:
                    lines = len(textwrap.wrap(printable(text), _WRAPPED))
                    sheet.row_dimensions[row].height = max(sheet.row_dimensions[row].height or 0, 15 * lines)
                continue
            factor, _ = units[column.name]
            cell = sheet.cell(row, i, None if value is None else value + 0 if factor == 1 else value / factor)
            mark = f'"{sign}"' if (sign := bound_sign(value)) else ""
            if cell.value is not None:
                cell.number_format = f"{mark}{_number_format(cell.value, column)}"
        if sheet.row_dimensions[row].height:
            for cell in sheet[row]:
                old = cell.alignment
                cell.alignment = Alignment(old.horizontal, "top", wrap_text=old.wrap_text, indent=old.indent)
    for note in table.notes:
        row = _note(sheet, row + 1, note)
    for i, column in enumerate(table.columns, 1):
        texts = [shown(row.get(column.name), column) for row in table.rows]
        # A heading wraps between its words, so that a wide table is printed as large as its numbers allow.
        words = printable(_heading(table, column)).split()
        longest = max((len(text) for text in [*words, *texts]), default=0)
        letter = get_column_letter(i)
        known = sheet.column_dimensions[letter].width if letter in sheet.column_dimensions else 0
        width = max(min(longest + 3, _WIDEST_COLUMN), known)
        sheet.column_dimensions[letter].width = width
        lines = len(textwrap.wrap(printable(_heading(table, column)), max(int(width) - 3, 1)))
        heights = sheet.row_dimensions[heading_row]
        heights.height = max(heights.height or 0, 15 * lines)


def _unit(table: Table, column: Column) -> tuple[float, str]:
    """(the number by which the quantities of a column are divided, their unit after that); (1, "") for other
    columns.
    """
    if column.kind is not Kind.QUANTITY:
        return 1, ""
    values = [abs(row[column.name]) for row in table.rows if isinstance(row.get(column.name), int | float)]
    return prefixed_unit(max(values, default=0.0), column.unit)


def _heading(table: Table, column: Column) -> str:
    unit = _unit(table, column)[1]
    return f"{heading(column)} ({unit})" if unit else heading(column)


def _number_format(value: float, column: Column) -> str:
    if column.kind in _FORMATS:
        return _FORMATS[column.kind]
    if float(value).is_integer() or abs(value) >= 1000:
        return "#,##0"
    return "#,##0.000" if abs(value) >= 0.1 else "0.00E+00"


def _fit_to_page(sheet: Worksheet) -> None:
    sheet.page_setup.orientation = sheet.ORIENTATION_LANDSCAPE
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_margins.left = sheet.page_margins.right = 0.3
    # As many pages below each other as are needed.
    sheet.page_setup.fitToHeight = 0


def _note(sheet: Worksheet, row: int, note: str) -> int:
    """Writes a note from that row on, and returns its last row."""
    lines = textwrap.wrap(printable(note), _NOTE_WIDTH, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines, row):
        _text(sheet, number, 1, line)
    return row + len(lines) - 1


def _text(sheet: Worksheet, row: int, column: int, text: str) -> None:
    cell = sheet.cell(row, column)
    cell.value = printable(text)
    # openpyxl treats a text that begins with = as a formula.
    cell.data_type = "s"


def _without_dates(workbook: bytes) -> bytes:
    """The same archive with every date replaced by a fixed one."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook)) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for item in source.infolist():
            content = source.read(item)
            if item.filename == "docProps/core.xml":
                content = _DATES.sub(rb"\g<1>1980-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(item.filename, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return buffer.getvalue()
