"""A profile that shows itself: as text, as a data frame, in a notebook; and a profile in any table format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from addercost.report.notebook import to_html
from addercost.report.profile_table import profile_table
from addercost.report.tables import Table, TableFormat, render
from addercost.report.terminal import terminal_width
from addercost.results.profile import Profile

if TYPE_CHECKING:
    import pandas


class ShownProfile(Profile):
    """What `addercost.profile` returns: a profile that prints itself."""

    __slots__ = ()

    def __str__(self) -> str:
        """The layer table as the command prints it: as wide as the terminal, if there is one."""
        return render(self.to_table(), TableFormat.TABLE, terminal_width()).rstrip("\n")

    def to_frame(self) -> pandas.DataFrame:
        """One row a layer, with the columns of the CSV."""
        import pandas

        table = self.to_table()
        names = [column.name for column in table.columns]
        return pandas.DataFrame([[row.get(name) for name in names] for row in table.rows], columns=names)

    def to_table(self, depth: int | None = None, sort: str | None = None, top: int | None = None) -> Table:
        """The layer table.

        depth: layers below this many path components are summed into their ancestor. sort: a column, largest
        first. top: so many rows, the rest summed into one. Raises ArgumentError for an unknown column.
        """
        return profile_table(self, depth, sort, top)

    def _repr_html_(self) -> str:
        return to_html(self.to_table())


def render_profile(
    profile: Profile,
    output: TableFormat,
    width: int | None = None,
    styled: bool = False,
    depth: int | None = None,
    sort: str | None = None,
    top: int | None = None,
) -> str:
    """A profile in any table format; JSON is the whole document, with every layer."""
    table = profile_table(profile, depth, sort, top)
    return profile.to_json() if output is TableFormat.JSON else render(table, output, width, styled)
