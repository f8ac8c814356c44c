"""The findings of `addercost doctor` as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from addercost.report.table import Column, Table


class DoctorRow(Protocol):
    """The fields of a finding that the table shows: its state, what was found, and how to mend it."""

    @property
    def part(self) -> str: ...
    @property
    def thing(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def found(self) -> str: ...
    @property
    def mend(self) -> str: ...


def doctor_table(findings: Sequence[DoctorRow]) -> Table:
    """A row for each finding."""
    columns = (
        Column("part", "part"),
        Column("thing", "what"),
        Column("state", "state"),
        Column("found", "found"),
        Column("mend", "to mend it"),
    )
    rows = [
        {
            "part": str(f.part),
            "thing": f.thing,
            "state": str(f.state),
            "found": f.found,
            "mend": f.mend,
        }
        for f in findings
    ]
    wanting = sum(f.state in ("missing", "broken") for f in findings)
    note = "nothing is missing or broken" if not wanting else f"{wanting} missing or broken"
    return Table(columns, rows, title="What this machine offers", notes=(note,))
